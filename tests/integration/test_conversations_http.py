"""``GET /api/v1/conversations/...`` over a real connection and a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from ingest.conversations import Conversations
from shared.connect import Pipe
from shared.keys import Keys, sent_hash
from shared.model import EntryId, window_id
from shared.mutes import Mutes
from shared.redis_time import time_ms_at
from shared.settings import Settings
from tests.support.ingest_server import IngestServer, serving
from tests.support.journey import INSTANCE, USER, Journey, begin_journey

API = "/api/v1/conversations"


@asynccontextmanager
async def api(pipe: Pipe, keys: Keys, settings: Settings) -> AsyncIterator[IngestServer]:
    """The status endpoints on a server of these settings."""
    routes = Conversations(pipe, keys, settings).routes()
    async with serving(settings, routes=routes) as running:
        yield running


@pytest.fixture
async def server(pipe: Pipe, keys: Keys) -> AsyncIterator[IngestServer]:
    """A server without token, and without a channel for anybody."""
    async with api(pipe, keys, Settings()) as running:
        yield running


def take_times(messages: list[dict[str, Any]]) -> None:
    """Out of what is told of each; it was accepted when its entry was written."""
    for message in messages:
        assert message["accepted_at"] == int(message["entry_id"].split("-")[0])
        for name in ("at", "accepted_at", "opened_at", "closed_at", "closed_by", "started_at"):
            message.pop(name, None)


def told(
    state: str, entry_id: EntryId, message_id: str, window: str, **more: Any
) -> dict[str, Any]:
    """What the API tells of a message."""
    return {
        "state": state,
        "entry_id": str(entry_id),
        "message_id": message_id,
        "window_id": window,
        **more,
    }


async def test_a_conversation_shows_messages_replies_and_the_dead(
    server: IngestServer, journey: Journey
) -> None:
    """One answer tells everything, newest last, and nothing that a user wrote."""
    [first, second, third] = await journey.say("m1", "m2", "m3")
    await journey.read()
    dead = await journey.start(1)
    letter = await journey.give_up("HTTP 400")
    given_up = {"error": "HTTP 400", "dead_letter_id": str(letter)}
    answered = await journey.start(1)
    reply = await journey.answer("hello", "again")

    answer = await server.request("GET", f"{API}/{INSTANCE}/{USER}")

    assert answer.status == 200
    body = answer.json
    take_times(body["messages"])
    assert [window.pop("state") for window in body["windows"]] == ["open"]
    assert body.pop("last_message_at") == third.ms
    assert body.pop("last_reply_at") == reply.ms
    assert body == {
        "instance": INSTANCE,
        "user": USER,
        "messages": [
            told("dead", first, "m1", dead.id, attempt=1, **given_up),
            told("answered", second, "m2", answered.id, attempt=1),
            told("in_window", third, "m3", window_id(INSTANCE, USER, third)),
        ],
        "replies": [
            {
                "reply_id": str(reply),
                "window_id": answered.id,
                "state": "kept",
                "texts": ["hello", "again"],
            }
        ],
        "dead": [
            {
                "dead_letter_id": str(letter),
                "window_id": dead.id,
                "error": "HTTP 400",
                "attempts": 3,
                "message_ids": ["m1"],
            }
        ],
        "windows": [
            {
                "window_id": window_id(INSTANCE, USER, third),
                "opened_at": third.ms,
                "due_at": third.ms + Settings().max_wait_ms,
                "messages": 1,
            }
        ],
    }
    assert b"secret" not in answer.body


async def test_a_message_shows_its_reply(server: IngestServer, journey: Journey) -> None:
    """The message's own address brings the reply along."""
    [entry_id] = await journey.say("m1")
    await journey.read()
    window = await journey.start(1)
    reply = await journey.answer("hello", requestedFields=["name"])

    answer = await server.request("GET", f"{API}/{INSTANCE}/{USER}/messages/m1")

    assert answer.status == 200
    body = answer.json
    assert body.pop("at") >= body.pop("started_at") > 0
    assert body == {
        "accepted_at": entry_id.ms,
        "opened_at": window.opened_at,
        "closed_at": window.closed_at,
        "closed_by": "max_wait",
        "instance": INSTANCE,
        "user": USER,
        "state": "answered",
        "entry_id": str(entry_id),
        "message_id": "m1",
        "window_id": window.id,
        "attempt": 1,
        "reply": {
            "reply_id": str(reply),
            "window_id": window.id,
            "state": "kept",
            "texts": ["hello"],
            "metadata": {"requestedFields": ["name"]},
        },
    }


@pytest.mark.parametrize(
    "user", ["+49 170/1", "a%2Fb", "ключ@g.us", 'quote"d', "tab\there", "{a}b"]
)
async def test_parts_of_the_path_are_percent_decoded(
    server: IngestServer, pipe: Pipe, keys: Keys, user: str
) -> None:
    """Whatever a provider uses as a name or an id can be asked for."""
    message_id = f"id/{user}?#"
    await (await begin_journey(pipe, keys, user)).say(message_id)

    path = f"{API}/{INSTANCE}/{quote(user, safe='')}"
    whole = await server.request("GET", path)
    one = await server.request("GET", f"{path}/messages/{quote(message_id, safe='')}")

    assert (whole.status, whole.json["user"]) == (200, user)
    assert [message["message_id"] for message in whole.json["messages"]] == [message_id]
    assert (one.status, one.json["message_id"], one.json["state"]) == (200, message_id, "waiting")


async def test_what_is_not_known_is_404(server: IngestServer, journey: Journey) -> None:
    """A stranger and a message that never came are errors in the one form of errors."""
    await journey.say("m1")

    stranger = await server.request("GET", f"{API}/{INSTANCE}/nobody")
    message = await server.request("GET", f"{API}/{INSTANCE}/{USER}/messages/m9")

    assert (stranger.status, stranger.error) == (
        404,
        "not_found: nothing is known of this conversation",
    )
    assert (message.status, message.error) == (404, "not_found: nothing is known of this message")
    assert not server.worst_logged()


async def test_an_instance_that_is_no_name_is_refused(server: IngestServer) -> None:
    """Control characters and endless names are nobody's."""
    for name in ("a%00b", "x" * 129):
        answer = await server.request("GET", f"{API}/{name}/{USER}")
        assert (answer.status, answer.error) == (
            400,
            "invalid_field: instance in the path is not a name",
        )


async def test_conversations_are_behind_the_token(pipe: Pipe, keys: Keys, journey: Journey) -> None:
    """Who has no token learns nothing, not even that there is nothing."""
    await journey.say("m1")
    async with api(pipe, keys, Settings(api_token="s3cret")) as server:
        path = f"{API}/{INSTANCE}/{USER}"
        for asked in (path, f"{path}/messages/m1", f"{API}/{INSTANCE}/nobody"):
            assert (await server.request("GET", asked)).status == 401
        allowed = {"Authorization": "Bearer s3cret"}
        assert (await server.request("GET", path, headers=allowed)).status == 200


async def test_other_methods_are_refused(server: IngestServer) -> None:
    """The status API only tells."""
    answer = await server.post(f"{API}/{INSTANCE}/{USER}", {})
    assert answer.status == 405


async def test_a_muted_conversation_says_until_when(
    server: IngestServer, pipe: Pipe, keys: Keys, journey: Journey
) -> None:
    """By decision, also where nobody has written; an unmute ends it."""
    until = await Mutes(pipe, keys).mute(INSTANCE, USER, 60_000)
    path = f"{API}/{INSTANCE}/{USER}"
    assert (await server.request("GET", path)).json["muted_until"] == until
    await journey.say("m1")
    await Mutes(pipe, keys).unmute(INSTANCE, USER)
    assert "muted_until" not in (await server.request("GET", path)).json


async def test_a_persons_message_says_until_when_it_mutes(
    pipe: Pipe, keys: Keys, journey: Journey
) -> None:
    """Where ``ON_HUMAN`` mutes; a key that somebody else wrote says nothing."""
    await journey.say("m1")
    partition, path = keys.of(INSTANCE, USER), f"{API}/{INSTANCE}/{USER}"
    came = await time_ms_at(pipe, partition.muted) // 1000 * 1000
    await pipe.call("HSET", partition.human(INSTANCE, USER), sent_hash(INSTANCE, USER, "A"), came)
    await pipe.call("SET", partition.muted, "x")
    async with api(pipe, keys, Settings(on_human="mute:5")) as server:
        assert (await server.request("GET", path)).json["muted_until"] == came + 300_000
    async with api(pipe, keys, Settings()) as server:
        assert "muted_until" not in (await server.request("GET", path)).json


async def test_what_was_written_is_told_when_it_is_asked_for(
    server: IngestServer, journey: Journey
) -> None:
    """Of what is unfinished or given up; what is finished is not kept, so it cannot be told."""
    await journey.say("m1", "m2", "m3")
    await journey.read()
    await journey.start(1)
    await journey.give_up("HTTP 400")
    await journey.start(1)
    await journey.answer("hello")
    path = f"{API}/{INSTANCE}/{USER}"
    plain = await server.request("GET", path)
    asked = await server.request("GET", f"{path}?texts=1")
    assert all("text" not in message for message in plain.json["messages"])
    texts = [message.get("text") for message in asked.json["messages"]]
    assert texts == ["secret m1", None, "secret m3"]
    assert (await server.request("GET", f"{path}?texts=yes")).status == 400
