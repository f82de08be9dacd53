"""
The windows of paused instances: they may start, and are held back.

They take no handler slot, and their time does not run. What is read of their instances stays within
``READ_AHEAD`` and the budget of bytes, as for windows that wait for a slot. Nothing here outlives
the memory that it belongs to: a takeover holds back again what is still paused then.
"""

from __future__ import annotations

from collections.abc import Callable

from consumer.conversation import State
from consumer.startable import Startable
from shared.model import Conversation

IsPaused = Callable[[State], bool]
"""Whether a conversation's windows must not start now."""


def nothing_paused(_state: State) -> bool:
    """Where nobody steers."""
    return False


class Paused:
    """The way into a partition's ``startable``; held back is in the order of coming up."""

    def __init__(self, startable: Startable[State], is_paused: IsPaused) -> None:
        self._startable = startable
        self._is_paused = is_paused
        self._held: dict[Conversation, State] = {}

    def pass_on(self, state: State) -> None:
        """It may start when its turn comes, or is held back."""
        if self._is_paused(state):
            self._held[state.key] = state
        else:
            self._startable.add(state)

    def sort_out(self) -> None:
        """Others are paused now: hold those back, and let go of those that are not any more."""
        for state in self._startable.withdraw(self._is_paused):
            self._held[state.key] = state
        held, self._held = self._held, {}
        for state in held.values():
            self.pass_on(state)
