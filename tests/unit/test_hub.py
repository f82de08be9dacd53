"""What is read, and what is told to whom: beside a store that does as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import structlog
from aiohttp import web

from ingest.feed import Feed
from ingest.hub import PAGE, Hub, Times, open_hub
from ingest.listener import UNSENT_MAX_BYTES, Listener
from ingest.ticketing import listeners_limit
from shared.errors import BrokerUnavailable
from shared.metrics import IngestMetrics, InstanceLabels
from shared.tickets import Change, Event, Gap, Snapshot, Status
from tests.support.waiting import eventually

CLINIC = "north-wing"
QUIET = Times(heartbeat_s=1000, snapshot_s=1000, retry_s=0.01, life_s=1000)


def event_of(number: int) -> Event:
    """Somebody entered, and got this number."""
    status = Status(clinic=CLINIC, last=number)
    return Event(
        id=f"{number}-0",
        change=Change.ENTERED,
        number=number,
        seq=number,
        at_ms=number,
        status=status,
    )


class Store:
    """Keeps events in a list; each read waits for ``gate``, or fails with ``failure``."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.on_read: Callable[[], object] = lambda: None
        self.lost = 0

    def enter(self, count: int = 1) -> None:
        """So many more get numbers."""
        for _ in range(count):
            self.events.append(event_of(len(self.events) + 1))

    async def _read(self) -> None:
        self.reads += 1
        self.on_read()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure

    async def snapshot(self, clinic: str) -> Snapshot:
        """The queue now."""
        await self._read()
        if not self.events:
            return Snapshot(status=Status(clinic=clinic), event_id="0-0")
        return Snapshot(status=self.events[-1].status, event_id=self.events[-1].id)

    async def event(self, clinic: str, event_id: str) -> Event | None:
        """One of them."""
        return next((event for event in self.events if event.id == event_id), None)

    async def events_since(
        self, clinic: str, event_id: str, count: int = PAGE
    ) -> list[Event] | Gap:
        """Those behind one; a gap where that is among the first ``lost``."""
        number = int(event_id.partition("-")[0])
        await self._read()
        return Gap() if number < self.lost else self.events[number : number + count]


class Wire(asyncio.Transport):
    """
    What a client was sent; ``unsent``: what it has not taken.

    ``is_late``: it is written at the end of a turn of the loop, as uvloop does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.unsent = 0
        self.is_cut = self.is_left = self.is_late = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        assert not self.is_closing()
        self.pieces.append(bytes(data))
        if self.is_late:
            self.unsent += len(data)
            asyncio.get_running_loop().call_soon(self._take, len(data))

    def _take(self, size: int) -> None:
        self.unsent -= size

    def get_write_buffer_size(self) -> int:
        """As the test says."""
        return self.unsent

    def is_closing(self) -> bool:
        """Whether we cut it, or the client left."""
        return self.is_cut or self.is_left

    def abort(self) -> None:
        """Cut it."""
        self.is_cut = True

    @property
    def told(self) -> list[dict[str, Any]]:
        """The data of what was written."""
        lines = b"".join(self.pieces).split(b"\n")
        return [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]


class Answer:
    """Writes to the same wire; ``on_write`` happens while a piece is on its way."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.on_write: Callable[[], object] = lambda: None

    async def write(self, piece: bytes) -> None:
        """As aiohttp's does."""
        self._wire.write(piece)
        self.on_write()
        await asyncio.sleep(0)


@dataclass
class Client:
    """A listener and what it was told."""

    hub: Hub
    wire: Wire = field(default_factory=Wire)
    unsent_max: int = 100

    def __post_init__(self) -> None:
        self.listener = Listener(self.wire, chunked=False, unsent_max=self.unsent_max)
        self.answer = Answer(self.wire)
        self.feed: Feed = self.hub.enter(CLINIC, self.listener)

    async def greet(self, since: str | None = None) -> None:
        """Begin to listen."""
        answer = cast(web.StreamResponse, self.answer)
        await self.hub.greet(self.feed, self.listener, answer, since)

    def leave(self) -> None:
        """As the endpoint does at the end."""
        self.hub.leave(self.feed, self.listener)

    @property
    def heard(self) -> list[str]:
        """Kinds and the last number, of what was told."""
        return [f"{told['type']} {told.get('last', told.get('stale'))}" for told in self.wire.told]


@asynccontextmanager
async def running(times: Times = QUIET) -> AsyncIterator[tuple[Hub, Store]]:
    """A hub over a store."""
    store = Store()
    async with open_hub(store, IngestMetrics(InstanceLabels(1)), times) as hub:
        yield hub, store


async def settled(client: Client, count: int) -> None:
    """Wait until so much was told."""
    await eventually(lambda: len(client.wire.told) >= count, f"{count} events")


@pytest.mark.parametrize(
    "wanted, files, limit",
    [(2000, 65_536, 2000), (2000, 4096, 1536), (100_000, 65_536, 8192), (0, 65_536, 0)],
)
def test_streams_leave_connections_for_webhooks(wanted: int, files: int, limit: int) -> None:
    """Half of what the process may hold, whatever the setting says."""
    assert listeners_limit(wanted, files) == limit


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
