"""Who listens to a hub: how many may, who is cut off, who has left, who is let go."""

from __future__ import annotations

import asyncio

import pytest

from ingest.hub import PAGE
from ingest.listener import UNSENT_MAX_BYTES
from ingest.ticketing import listeners_limit
from shared.errors import BrokerUnavailable
from tests.support.hub import CLINIC, Client, running, settled
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    "wanted, files, limit",
    [(2000, 65_536, 2000), (2000, 4096, 1536), (100_000, 65_536, 8192), (0, 65_536, 0)],
)
def test_streams_leave_connections_for_webhooks(wanted: int, files: int, limit: int) -> None:
    """Half of what the process may hold, whatever the setting says."""
    assert listeners_limit(wanted, files) == limit


async def test_who_does_not_take_what_is_sent_is_cut_off() -> None:
    """At once, with all that waits; others are told as ever."""
    async with running() as (hub, store):
        slow, good = Client(hub), Client(hub)
        for client in (slow, good):
            await client.greet()
        slow.wire.unsent = slow.unsent_max + 1
        store.enter(2)
        hub.notice(CLINIC.encode())
        await settled(good, 3)
        assert slow.wire.is_cut
        assert slow.listener.ended.is_set()
        assert slow.listener.was_slow
        assert slow.heard == ["CONNECTED 0"]


async def test_who_has_left_is_sent_nothing() -> None:
    """Its stream ends, and it was not slow."""
    async with running() as (hub, store):
        gone, good = Client(hub), Client(hub)
        for client in (gone, good):
            await client.greet()
        gone.wire.is_left = True
        store.enter()
        hub.notice(CLINIC.encode())
        await settled(good, 2)
        assert gone.listener.ended.is_set()
        assert not gone.listener.was_slow
        assert hub.count_living() == 1


async def test_who_has_not_taken_what_was_sent_is_cut_off_at_the_end() -> None:
    """Its connection would stay as long as it likes; others are left to end in peace."""
    async with running() as (hub, _store):
        slow, good = Client(hub), Client(hub)
        for client in (slow, good):
            await client.greet()
        slow.wire.unsent = 1
        good.wire.is_late = True
        good.listener.send(good.feed.heartbeat())
        for client in (slow, good):
            await client.listener.end()
        assert (slow.wire.is_cut, slow.listener.was_slow) == (True, True)
        assert (good.wire.is_cut, good.listener.was_slow) == (False, False)
        assert good.listener.ended.is_set()


async def test_a_client_is_not_slow_for_what_comes_at_once() -> None:
    """A page of changes is one piece: nobody can have taken it before the loop's turn has ended."""
    async with running() as (hub, store):
        client = Client(hub, unsent_max=UNSENT_MAX_BYTES // 4)
        client.wire.is_late = True
        await client.greet()
        store.enter(PAGE)
        hub.notice(CLINIC.encode())
        await eventually(lambda: len(client.wire.told) > PAGE, "all changes")
        assert not client.wire.is_cut
        assert client.heard[1:] == [f"QUEUE_UPDATE {number}" for number in range(1, PAGE + 1)]


async def test_closing_lets_nobody_wait_for_a_read_that_never_begins() -> None:
    """Whose task was made in the same turn of the loop."""
    async with running() as (hub, _store):
        client = Client(hub)
        greeting = asyncio.create_task(client.greet())
        await asyncio.sleep(0)
        hub.close()
        with pytest.raises(BrokerUnavailable):
            async with asyncio.timeout(5):
                await greeting


async def test_closing_lets_nobody_wait() -> None:
    """Neither who listens, nor who waits for the first word while Redis is silent."""
    async with running() as (hub, store):
        listening = Client(hub)
        await listening.greet()
        store.gate.clear()
        waiting = Client(hub)
        greeting = asyncio.create_task(waiting.greet())
        await eventually(lambda: store.reads >= 2, "a read on its way")
        hub.close()
        async with asyncio.timeout(5):
            await greeting
        assert listening.listener.ended.is_set()
        assert waiting.listener.ended.is_set()
