"""The policy ``direct`` and an instance that is paused: its messages are left to the spool."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from shared.connect import open_pipe
from shared.keys import Keys
from shared.settings import Settings
from shared.steering_store import SteeringStore
from tests.support.handler_server import HandlerServer
from tests.support.redis_server import RedisServer
from tests.support.spooling import INSTANCE, message, spooling, stored
from tests.support.waiting import eventually


async def test_what_is_paused_is_left_to_the_spool(
    durable_redis: RedisServer,
    keys: Keys,
    tmp_path: Path,
    direct_settings: Settings,
    handler: HandlerServer,
) -> None:
    """
    By what Redis said before the outage, also in a process that starts during it: the messages are
    appended afterwards, in order, and wait there. Other instances are answered.
    """
    pauses = tmp_path / f"paused-{direct_settings.prefix}"
    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as made:
        async with open_pipe(durable_redis.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).change(INSTANCE, {"paused": True})
        await eventually(pauses.exists, "the pause on the disk")
        durable_redis.kill()
        await made.send(1)
        other = structs.replace(message(1, "bob"), instance="clinic")
        await made.appender.append([other])
        await handler.wait_for_calls(1)

    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as heir:
        await heir.send(2)
        await heir.appender.append([structs.replace(message(2, "bob"), instance="clinic")])
        await handler.wait_for_calls(2)
        durable_redis.start()
        await heir.online()
        async with open_pipe(durable_redis.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).take_back(INSTANCE)
        await eventually(lambda: pauses.read_bytes() == b"{}", "the end of the pause on the disk")

    assert {call.json["instance"] for call in handler.calls} == {"clinic"}
    assert [one.message_id for one in await stored(durable_redis.url, keys)] == ["ann-1", "ann-2"]


@pytest.mark.parametrize("wrong", [b"", b"nonsense", b"[]", b'{"shop": 1}'])
async def test_a_note_of_pauses_that_cannot_be_read_pauses_nobody(
    durable_redis: RedisServer,
    keys: Keys,
    tmp_path: Path,
    direct_settings: Settings,
    handler: HandlerServer,
    wrong: bytes,
) -> None:
    """Somebody else wrote there; who is answered at once is answered."""
    (tmp_path / f"paused-{direct_settings.prefix}").write_bytes(wrong)
    durable_redis.kill()
    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as made:
        await made.send(1)
        await handler.wait_for_calls(1)


async def test_what_redis_says_of_pauses_goes_before_the_disk(
    durable_redis: RedisServer,
    keys: Keys,
    tmp_path: Path,
    direct_settings: Settings,
    handler: HandlerServer,
) -> None:
    """Also where nothing was ever set in it: an old note pauses nobody for ever."""
    note = tmp_path / f"paused-{direct_settings.prefix}"
    note.write_bytes(b'{"shop": true}')
    async with spooling(durable_redis.url, keys, tmp_path, direct=direct_settings) as made:
        await eventually(lambda: note.read_bytes() == b"{}", "the end of the pause")
        durable_redis.kill()
        await made.send(1)
        await handler.wait_for_calls(1)
