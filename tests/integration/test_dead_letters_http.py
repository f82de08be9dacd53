"""``/api/v1/dead-letters`` over a real connection and a real Redis."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from ingest.dead_letters import PATH, DeadLettersApi
from shared import dead_letters
from shared.keys import Keys
from shared.pipe import Pipe
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.documented import checked
from tests.support.ingest_server import IngestServer, serving
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.redis_users import as_user, note_users, write_users
from tests.support.undecided import bury

PHONE = "491700000001"


@asynccontextmanager
async def api(pipe: Pipe, keys: Keys, settings: Settings) -> AsyncIterator[IngestServer]:
    """The endpoints on a server of these settings."""
    async with serving(settings, routes=DeadLettersApi(pipe, keys).routes()) as running:
        yield running


@pytest.fixture
async def server(pipe: Pipe, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server without token."""
    async with api(pipe, keys, Settings()) as running:
        yield running


async def told(server: IngestServer, path: str, schema: str) -> Any:
    """The answer to a GET, which is as the document says."""
    answer = await server.request("GET", path)
    assert answer.status == 200, answer.body
    return checked(answer.json, schema)


async def replay_all(server: IngestServer, **meant: str) -> list[Any]:
    """Page after page, as the console does it."""
    pages: list[Any] = []
    going_on: dict[str, str] = {}
    while True:
        answer = await server.post(f"{PATH}/replay", {**meant, **going_on})
        assert answer.status == 200, answer.body
        pages.append(checked(answer.json, "ReplayedSome"))
        if pages[-1]["next"] is None:
            return pages
        going_on = {"until": pages[-1]["until"], "after": pages[-1]["next"]}


async def test_the_list_tells_neither_texts_nor_users(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """What was given up, where and why; no word of what people wrote, and nobody's number."""
    letter_id = bury(client, keys, f"answered 500: {PHONE} is not known", PHONE)
    answer = await server.request("GET", PATH)
    (letter,) = checked(answer.json, "KeptLetters")["dead_letters"]
    assert answer.json["total"] == 1
    assert (letter["id"], letter["error"]) == (letter_id, "answered 500")
    assert (letter["messages"], letter["attempts"], letter["not_replayable"]) == (1, 3, None)
    for secret in (PHONE, "call me"):
        assert secret not in answer.body.decode()


async def test_a_list_is_read_page_by_page(server: IngestServer, client: Redis, keys: Keys) -> None:
    """Newest first; the next page begins behind the last one, whatever came in between."""
    ids = [bury(client, keys, "answered 500", f"user-{n}", f"{1000 + n}-0") for n in range(5)]
    first = await told(server, f"{PATH}?limit=2", "KeptLetters")
    bury(client, keys, "answered 500", "later", "2000-0")
    second = await told(server, f"{PATH}?limit=2&before={first['next']}", "KeptLetters")
    third = await told(server, f"{PATH}?limit=2&before={second['next']}", "KeptLetters")
    found = [one["id"] for page in (first, second, third) for one in page["dead_letters"]]
    assert found == ids[::-1]
    assert (second["total"], third["next"]) == (6, None)


async def test_a_list_of_one_kind(server: IngestServer, client: Redis, keys: Keys) -> None:
    """By the kind of error and by the instance; the groups tell how many there are of each."""
    wanted = bury(client, keys, "TimeoutError: late", "ana")
    bury(client, keys, "answered 500", "bob")
    groups = await told(server, f"{PATH}/groups", "LetterGroups")
    assert groups["groups"] == [
        {"instance": "shop", "error": "TimeoutError", "count": 1},
        {"instance": "shop", "error": "answered 500", "count": 1},
    ] or groups["groups"] == [
        {"instance": "shop", "error": "answered 500", "count": 1},
        {"instance": "shop", "error": "TimeoutError", "count": 1},
    ]
    assert (groups["total"], groups["looked_at"], groups["is_whole"]) == (2, 2, True)
    path = f"{PATH}?instance=shop&error={quote('TimeoutError')}"
    page = await told(server, path, "KeptLetters")
    assert [one["id"] for one in page["dead_letters"]] == [wanted]
    assert (await told(server, f"{PATH}?instance=other", "KeptLetters"))["dead_letters"] == []


async def test_texts_are_told_when_they_are_asked_for(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """One letter tells its user and its messages; what they say only with ``texts=1``, logged."""
    letter_id = bury(client, keys, "answered 500: a long story", PHONE)
    plain = await server.request("GET", f"{PATH}/{letter_id}")
    checked(plain.json, "WholeLetter")
    assert plain.json["user"] == PHONE
    assert len(plain.json["contents"]) == 1
    for secret in ("call me", "long story"):
        assert secret not in plain.body.decode()
    assert not [line for line in server.logs if line["event"] == "dead_letter.read"]

    whole = await told(server, f"{PATH}/{letter_id}?texts=1", "WholeLetter")
    assert [one["text"] for one in whole["contents"]] == ["please call me"]
    assert whole["whole_error"] == "answered 500: a long story"
    (line,) = [line for line in server.logs if line["event"] == "dead_letter.read"]
    assert line["letter"] == letter_id


async def test_what_cannot_be_read_is_shown_and_discarded(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """It is in the list, is no window to hand over, and can be thrown away."""
    entry = client.xadd(keys.partition(0).dead, {"m": b"\xff?"})
    assert isinstance(entry, bytes)
    path = f"{PATH}/0:{entry.decode()}"
    (letter,) = (await told(server, PATH, "KeptLetters"))["dead_letters"]
    assert letter["not_replayable"] == "the dead letter itself cannot be read"
    assert (await told(server, f"{path}?texts=1", "WholeLetter"))["raw"] == "\\xff?"
    refused = await server.post(f"{path}/replay", {})
    assert (refused.status, refused.json["error"]["code"]) == (409, "not_replayable")
    (page,) = await replay_all(server)
    assert (page["replayed"], page["not_replayable"], page["total"]) == (0, 1, 1)
    for status in (200, 404):
        assert (await server.request("DELETE", path)).status == status
    assert (await told(server, PATH, "KeptLetters"))["total"] == 0


async def test_one_is_replayed_once(server: IngestServer, client: Redis, keys: Keys) -> None:
    """The window waits in its stream; who asks again is told that the letter is gone."""
    letter_id = bury(client, keys, "answered 500", "ana")
    done = await server.post(f"{PATH}/{letter_id}/replay", {})
    assert done.status == 200
    checked(done.json, "Replayed")
    again = await server.post(f"{PATH}/{letter_id}/replay", b"")
    assert (again.status, again.json["error"]["code"]) == (404, "not_found")
    assert client.xlen(keys.of("shop", "ana").stream("shop")) == 1


async def test_all_are_replayed_by_pages(
    server: IngestServer,
    client: Redis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each page tells how far it is; what is given up meanwhile is not meant."""
    monkeypatch.setattr(dead_letters, "LOOKED_AT_MAX", 3)
    for n in range(8):
        bury(client, keys, "answered 500", f"user-{n}", f"{1000 + n}-0")
    first = (await server.post(f"{PATH}/replay", b"")).json
    anew = bury(client, keys, "answered 500", "user-0", "9000-0")
    assert (first["replayed"], first["total"]) == (3, 5)
    going_on = {"until": first["until"], "after": first["next"]}
    second = (await server.post(f"{PATH}/replay", going_on)).json
    lost = (await server.post(f"{PATH}/replay", going_on)).json
    assert (second["replayed"], lost["replayed"]) == (3, 2)
    assert lost["next"] is None
    (left,) = (await told(server, PATH, "KeptLetters"))["dead_letters"]
    assert left["id"] == anew


async def test_those_of_an_error_are_replayed(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """All others stay; where there is nothing, nothing is done."""
    bury(client, keys, "TimeoutError: late", "ana")
    other = bury(client, keys, "answered 500", "bob")
    (page,) = await replay_all(server, instance="shop", error="TimeoutError")
    assert (page["replayed"], page["total"]) == (1, 1)
    (left,) = (await told(server, PATH, "KeptLetters"))["dead_letters"]
    assert left["id"] == other
    await replay_all(server)
    (nothing,) = await replay_all(server)
    assert nothing == {
        "replayed": 0,
        "not_replayable": 0,
        "total": 0,
        "until": None,
        "next": None,
    }


@pytest.mark.parametrize(
    "path",
    [
        "?limit=0",
        "?limit=201",
        "?limit=two",
        "?limit=1&limit=2",
        "?before=3",
        "?before=1:99999999999999999999-0",
        "?text=1",
        "/1:5-0?texts=yes",
    ],
)
async def test_what_is_not_understood_is_refused(server: IngestServer, path: str) -> None:
    """A slip of the hand is not answered with something else."""
    answer = await server.request("GET", PATH + path)
    assert answer.status == 400


@pytest.mark.parametrize(
    "body",
    [b"{", [], {"instances": "shop"}, {"instance": 5}, {"until": "x"}, {"after": "1:1-1x"}],
)
async def test_a_wrong_replay_replays_nothing(
    server: IngestServer, client: Redis, keys: Keys, body: Any
) -> None:
    """Above all a misspelt restriction is not read as all of them."""
    bury(client, keys, "answered 500", "ana")
    assert (await server.post(f"{PATH}/replay", body)).status == 400
    assert (await told(server, PATH, "KeptLetters"))["total"] == 1


async def test_all_of_it_needs_the_token(pipe: Pipe, keys: Keys, client: Redis) -> None:
    """Who has none reads nothing and decides nothing."""
    letter_id = bury(client, keys, "answered 500", "ana")
    async with api(pipe, keys, Settings(api_token="s3cret")) as server:
        for method, path in (
            ("GET", ""),
            ("GET", "/groups"),
            ("GET", f"/{letter_id}"),
            ("POST", "/replay"),
            ("POST", f"/{letter_id}/replay"),
            ("DELETE", f"/{letter_id}"),
        ):
            assert (await server.request(method, PATH + path)).status == 401
    assert client.xlen(keys.of("shop", "ana").dead) == 1


async def test_a_redis_that_does_not_permit_it_is_told_of(
    redis_binary: ServerBinary, tmp_path: Path
) -> None:
    """With users of an older version nothing is replayed, and no window is in two places."""
    users = write_users(tmp_path, redis_binary.version, prefix="inturn:")
    shipped = users.read_text()
    (ingest,) = [line for line in shipped.splitlines() if line.startswith("user ingest")]
    users.write_text(shipped.replace(ingest, re.sub(r" \(?\+xdel.*", "", ingest)))
    keys = Keys("inturn", 1)
    with RedisServer(redis_binary, options={"aclfile": str(users)}) as redis:
        note_users(redis.url)
        with Redis.from_url(redis.url, protocol=2) as client:
            letter_id = bury(client, keys, "answered 500", "ana")
            async with (
                running_pipe(as_user(redis.url, "ingest")) as pipe,
                api(pipe, keys, Settings()) as server,
            ):
                for method, path in (
                    ("POST", f"/{letter_id}/replay"),
                    ("POST", "/replay"),
                    ("DELETE", f"/{letter_id}"),
                ):
                    answer = await server.request(method, PATH + path)
                    assert (answer.status, answer.json["error"]["code"]) == (409, "not_permitted")
                assert (await told(server, PATH, "KeptLetters"))["total"] == 1
            assert client.exists(keys.of("shop", "ana").stream("shop")) == 0
