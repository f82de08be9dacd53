"""What a hub reads, and what it tells to whom: beside a store that does as the test says."""

from __future__ import annotations

import asyncio

import pytest
import structlog

from ingest.hub import PAGE, Times
from shared.errors import BrokerUnavailable
from tests.support.hub import CLINIC, Client, running, settled
from tests.support.waiting import eventually


async def test_notices_that_come_while_reading_cost_one_more_read() -> None:
    """What was said before the read began is in it; for what came later one read is enough."""
    async with running() as (hub, store):
        client = Client(hub)
        await client.greet()
        store.reads = 0
        store.gate.clear()
        for _ in range(100):
            store.enter()
            hub.notice(CLINIC.encode())
            await asyncio.sleep(0)
        assert store.reads == 1
        store.gate.set()
        await settled(client, 101)
        assert store.reads == 2
        assert client.heard == ["CONNECTED 0", *(f"QUEUE_UPDATE {n}" for n in range(1, 101))]


async def test_newcomers_share_a_read_and_are_told_no_older_queue_than_was_there() -> None:
    """A crowd that comes at once costs one or two reads, not one each."""
    async with running() as (hub, store):
        first = Client(hub)
        await first.greet()
        store.reads = 0
        store.enter()  # whose notice is still on its way
        crowd = [Client(hub) for _ in range(50)]
        await asyncio.gather(*(client.greet() for client in crowd))
        assert store.reads == 1
        assert all(client.heard == ["CONNECTED 1"] for client in crowd)
        assert first.heard == ["CONNECTED 0", "QUEUE_UPDATE 1"]


async def test_queues_that_nobody_listens_to_are_not_read() -> None:
    """Whatever is said of them; and a queue is forgotten with its last listener."""
    async with running() as (hub, store):
        hub.notice(CLINIC.encode())
        hub.notice(b"\xff\xfe")
        hub.look_again()
        await asyncio.sleep(0)
        client = Client(hub)
        await client.greet()
        client.leave()
        store.reads = 0
        hub.notice(CLINIC.encode())
        hub.look_again()
        for _ in range(5):
            await asyncio.sleep(0)
        assert store.reads == 0
        assert len(hub) == 0


async def test_what_happens_while_somebody_catches_up_is_told_once_and_in_its_place() -> None:
    """Between two pages others are told the newest: who catches up is not, until it is its turn."""
    async with running() as (hub, store):
        store.enter(PAGE + 3)
        other, client = Client(hub), Client(hub)
        await other.greet()

        def enter_one() -> None:
            if len(store.events) < PAGE + 20:
                store.enter()
                hub.notice(CLINIC.encode())

        client.answer.on_write = enter_one
        await client.greet("0-0")
        store.enter()
        hub.notice(CLINIC.encode())
        last = len(store.events)
        await settled(client, last + 1)
        assert client.heard == ["CONNECTED 0", *(f"QUEUE_UPDATE {n}" for n in range(1, last + 1))]
        assert other.heard[-1] == f"QUEUE_UPDATE {last}"


async def test_what_is_dropped_while_somebody_catches_up_is_a_gap() -> None:
    """Then the queue is told as it is, with ``gap``, and the rest follows."""
    async with running() as (hub, store):
        store.enter(PAGE * 2)
        client = Client(hub)
        client.answer.on_write = lambda: setattr(store, "lost", PAGE * 2 - 1)
        await client.greet("0-0")
        told = client.wire.told[-1]
        assert (told["type"], told["gap"], told["last"]) == ("SNAPSHOT", True, PAGE * 2)
        store.enter()
        hub.notice(CLINIC.encode())
        await settled(client, PAGE + 3)
        assert client.heard[-1] == f"QUEUE_UPDATE {PAGE * 2 + 1}"


async def test_a_failed_read_is_told_and_tried_again() -> None:
    """Stale once, however often it fails; then what was missed, and not stale."""
    async with running() as (hub, store):
        client = Client(hub)
        await client.greet()
        store.failure = BrokerUnavailable("gone")
        store.enter()
        hub.notice(CLINIC.encode())
        store.reads = 0
        await eventually(lambda: store.reads > 3, "several tries")
        store.failure = None
        await settled(client, 4)
        assert client.heard == [
            "CONNECTED 0",
            "HEARTBEAT True",
            "QUEUE_UPDATE 1",
            "HEARTBEAT False",
        ]


async def test_our_own_mistake_is_logged_once_and_ends_nothing() -> None:
    """An unreadable event must not end the process with all its webhooks."""
    async with running() as (hub, store):
        client = Client(hub)
        await client.greet()
        store.failure = ValueError("what is this?")
        store.reads = 0
        with structlog.testing.capture_logs() as logs:
            hub.notice(CLINIC.encode())
            await eventually(lambda: store.reads > 3, "several tries")
            store.failure = None
            await settled(client, 3)
        assert [line["log_level"] for line in logs] == ["error"]
        assert client.heard == ["CONNECTED 0", "HEARTBEAT True", "HEARTBEAT False"]


async def test_where_nothing_is_known_nobody_is_told_anything() -> None:
    """The endpoint then says so, and ends the stream."""
    async with running() as (hub, store):
        store.failure = BrokerUnavailable("gone")
        client = Client(hub)
        with pytest.raises(BrokerUnavailable):
            await client.greet()
        assert client.heard == []
        client.leave()


async def test_what_was_read_ahead_of_the_feed_is_not_told_again() -> None:
    """Who catches up may read a change whose notice is still on its way."""
    async with running() as (hub, store):
        store.enter(3)
        other, client = Client(hub), Client(hub)
        await other.greet()
        store.on_read = lambda: store.enter() if store.reads == 3 else None
        await client.greet("0-0")
        assert other.heard == ["CONNECTED 3"], "void: the feed has read it, too"
        store.enter()
        hub.notice(CLINIC.encode())
        last = len(store.events)
        await settled(client, last + 1)
        await eventually(lambda: other.heard[-1] == f"QUEUE_UPDATE {last}", "the other")
        assert client.heard == ["CONNECTED 0", *(f"QUEUE_UPDATE {n}" for n in range(1, last + 1))]


async def test_more_than_a_page_is_read_for_one_notice() -> None:
    """After an outage nobody says anything again: all is read that there is."""
    async with running() as (hub, store):
        client = Client(hub)
        await client.greet()
        store.enter(PAGE * 2 + 1)
        hub.notice(CLINIC.encode())
        await settled(client, PAGE * 2 + 2)
        assert client.heard[-1] == f"QUEUE_UPDATE {PAGE * 2 + 1}"


async def test_an_id_behind_which_nothing_is_kept_is_a_gap() -> None:
    """Redis has lost what the feed knows: the queue as it was last known, and that it is a gap."""
    async with running() as (hub, store):
        store.enter(3)
        other, client = Client(hub), Client(hub)
        await other.greet()
        del store.events[1:]
        await client.greet("1-0")
        (told,) = client.wire.told
        assert (told["type"], told["gap"]) == ("CONNECTED", True)


def test_the_times_are_those_of_the_contract() -> None:
    """15 s, 5 s, 5 minutes."""
    times = Times()
    assert (times.heartbeat_s, times.snapshot_s, times.life_s) == (15, 5, 300)
