"""Windows of one partition get slots, and are started."""

from __future__ import annotations

from consumer.bodies import HELD_BYTES
from consumer.conversation import State
from consumer.memory import Memory
from consumer.turns import Turns
from shared.model import Token, Window, WorkerId
from shared.record import Record
from tests.support.histories import START_MS


def turns_of(memory: Memory) -> Turns[State]:
    """Whose turn it is, where there is one partition and no places are counted."""
    turns: Turns[State] = Turns(lambda _number: memory.startable)
    memory.startable.offer_all()
    turns.join(0, memory.startable.take_offers())
    return turns


def take_startable(
    memory: Memory, limit: int, room_bytes: int = HELD_BYTES, *, orphan: bool
) -> list[State]:
    """Up to so many conversations whose window may start now."""
    taken = turns_of(memory).take(limit, room_bytes, orphan=orphan)
    return [state for _, state in taken]


def make_record(window: Window, worker: str = "w1", serial: int = 1) -> Record:
    """The record that starting ``window`` writes."""
    return Record(
        ids=tuple(entry.id for entry in window.entries),
        window_id=window.id,
        closed_by=window.closed_by,
        opened_at=window.opened_at,
        closed_at=window.closed_at,
        token=Token(f"{worker}:1:{serial}"),
        worker=WorkerId(worker),
        attempt=1,
    )


def observe(memory: Memory, at_ms: int, at_s: float = 100.0) -> None:
    """A drained turn: Redis's time after the start, and the monotonic time it began and peeked."""
    memory.observe(START_MS + at_ms, at_s, at_s)
