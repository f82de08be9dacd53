"""One clinic's queue as this process knows it, and who listens to it. Without I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from ingest.frames import (
    Frame,
    frame_connected,
    frame_heartbeat,
    frame_snapshot,
    frame_update,
    join,
    order_of,
)
from ingest.listener import Listener
from shared.tickets import Event, Snapshot, Status


class Feed:
    """
    The queue after the last event that was read, told to each listener once and in order.

    Nothing here waits for a listener. ``wanted`` and ``readers`` are the hub's: whether something
    is to be read, and who waits until it was.
    """

    def __init__(self, clinic: str) -> None:
        self.clinic = clinic
        self.status: Status | None = None
        self.event_id = ""
        self.listeners: set[Listener] = set()
        self.is_stale = False
        self.wanted = False
        self.is_being_read = False
        self.readers: list[asyncio.Future[None]] = []
        self._has_changed = False

    @property
    def last(self) -> tuple[int, int]:
        """The event that it knows the queue at, in the order of events."""
        return order_of(self.event_id)

    def begin(self, snapshot: Snapshot) -> None:
        """Know the queue for the first time."""
        self.status, self.event_id = snapshot.status, snapshot.event_id

    def take(self, events: Sequence[Event]) -> None:
        """
        Changes behind the last one: those who do not know them are told, in one piece, for a loop
        that writes at the end of its turn would take many pieces for a client that is slow.
        """
        if not events:
            return
        before, told = self.last, []
        for event in events:
            assert self.status is not None
            self.status, self.event_id = event.status, event.id
            self._has_changed = True
            told.append((self.last, frame_update(event)))
        whole = join(frame for _, frame in told)
        for listener in self._told():
            known = listener.last
            if known is None or known <= before:
                listener.send(whole, self.event_id)
            elif known < self.last:
                listener.send(join(frame for at, frame in told if at > known), self.event_id)

    def jump(self, snapshot: Snapshot) -> None:
        """What came between is not known any more; everybody is told so."""
        self.begin(snapshot)
        self._has_changed = False
        frame = frame_snapshot(snapshot.status, snapshot.event_id, gap=True)
        for listener in self._told():
            listener.send(frame, self.event_id)

    def tell_snapshot(self) -> None:
        """The queue as it is, if it has changed since it was last told like this."""
        if self.status is None or not self._has_changed:
            return
        self._has_changed = False
        frame, at = frame_snapshot(self.status, self.event_id, gap=False), self.last
        for listener in self._told():
            if listener.last is not None and listener.last <= at:
                listener.send(frame, self.event_id)

    def tell_alive(self) -> None:
        """A heartbeat."""
        frame = self.heartbeat()
        for listener in self._told():
            listener.send(frame)

    def heartbeat(self) -> Frame:
        """Whether what listeners know is what Redis holds."""
        return frame_heartbeat(self.clinic, stale=self.is_stale)

    def note_stale(self, *, is_stale: bool) -> None:
        """Redis does not answer, or does again: that is told at once."""
        if self.is_stale != is_stale:
            self.is_stale = is_stale
            self.tell_alive()

    def connect(self, listener: Listener, *, resumed: bool, gap: bool = False) -> None:
        """The listener's first word: the queue as it is known here, and changes from now on."""
        assert self.status is not None
        frame = frame_connected(self.status, self.event_id, resumed=resumed, gap=gap)
        self._greet(listener, frame)

    def reconnect(self, listener: Listener) -> None:
        """Some of what it missed is not known any more: the queue as it is, and what follows."""
        assert self.status is not None
        self._greet(listener, frame_snapshot(self.status, self.event_id, gap=True))

    def admit(self, listener: Listener, event_id: str) -> bool:
        """Changes from now on, for who knows the queue at that event, if nothing lies between."""
        if order_of(event_id) < self.last:
            return False
        listener.last = order_of(event_id)
        if self.is_stale:
            listener.send(self.heartbeat())
        return True

    def _greet(self, listener: Listener, frame: Frame) -> None:
        listener.send(frame)
        self.admit(listener, self.event_id)

    def _told(self) -> Iterator[Listener]:
        """Those who were admitted."""
        return (listener for listener in list(self.listeners) if listener.last is not None)
