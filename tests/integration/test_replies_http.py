"""``/api/v1/replies`` over a real connection and a real Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis

from ingest.replies import PATH, RepliesApi
from shared import unsent
from shared.keys import Keys
from shared.pipe import Pipe
from shared.settings import Settings
from tests.support.documented import checked
from tests.support.ingest_server import IngestServer, serving
from tests.support.undecided import hold

PHONE = "491700000001"


@asynccontextmanager
async def api(pipe: Pipe, keys: Keys, settings: Settings) -> AsyncIterator[IngestServer]:
    """The endpoints on a server of these settings."""
    async with serving(settings, routes=RepliesApi(pipe, keys, settings).routes()) as running:
        yield running


@pytest.fixture
async def server(pipe: Pipe, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server without token."""
    async with api(pipe, keys, Settings()) as running:
        yield running


def record_of(client: Redis, keys: Keys, user: str, reply_id: str) -> Any:
    """How the sending of a reply stands."""
    value = client.hget(keys.of("shop", user).sending, reply_id.partition(":")[2])
    assert isinstance(value, bytes)
    return json.loads(value)


async def test_the_list_tells_neither_texts_nor_users(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """Which reply waits, where and why; no word of it, and nobody's number."""
    reply_id = hold(client, keys, "loop limit", PHONE)
    answer = await server.request("GET", PATH)
    (reply,) = checked(answer.json, "UnsentReplies")["replies"]
    assert answer.json["undecided"] == 1
    assert (reply["id"], reply["state"], reply["why"]) == (reply_id, "held", "loop limit")
    assert (reply["texts"], reply["attempts"]) == (1, 2)
    for secret in (PHONE, "secret answer"):
        assert secret not in answer.body.decode()


async def test_texts_are_told_when_they_are_asked_for(
    server: IngestServer, client: Redis, keys: Keys
) -> None:
    """One reply tells its user; what it says only with ``texts=1``, which is logged."""
    reply_id = hold(client, keys, "loop limit", PHONE)
    plain = await server.request("GET", f"{PATH}/{reply_id}")
    assert checked(plain.json, "WholeReply")["user"] == PHONE
    assert "secret answer" not in plain.body.decode()
    whole = await server.request("GET", f"{PATH}/{reply_id}?texts=1")
    assert checked(whole.json, "WholeReply")["contents"] == ["your secret answer"]
    (line,) = [line for line in server.logs if line["event"] == "reply.read"]
    assert line["reply"] == reply_id


@pytest.mark.parametrize("query", ["", "&all=1"])
async def test_a_list_is_read_page_by_page(
    server: IngestServer, client: Redis, keys: Keys, query: str
) -> None:
    """Newest first; those that wait for a person, and all that have not left, alike."""
    ids = sorted(
        (hold(client, keys, "loop limit", f"user-{n}") for n in range(5)),
        key=lambda one: tuple(map(int, [*one.partition(":")[2].split("-"), one.split(":")[0]])),
    )
    found, before = [], ""
    while True:
        answer = await server.request("GET", f"{PATH}?limit=2{query}{before}")
        page = checked(answer.json, "UnsentReplies")
        assert page["undecided"] == 5
        found += [one["id"] for one in page["replies"]]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert found == ids[::-1]


async def test_one_without_a_channel_is_kept(pipe: Pipe, keys: Keys, client: Redis) -> None:
    """It does not wait to be sent: the settings know no way to its user."""
    reply_id = hold(client, keys, "loop limit", "ana")
    partition = keys.of("shop", "ana")
    client.hdel(partition.sending, reply_id.partition(":")[2])
    async with api(pipe, keys, Settings()) as server:
        assert (await server.request("GET", PATH)).json["replies"] == []
        (reply,) = (await server.request("GET", f"{PATH}?all=1")).json["replies"]
    assert reply["state"] == "kept"


async def test_one_is_sent_after_all(server: IngestServer, client: Redis, keys: Keys) -> None:
    """Whoever sends the partition's replies takes it; it is told that it waits for nobody then."""
    reply_id = hold(client, keys, "loop limit", "ana")
    done = await server.post(f"{PATH}/{reply_id}/resend", {})
    assert checked(done.json, "Decided") == {"id": reply_id}
    assert record_of(client, keys, "ana", reply_id)["held"] == ""
    again = await server.post(f"{PATH}/{reply_id}/resend", {})
    assert (again.status, again.json["error"]["code"]) == (409, "not_now")
    gone = await server.post(f"{PATH}/0:1-1/resend", {})
    assert (gone.status, gone.json["error"]["code"]) == (404, "not_found")


async def test_all_are_sent_page_by_page(
    server: IngestServer, client: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once; what comes to wait while that goes on is not meant."""
    monkeypatch.setattr(unsent, "RESENT_AT_ONCE", 2)
    for n in range(5):
        hold(client, keys, "loop limit", f"user-{n}")
    first = checked((await server.post(f"{PATH}/resend", b"")).json, "ResentSome")
    assert (first["released"], first["next"] is None) == (2, False)
    later = hold(client, keys, "loop limit", "later")
    released, page = 2, first
    while page["next"] is not None:
        body = {"until": page["until"], "after": page["next"]}
        page = checked((await server.post(f"{PATH}/resend", body)).json, "ResentSome")
        released += page["released"]
    assert released == 5
    (left,) = (await server.request("GET", PATH)).json["replies"]
    assert left["id"] == later


async def test_one_is_discarded(server: IngestServer, client: Redis, keys: Keys) -> None:
    """Deleted once; not while a worker has it in hand."""
    reply_id = hold(client, keys, "loop limit", "ana")
    sending = keys.of("shop", "ana").sending
    record = record_of(client, keys, "ana", reply_id)
    entry = reply_id.partition(":")[2]
    client.hset(sending, entry, json.dumps({**record, "worker": "us", "held": ""}))
    busy = await server.request("DELETE", f"{PATH}/{reply_id}")
    assert (busy.status, busy.json["error"]["code"]) == (409, "not_now")
    client.hset(sending, entry, json.dumps(record))
    assert (await server.request("DELETE", f"{PATH}/{reply_id}")).status == 200
    assert (await server.request("DELETE", f"{PATH}/{reply_id}")).status == 404
    assert client.xlen(keys.of("shop", "ana").outbox) == 0


async def test_all_of_it_needs_the_token(pipe: Pipe, keys: Keys, client: Redis) -> None:
    """Who has none reads nothing and decides nothing."""
    reply_id = hold(client, keys, "loop limit", "ana")
    async with api(pipe, keys, Settings(api_token="s3cret")) as server:
        for method, path in (
            ("GET", ""),
            ("GET", f"/{reply_id}"),
            ("POST", "/resend"),
            ("POST", f"/{reply_id}/resend"),
            ("DELETE", f"/{reply_id}"),
        ):
            assert (await server.request(method, PATH + path)).status == 401
    assert record_of(client, keys, "ana", reply_id)["held"] == "loop limit"
