"""Each provider, from its webhook to the reply: the services as processes, both ends played."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from ops.chaos.processes import free_port
from shared.providers.registry import PROVIDERS
from tests.support.door_server import instance_of, signed
from tests.support.door_system import POISON, REPLY, as_toml, door_system
from tests.support.doors import INSTANCE, Door, Hook, doors
from tests.support.service_process import ServiceProcess
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
        await shake_hands(made.send, door)
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


async def shake_hands(send: Any, door: Door) -> None:
    """Meta's handshake, with the right token and with another."""
    if "GET" not in PROVIDERS[door.provider].greets:
        return
    right = door.settings["verify_token"]
    assert right.startswith("planted-")
    for token, status in ((right, 200), ("planted-by-a-stranger", 403)):
        query = f"hub.mode=subscribe&hub.challenge=1158&hub.verify_token={token}"
        assert await send(Hook(body=b"", method="GET", query=query)) == status


async def test_secrets_are_not_in_the_spool(prefix: str, tmp_path: Path) -> None:
    """While there is no Redis messages go to disk, raw and all, and secrets do not."""
    (door,) = (door for door in doors() if door.provider == "evolution")
    config = tmp_path / "inturn.toml"
    own = instance_of(door, base_url="http://127.0.0.1:9")
    config.write_text(f"[instances.{INSTANCE}]\n" + as_toml(own))
    settings = {"redis_url": f"redis://127.0.0.1:{free_port()}", "prefix": prefix}
    settings |= {"config": str(config), "store_raw": "true", "log_level": "debug"}
    async with ServiceProcess("ingest", tmp_path, settings) as ingest, ClientSession() as session:
        hook = signed(door, door.text("hello on disk", 1))
        url = f"{ingest.url}{door.path(hook)}"
        async with session.post(url, data=hook.body, headers=hook.headers) as answer:
            assert answer.status == 200
            assert (await answer.json())["accepted"][0]["spooled"]
        files = [path for path in (tmp_path / "spool").rglob("*") if path.is_file()]
        kept = b"".join(path.read_bytes() for path in files) + ingest.log.read_bytes()
        assert b"hello on disk" in kept
        assert b"planted" not in kept
