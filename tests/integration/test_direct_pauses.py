"""The policy ``direct`` and an instance that is paused: its messages are left to the spool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec import structs

from shared.connect import open_pipe
from shared.keys import Keys
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from shared.steering_store import SteeringStore
from tests.support.handler_server import HandlerServer
from tests.support.redis_server import DURABLE, RedisServer
from tests.support.spooling import INSTANCE, Spooling, message, spooling, stored
from tests.support.waiting import eventually


@pytest.fixture
def server(redis_binary: ServerBinary) -> Iterator[RedisServer]:
    """A Redis of the test's own, whose data outlive a kill."""
    with RedisServer(redis_binary, options=DURABLE) as running:
        yield running


@pytest.fixture
def settings(handler: HandlerServer) -> Settings:
    """Without a channel: replies are kept to be read."""
    return Settings(handler=handler.url, handler_timeout_ms=5000)


@pytest.fixture
async def made(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings
) -> AsyncIterator[Spooling]:
    """One process's policy."""
    async with spooling(server.url, keys, tmp_path, direct=settings) as running:
        yield running


async def test_what_is_paused_is_left_to_the_spool(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer
) -> None:
    """
    By what Redis said before the outage, also in a process that starts during it: the messages are
    appended afterwards, in order, and wait there. Other instances are answered.
    """
    pauses = tmp_path / f"paused-{settings.prefix}"
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        async with open_pipe(server.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).change(INSTANCE, {"paused": True})
        await eventually(pauses.exists, "the pause on the disk")
        server.kill()
        await made.send(1)
        other = structs.replace(message(1, "bob"), instance="clinic")
        await made.appender.append([other])
        await handler.wait_for_calls(1)

    async with spooling(server.url, keys, tmp_path, direct=settings) as heir:
        await heir.send(2)
        await heir.appender.append([structs.replace(message(2, "bob"), instance="clinic")])
        await handler.wait_for_calls(2)
        server.start()
        await heir.online()
        async with open_pipe(server.url, timeout_ms=5000, name="operator") as operator:
            await SteeringStore(operator, keys).take_back(INSTANCE)
        await eventually(lambda: pauses.read_bytes() == b"{}", "the end of the pause on the disk")

    assert {call.json["instance"] for call in handler.calls} == {"clinic"}
    assert [one.message_id for one in await stored(server.url, keys)] == ["ann-1", "ann-2"]


@pytest.mark.parametrize("wrong", [b"", b"nonsense", b"[]", b'{"shop": 1}'])
async def test_a_note_of_pauses_that_cannot_be_read_pauses_nobody(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer,
    wrong: bytes,
) -> None:  # fmt: skip
    """Somebody else wrote there; who is answered at once is answered."""
    (tmp_path / f"paused-{settings.prefix}").write_bytes(wrong)
    server.kill()
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        await made.send(1)
        await handler.wait_for_calls(1)


async def test_what_redis_says_of_pauses_goes_before_the_disk(
    server: RedisServer, keys: Keys, tmp_path: Path, settings: Settings, handler: HandlerServer
) -> None:
    """Also where nothing was ever set in it: an old note pauses nobody for ever."""
    note = tmp_path / f"paused-{settings.prefix}"
    note.write_bytes(b'{"shop": true}')
    async with spooling(server.url, keys, tmp_path, direct=settings) as made:
        await eventually(lambda: note.read_bytes() == b"{}", "the end of the pause")
        server.kill()
        await made.send(1)
        await handler.wait_for_calls(1)
