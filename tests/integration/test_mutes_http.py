"""``.../mute`` and ``.../unmute`` over a real connection and a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ingest.mutes import MutesApi
from shared.connect import Pipe
from shared.keys import Keys, conversation_field
from shared.redis_time import time_ms_at
from shared.settings import Settings
from tests.support.documented import checked
from tests.support.ingest_server import IngestServer, serving
from tests.support.journey import INSTANCE, USER

PATH = f"/api/v1/conversations/{INSTANCE}/{USER}"
MUTED = conversation_field(INSTANCE, USER)


@asynccontextmanager
async def api(pipe: Pipe, keys: Keys, settings: Settings) -> AsyncIterator[IngestServer]:
    """The endpoints on a server of these settings."""
    async with serving(settings, routes=MutesApi(pipe, keys).routes()) as running:
        yield running


@pytest.fixture
async def server(pipe: Pipe, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server without token."""
    async with api(pipe, keys, Settings()) as running:
        yield running


async def score(pipe: Pipe, keys: Keys) -> float | None:
    """Until when the user is muted, as it stands in Redis."""
    found = await pipe.call("ZSCORE", keys.of(INSTANCE, USER).muted, MUTED)
    return None if found is None else float(found)


async def test_a_conversation_is_muted(server: IngestServer, pipe: Pipe, keys: Keys) -> None:
    """The answer says until when, as the document says it; Redis has it by then."""
    answer = await server.post(f"{PATH}/mute", {"minutes": 30})

    assert (answer.status, answer.json["instance"], answer.json["user"]) == (200, INSTANCE, USER)
    now_ms = await time_ms_at(pipe, keys.of(INSTANCE, USER).muted)
    assert abs(answer.json["muted_until"] - now_ms - 1_800_000) < 60_000
    assert await score(pipe, keys) == answer.json["muted_until"]
    checked(answer.json, "Muted")


@pytest.mark.parametrize("method, path", [("DELETE", "mute"), ("POST", "unmute")])
async def test_a_mute_is_ended(
    server: IngestServer, pipe: Pipe, keys: Keys, method: str, path: str
) -> None:
    """Also one that is not there: who asks again is not refused."""
    await server.post(f"{PATH}/mute", {"minutes": 30})
    for _ in range(2):
        answer = await server.request(method, f"{PATH}/{path}")
        assert answer.status == 200
        assert answer.json == {"instance": INSTANCE, "user": USER, "muted_until": None}
        assert await score(pipe, keys) is None


@pytest.mark.parametrize(
    "body, code",
    [
        (b"", "invalid_json"),
        ([30], "invalid_field"),
        ({}, "missing_field"),
        ({"minutes": None}, "missing_field"),
        ({"minutes": 0}, "invalid_field"),
        ({"minutes": -5}, "invalid_field"),
        ({"minutes": 1.5}, "invalid_field"),
        ({"minutes": 10_081}, "invalid_field"),
        ({"minutes": 1e300}, "invalid_field"),
        ({"minutes": True}, "invalid_field"),
        ({"minutes": "30"}, "invalid_field"),
        ({"minutes": 30, "user": "bob"}, "unknown_field"),
    ],
)
async def test_what_is_no_time_is_refused(
    server: IngestServer, pipe: Pipe, keys: Keys, body: Any, code: str
) -> None:
    """The error names what is wrong, and nobody is muted."""
    answer = await server.post(f"{PATH}/mute", body)
    assert (answer.status, answer.json["error"]["code"]) == (400, code)
    assert await score(pipe, keys) is None


async def test_a_week_is_the_longest(server: IngestServer) -> None:
    """Whole numbers in every form that JSON has."""
    for minutes in (10_080, 10_080.0):
        assert (await server.post(f"{PATH}/mute", {"minutes": minutes})).status == 200


@pytest.mark.parametrize("path", ["a%00b/u", "shop/%20", "shop/a%00b", f"shop/{'x' * 257}"])
async def test_what_names_no_conversation_is_refused(server: IngestServer, path: str) -> None:
    """Nothing is stored under a name that no message can have."""
    for end in ("mute", "unmute"):
        answer = await server.post(f"/api/v1/conversations/{path}/{end}", {"minutes": 5})
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_field")


async def test_muting_needs_the_token(pipe: Pipe, keys: Keys) -> None:
    """Who has none silences nobody, and lets no bot loose."""
    async with api(pipe, keys, Settings(api_token="s3cret")) as server:
        assert (await server.post(f"{PATH}/mute", {"minutes": 5})).status == 401
        assert (await server.post(f"{PATH}/unmute", {})).status == 401
        assert (await server.request("DELETE", f"{PATH}/mute")).status == 401
        assert await score(pipe, keys) is None


async def test_the_log_shows_no_user(server: IngestServer) -> None:
    """Who was muted is told under the name that the log's formatter hashes."""
    await server.post(f"{PATH}/mute", {"minutes": 5})
    (line,) = [line for line in server.logs if line["event"] == "conversation.muted"]
    assert {name for name, value in line.items() if USER in str(value)} == {"user"}
