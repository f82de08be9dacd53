"""Windows of one partition get slots."""

from __future__ import annotations

from consumer.bodies import HELD_BYTES
from consumer.conversation import State
from consumer.memory import Memory
from consumer.turns import Turns


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
