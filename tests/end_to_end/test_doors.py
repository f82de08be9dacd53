"""Each provider, from its webhook to the reply: the services as processes, both ends played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.door_system import POISON, REPLY, door_system
from tests.support.doors import INSTANCE, Door, Hook, doors
from tests.support.waiting import eventually

each_door = pytest.mark.parametrize("door", doors(), ids=lambda door: str(door.provider))


@each_door
async def test_a_webhook_is_answered_with_one_call(
    door: Door, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Signed in, the handler sees the window, and the provider's API gets its one send request."""
    async with door_system(door, redis_url, prefix, tmp_path, max_wait_ms=300) as made:
        hook = door.text("is it open? 🙂", 1)
        assert [await made.knock(hook) for _ in range(2)] == [200, 200]  # sent twice, kept once
        (call,) = await made.handler.wait_for_calls(1)
        assert (call.json["instance"], call.json["text"]) == (INSTANCE, "is it open? 🙂")
        assert [message["kind"] for message in call.json["messages"]] == ["text"]

        await made.handled()
        expected = door.sent(REPLY)
        (said,) = made.provider.that_say(REPLY)
        assert said.matches(expected), (said, expected)
        assert len(made.handler.calls) == 1


@each_door
async def test_a_burst_is_one_window(
    door: Door, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """A photo, a voice note, a place and two texts: five in order, with their media, one reply."""
    hooks, expected = door.burst()
    async with door_system(door, redis_url, prefix, tmp_path, max_wait_ms=10_000) as made:
        for hook in hooks:
            assert await made.knock(hook) == 200
        (call,) = await made.handler.wait_for_calls(1)
        assert call.json["closed_by"] == "max_messages"
        told = call.json["messages"]
        assert [(m["kind"], m["text"]) for m in told] == [(e.kind, e.text) for e in expected]
        for message, wanted in zip(told, expected, strict=True):
            media: dict[str, Any] = message.get("media") or {}
            assert media.items() >= wanted.media.items(), message
            assert "raw" in message
        await made.handled()
        assert len(made.provider.that_say(REPLY)) == 1


@each_door
async def test_secrets_are_left_nowhere(
    door: Door, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """
    What proves, and what sends, is in no log line, metric, stream entry, dead letter or reply.

    Messages wait, are answered and are given up, strangers knock with secrets of their own, all
    with raw messages kept and logs at debug.
    """
    async with door_system(door, redis_url, prefix, tmp_path, max_wait_ms=300) as made:
        before = await made.traces()
        assert await made.knock(door.text(POISON, 1)) == 200
        await made.handler.wait_for_calls(1)
        assert await made.knock(door.text("hello", 2)) == 200
        await eventually(lambda: made.provider.that_say(REPLY), "a reply")
        await made.handled()
        await knock_as_strangers(made.send, door)
        made.consumer.pause()
        for hook in (*door.burst()[0], *door.others()):
            await made.knock(hook)
        made.consumer.resume()
        traces = await made.traces()

    for part in (":dead", ":stream:"):
        assert any(part in name for name in traces), f"void: nothing in {part}"
    assert len(str(traces)) > len(str(before)) + 2000, "void: nothing was logged or stored"
    for call in made.handler.calls:
        traces[f"call of {call.json['window_id']}"] = json.dumps(call.json) + str(call.headers)
    assert [name for name, left in traces.items() if "planted" in left] == []


async def knock_as_strangers(send: Any, door: Door) -> None:
    """With wrong proofs in every place where one may stand."""
    hook = door.text("let me in", 3)
    places = ("Authorization", "apikey", "X-Api-Key", door.signature, "Cookie", "X-Hub-Signature")
    for name in places:
        assert await send(hook, **{name: "Bearer planted-by-a-stranger"}) == 401
    query = f"{hook.query}&secret=planted-query&token=planted-query".lstrip("&")
    stranger = Hook(body=hook.body, headers=hook.headers, query=query, method=hook.method)
    assert await send(stranger) == 401
    assert await send(Hook(body=b'{"apikey": "planted-in-a-body"')) == 401
