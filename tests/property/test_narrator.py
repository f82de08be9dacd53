"""What is told of windows that gather, against the windows that then start."""

from __future__ import annotations

from collections import defaultdict
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from consumer.conversation import Phase
from consumer.memory import Memory
from consumer.narrator import Narrator
from shared.model import Conversation, Entry, Window
from shared.window import Rules
from tests.support.histories import INSTANCE, START_MS, USER, entries_of, histories, rules
from tests.support.turns import make_record, take_startable

WHO: Conversation = (INSTANCE, USER)
FAR_MS = START_MS + 10_000_000


class Owner:
    """A memory with a narrator that writes down; one window at a time starts and is finished."""

    def __init__(self, of: Rules) -> None:
        self.memory = Memory(lambda _instance, _connection: of)
        self.narrator = Narrator(self._tell, lambda _instance, _connection: of)
        self.told: list[tuple[str, str, str]] = []
        self.started: list[Window] = []
        self._serial = count()

    def _tell(self, event: str, **facts: Any) -> None:
        assert (facts["instance"], facts["user"]) == WHO
        self.told.append((event, facts["window"], facts["entry"]))

    def learn(self, entries: list[Entry]) -> None:
        """One page, read as soon as its last entry was there."""
        if entries:
            self.memory.learn_page(INSTANCE, entries, 0.0)
            self.memory.observe(entries[-1].id.ms, 0.0, 0.0)

    def start(self) -> None:
        """What may start."""
        for state in take_startable(self.memory, 10, orphan=True):
            window = self.memory.window_to_start(state)
            self.memory.started(state, window, make_record(window, serial=next(self._serial)))
            self.started.append(window)

    def settle(self) -> None:
        """What is in hand is finished."""
        state = self.memory.states.get(WHO)
        if state is not None and state.phase is Phase.RUNNING:
            self.memory.settle(state)

    def drain(self) -> None:
        """Until nothing is left."""
        self.memory.observe(FAR_MS, 0.0, 0.0)
        while self.memory.states:
            self.start()
            self.settle()
            self.memory.observe(FAR_MS, 0.0, 0.0)


@given(st.data(), rules())
def test_each_message_is_told_once_under_the_window_that_it_is_handed_over_in(
    data: st.DataObject, of: Rules
) -> None:
    """Opened by the first, joined by all others, in order, and before the window starts."""
    owner = Owner(of)
    owner.memory.narrate(owner.narrator)
    entries = entries_of(data.draw(histories(of)), of)
    while entries:
        size = data.draw(st.integers(1, 4))
        owner.learn(entries[:size])
        del entries[:size]
        if data.draw(st.booleans()):
            owner.start()
        if data.draw(st.booleans()):
            owner.settle()
        known = {entry for _, _, entry in owner.told}
        assert all(str(entry.id) in known for window in owner.started for entry in window.entries)
    owner.drain()
    told = defaultdict(list)
    for event, window, entry in owner.told:
        told[window].append((event, entry))
    assert told == {
        window.id: [
            ("window.joined" if at else "window.opened", str(entry.id))
            for at, entry in enumerate(window.entries)
        ]
        for window in owner.started
    }


@given(st.data(), rules())
def test_after_a_takeover_nothing_is_told_again(data: st.DataObject, of: Rules) -> None:
    """What a memory knew when it was whole was told by the owner before."""
    owner = Owner(of)
    entries = entries_of(data.draw(histories(of)), of)
    at = data.draw(st.integers(0, len(entries)))
    owner.learn(entries[:at])
    owner.memory.narrate(owner.narrator)
    assert not owner.told
    first = {str(owner.memory.states[WHO].entries[0].id)} if owner.memory.states else set()
    owner.learn(entries[at:])
    owner.drain()
    events = [(event, entry) for event, _, entry in owner.told]
    assert len(events) == len(set(events))
    assert not first & {entry for _, entry in events}
    told_of_new = {entry for _, entry in events} & {str(entry.id) for entry in entries[at:]}
    assert len(told_of_new) == len(entries) - at
