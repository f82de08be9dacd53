"""
What the owner of a partition knows: every unfinished entry, by conversation.

No I/O and no clock: times come in. Entries are learned in stream order; ``observe`` moves the
watermark and closes what is due; ``startable`` are those whose window may start. A takeover
throws the whole memory away and builds a new one from the stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consumer.bodies import HELD_BYTES, cost_bytes, entry_cost_bytes, strip
from consumer.conversation import Phase, State, StreamMemory, window_of
from consumer.narrator import Narrator
from consumer.paused import IsPaused, Paused, nothing_paused
from consumer.startable import Startable
from consumer.timers import Timers
from shared.model import ClosedBy, Conversation, Entry, Token, Window
from shared.record import Record
from shared.window import RulesOf, extend_cut, first_cut, match_entries


class Memory:
    """
    The conversations of one partition, as its owner has read them.

    ``held_bytes``: what the entries that are not bare cost, at most ``limit_bytes``.
    """

    def __init__(
        self,
        rules_of: RulesOf,
        limit_bytes: int = HELD_BYTES,
        is_paused: IsPaused = nothing_paused,
    ) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self.states: dict[Conversation, State] = {}
        self.streams: dict[str, StreamMemory] = {}
        self.unread: set[str] = set()
        self.foreign: dict[Conversation, State] = {}
        self.open: dict[Conversation, State] = {}
        self._narrator: Narrator | None = None
        self._rules_of = rules_of
        self.startable: Startable[State] = Startable()
        self.paused = Paused(self.startable, is_paused)
        self._timers = Timers()

    def stream(self, instance: str) -> StreamMemory:
        """The memory of one stream, made when it is new."""
        found = self.streams.get(instance)
        if found is None:
            found = self.streams[instance] = StreamMemory()
        return found

    def watermark_ms(self, instance: str) -> int:
        """Every entry of the instance older than this has been read."""
        if instance in self.unread:
            return self.stream(instance).read_to_ms
        return self._timers.now_ms

    # Learning

    def place_record(self, conversation: Conversation, record: Record) -> None:
        """Begin with a record: what it holds is not cut again. Only before entries are learned."""
        self._state(conversation).record = record

    def learn(self, entry: Entry, now_s: float) -> None:
        """Add an entry that was read or claimed."""
        self.learn_page(entry.message.instance, (entry,), now_s)

    def learn_page(self, instance: str, entries: Sequence[Entry], now_s: float) -> None:
        """
        Add entries of one stream that were read, in its order, bare where the budget is used up;
        those that are known already change nothing.
        """
        stream, watermark_ms = self.stream(instance), self.watermark_ms(instance)
        are_newest = entries[0].id > stream.newest
        stream.newest = max(stream.newest, entries[-1].id)
        states, gathers, narrator = self.states, Phase.OPEN, self._narrator
        for entry in match_entries(instance, entries, self._rules_of):
            conversation = (instance, entry.message.user)
            state = states.get(conversation)
            if state is None:
                state = states[conversation] = State(conversation)
            held = state.entries
            at = len(held)
            if not are_newest or state.record is not None:
                place = state.place(entry)
                if place is None:
                    continue
                if place < at and state.phase is gathers:
                    state.cut = None
                at = place
            cost = entry_cost_bytes(entry)
            fits = self.held_bytes + cost <= self._limit_bytes
            if fits:
                self.held_bytes += cost
            held.insert(at, entry if fits else strip(entry, held[at - 1] if at else None))
            state.read_at_s.insert(at, now_s)
            stream.held += 1
            if state.phase is gathers:
                stream.open += 1
                if state.record is None and self._changes(state, entry):
                    self._look(state, watermark_ms)
            if narrator is not None:
                narrator.learned(state, at)

    def attach(self, conversation: Conversation, members: Iterable[Entry]) -> bool:
        """
        Give a placed record its entries: its window, as it was frozen, and bare.

        False: none of them is there any more.
        """
        state = self._state(conversation)
        record = state.record
        entries = tuple(strip(entry) for entry in members)
        if record is None or not entries:
            return False
        state.window = window_of(record, conversation, entries)
        self.stream(conversation[0]).held += len(entries)
        return True

    def observe(self, now_ms: int, began_s: float, peeked_s: float) -> None:
        """
        Move the watermark: a peek from ``began_s`` to ``peeked_s`` said ``now_ms``, and what it
        named has been read, but for what is left in ``unread``. Closes what is due.
        """
        self._timers.set_clock(now_ms, began_s, peeked_s)
        for state in self._timers.due_windows(self.watermark_ms):
            self._look(state, self.watermark_ms(state.key[0]))
        if self._timers.is_fallback_due(peeked_s):
            for state in list(self.open.values()):
                if state.key[0] not in self.unread and state.is_over_by_clock(began_s):
                    state.closed_by = ClosedBy.CLOCK
                    self._queue(state)

    def narrate(self, narrator: Narrator | None) -> None:
        """Tell somebody what is learned from now on."""
        self._narrator = narrator
        if narrator is not None:
            narrator.follow(self.states.values())

    def steer(self) -> None:
        """
        Other settings hold. Open windows keep theirs, unless each message is to be alone now: then
        what gathers is cut anew. What is paused is held back, and what is not any more may start.
        """
        for state in list(self.open.values()):
            is_alone = self._rules_of(state.instance, state.connection).pass_through
            if is_alone and state.rules is not None and not state.rules.pass_through:
                state.cut = state.rules = None
                self._look(state, self.watermark_ms(state.instance))
        self.paused.sort_out()

    # Starting

    def wake_backoffs(self, now_s: float) -> None:
        """Make startable the records whose time has come."""
        for state in self._timers.due_records(now_s):
            self._queue(state)

    def is_waiting(self, conversation: Conversation, token: Token) -> bool:
        """Whether the record under a token waits here: for a slot or place, or a pause's end."""
        state = self.states.get(conversation)
        if state is None or state.record is None or state.record.token != token:
            return False
        return state.phase in (Phase.STARTABLE, Phase.STARTING)

    def window_to_start(self, state: State) -> Window:
        """The frozen window of a conversation that has a slot; its entries may be bare."""
        state.phase = Phase.STARTING
        return state.freeze_cut() if state.window is None else state.window

    def started(self, state: State, window: Window, record: Record) -> None:
        """
        The record stands: its entries leave the conversation's open ones.

        ``window`` is what ``window_to_start`` gave; what was fetched for it is not kept here.
        """
        is_new = state.window is None
        if is_new:
            size = len(window.entries)
            del state.entries[:size]
            del state.read_at_s[:size]
        state.window, state.record = window, record
        state.cut = state.closed_by = state.due_ms = state.rules = None
        if is_new and self._narrator is not None:
            self._narrator.started(state)
        state.orphaned = False
        self.set_phase(state, Phase.RUNNING)

    # After an attempt

    def postponed(self, state: State, record: Record, due_s: float) -> None:
        """The record is nobody's until ``due_s``."""
        state.record = record
        self.foreign.pop(state.key, None)
        self.set_phase(state, Phase.WAITING)
        self._timers.run_again_at(state, due_s, record.token)

    def adopt(self, state: State, *, orphaned: bool) -> None:
        """
        The record may be started again: it is ours without a handler, or its worker is dead.

        ``orphaned``: it died with its worker, and no other such window may run beside it.
        """
        state.orphaned = orphaned
        self.foreign.pop(state.key, None)
        self._queue(state)

    def keep_running(self, state: State) -> None:
        """The record is ours and its handler is at work: wait for it."""
        self.set_phase(state, Phase.RUNNING)

    def watch(self, state: State) -> None:
        """The record is another live worker's: look again later."""
        self.set_phase(state, Phase.FOREIGN)
        self.foreign[state.key] = state

    def settle(self, state: State) -> None:
        """The window is finished: the user's next one may open, close and start."""
        instance = state.key[0]
        stream = self.stream(instance)
        if state.window is not None:
            stream.held -= len(state.window.entries)
            self.held_bytes -= cost_bytes(state.window.entries)
        state.window = state.record = None
        self.foreign.pop(state.key, None)
        self.set_phase(state, Phase.OPEN)
        if state.entries:
            state.queued_behind = self._look(state, self.watermark_ms(instance))
            return
        del self.states[state.key]
        if not stream.held and not stream.busy:
            del self.streams[instance]

    def next_wake_s(self, now_s: float, idle_s: float) -> float:
        """When (monotonic seconds) the loop must turn again though nothing rings."""
        has_open, has_foreign = bool(self.open), bool(self.foreign)
        return self._timers.next_wake_s(now_s, idle_s, has_open=has_open, has_foreign=has_foreign)

    def set_phase(self, state: State, phase: Phase) -> None:
        """Move a conversation on, and count it among its stream's busy ones or not."""
        was_open, is_open = state.phase is Phase.OPEN, phase is Phase.OPEN
        if was_open != is_open:
            stream, closed = self.stream(state.key[0]), 1 if was_open else -1
            stream.busy += closed
            stream.open -= closed * len(state.entries)
        if not is_open:
            self.open.pop(state.key, None)
        state.phase = phase

    def _state(self, conversation: Conversation) -> State:
        state = self.states.get(conversation)
        if state is None:
            state = self.states[conversation] = State(conversation)
        return state

    def _changes(self, state: State, entry: Entry) -> bool:
        """Whether what has come behind the others changes the cut of an open conversation."""
        cut, rules = state.cut, state.rules
        if cut is None or rules is None:
            return True
        state.cut = extend_cut(cut, len(state.entries) - 1, entry, rules)
        return state.cut is not cut

    def _look(self, state: State, watermark_ms: int) -> bool:
        """Cut an open conversation's first window, if it is not; queue it if it is closed."""
        cut = state.cut
        if cut is None:
            rules = state.rules = state.rules or self._rules_of(state.instance, state.connection)
            cut = state.cut = first_cut(state.entries, rules)
            self.open[state.key] = state
        if (closed_by := cut.closes_at(watermark_ms)) is not None:
            state.closed_by = closed_by
            self._queue(state)
            return True
        if cut.due_ms != state.due_ms:
            self._timers.close_at(state, cut.due_ms)
        return False

    def _queue(self, state: State) -> None:
        state.queued_behind = False
        state.size_window()
        self.set_phase(state, Phase.STARTABLE)
        self.paused.pass_on(state)
