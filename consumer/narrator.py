"""
What a person who watches is told of windows that gather: that one opens, and who joins it.

A window has its id from its first message on, so all lines of a burst carry it. Nothing depends
on what is told: after a takeover nothing is told again, and what an owner that crashed had read
and not told yet never is.
"""

from __future__ import annotations

from collections.abc import Iterable

from consumer.attempt import Say
from consumer.conversation import State
from shared.window import RulesOf, first_cut, id_of


class Narrator:
    """Tells of each message once, when it is part of its user's next window to be handed over."""

    def __init__(self, say: Say, rules_of: RulesOf) -> None:
        self._say = say
        self._rules_of = rules_of

    def follow(self, states: Iterable[State]) -> None:
        """Tell only what comes from now on: these conversations were told of before."""
        for state in states:
            state.told = self._size(state)

    def learned(self, state: State, at: int) -> None:
        """An entry has taken its place in the conversation."""
        state.told = min(state.told, at)
        self._tell(state)

    def started(self, state: State) -> None:
        """The window is in hand: what came behind it makes the next one."""
        state.told = 0
        self._tell(state)

    def _tell(self, state: State) -> None:
        size = self._size(state)
        for at in range(state.told, size):
            message = state.entries[at].message
            event = "window.joined" if at else "window.opened"
            self._say(
                event,
                window=id_of(state.entries[0]),
                entry=str(state.entries[at].id),
                instance=message.instance,
                user=message.user,
            )
        state.told = size

    def _size(self, state: State) -> int:
        """How many entries the next window has as yet; what comes behind it belongs to others."""
        entries = state.entries
        if not entries:
            return 0
        rules = state.rules or self._rules_of(state.instance, entries[0].message.connection)
        cut = state.cut or first_cut(entries, rules)
        return len(entries) if cut.size is None else cut.size
