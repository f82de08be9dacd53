"""
What the owner of a partition knows: every unfinished entry, by conversation.

No I/O and no clock: times come in. Entries are learned in stream order; ``observe`` moves the
watermark and closes what is due; ``take_startable`` hands over what may start. A takeover
throws the whole memory away and builds a new one from the stream.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

from consumer.bodies import HELD_BYTES, cost_bytes, size_bytes, strip
from consumer.startable import Startable
from consumer.window import Cut, Rules, first_cut, freeze
from shared.model import ClosedBy, Conversation, Entry, EntryId, Token, Window
from shared.record import Record

FALLBACK_CHECK_S = 1.0
"""How often open windows are held against the local clock: only a step of Redis's needs it."""

FOREIGN_CHECK_S = 1.0
"""How often the records of other workers are looked at again."""


class Phase(Enum):
    """Where a conversation stands."""

    OPEN = auto()
    """Its window gathers, or there is none."""
    STARTABLE = auto()
    """A window is closed, or a record is due, and waits for a handler slot."""
    STARTING = auto()
    """The start script is on its way."""
    RUNNING = auto()
    """A handler of this worker has it."""
    WAITING = auto()
    """Its record is nobody's and due later."""
    FOREIGN = auto()
    """A live other worker has it."""


@dataclass(slots=True, eq=False)
class State:
    """One conversation. ``entries`` are those that no record holds, in stream order."""

    key: Conversation
    entries: list[Entry] = field(default_factory=list)
    read_at_s: list[float] = field(default_factory=list)
    phase: Phase = Phase.OPEN
    rules: Rules | None = None
    cut: tuple[int, ClosedBy, int] | None = None
    due_ms: int | None = None
    record: Record | None = None
    window: Window | None = None
    orphaned: bool = False
    queued_behind: bool = False

    @property
    def window_bytes(self) -> int:
        """What the window that may start takes in the stream."""
        if self.window is not None:
            return size_bytes(self.window.entries)
        return size_bytes(self.entries[: self.cut[0]]) if self.cut is not None else 0


Due = tuple[int, int, State]
"""When a window is due in Redis's ms, a serial number, and whose it is."""


@dataclass(slots=True)
class StreamMemory:
    """
    One instance's stream: entries held, those of them in open conversations, conversations not
    open, ms of the last entry read.
    """

    held: int = 0
    open: int = 0
    busy: int = 0
    read_to_ms: int = 0


class Memory:
    """
    The conversations of one partition, as its owner has read them.

    ``held_bytes``: what the entries that are not bare cost, at most ``limit_bytes``.
    """

    def __init__(self, rules_of: Callable[[str], Rules], limit_bytes: int = HELD_BYTES) -> None:
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self.states: dict[Conversation, State] = {}
        self.streams: dict[str, StreamMemory] = {}
        self.unread: set[str] = set()
        self.foreign: dict[Conversation, State] = {}
        self.open: dict[Conversation, State] = {}
        self.on_opened: Callable[[Entry], None] = _say_nothing
        self._rules_of = rules_of
        self._startable: Startable[State] = Startable()
        self._due: list[Due] = []
        self._backoff: list[tuple[float, int, State, Token]] = []
        self._serial = itertools.count()
        self._now_ms = 0
        self._behind: dict[str, list[Due]] = {}
        self._peeked_s = 0.0
        self._drained_s = 0.0
        self._fallback_s = 0.0

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
        return self._now_ms

    # Learning

    def place_record(self, conversation: Conversation, record: Record) -> None:
        """Begin with a record: what it holds is not cut again. Only before entries are learned."""
        self._state(conversation).record = record

    def learn(self, entry: Entry, now_s: float) -> None:
        """
        Add an entry that was read or claimed, bare where the budget is used up; one that is
        known already changes nothing.
        """
        message = entry.message
        state = self._state((message.instance, message.user))
        record = state.record
        if record is not None and entry.id in record.ids:
            return
        at = len(state.entries)
        while at and entry.id < state.entries[at - 1].id:
            at -= 1
        if at and entry.id == state.entries[at - 1].id:
            return
        state.entries.insert(at, self._fit(entry, state.entries[at - 1] if at else None))
        state.read_at_s.insert(at, now_s)
        stream = self.stream(message.instance)
        stream.held += 1
        if state.phase is Phase.OPEN:
            stream.open += 1
        if len(state.entries) == 1:
            self.on_opened(entry)
        if state.phase is Phase.OPEN and record is None:
            self._look(state)

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
        state.window = Window(
            id=record.window_id,
            instance=conversation[0],
            user=conversation[1],
            entries=entries,
            closed_by=record.closed_by,
            opened_at=record.opened_at,
            closed_at=record.closed_at,
        )
        self.stream(conversation[0]).held += len(entries)
        return True

    def observe(self, now_ms: int, began_s: float, peeked_s: float) -> None:
        """
        Move the watermark: a peek from ``began_s`` to ``peeked_s`` said ``now_ms``, and what it
        named has been read, but for what is left in ``unread``. Closes what is due.

        What is due and not closed waits by its stream, so that it is not looked at each time
        while that stream's watermark stays behind: a flood may hold a million windows open.
        """
        self._now_ms, self._peeked_s, self._drained_s = now_ms, peeked_s, began_s
        for due in _pop_until(self._due, now_ms):
            heapq.heappush(self._behind.setdefault(due[2].key[0], []), due)
        for instance, behind in list(self._behind.items()):
            for due_ms, _, state in _pop_until(behind, self.watermark_ms(instance)):
                if due_ms == state.due_ms and state.phase is Phase.OPEN:
                    self._look(state)
            if not behind:
                del self._behind[instance]
        if peeked_s >= self._fallback_s + FALLBACK_CHECK_S:
            self._fallback_s = peeked_s
            for state in list(self.open.values()):
                self._close_by_local_clock(state)

    # Starting

    def wake_backoffs(self, now_s: float) -> None:
        """Make startable the records whose time has come."""
        while self._backoff and self._backoff[0][0] <= now_s:
            _, _, state, token = heapq.heappop(self._backoff)
            if state.phase is Phase.WAITING and state.record and state.record.token == token:
                self._queue(state)

    def take_startable(
        self, limit: int, room_bytes: int = HELD_BYTES, *, orphan: bool
    ) -> list[State]:
        """
        Up to ``limit`` conversations whose window may start now; their phase is STARTING.

        ``room_bytes`` are for the bulky ones. ``orphan``: one that died with its worker, and
        runs alone, may be among them.
        """
        taken = self._startable.take(limit, room_bytes, orphan=orphan)
        for state in taken:
            state.phase = Phase.STARTING
        return taken

    def has_startable(self) -> bool:
        """Whether anything waits for a handler slot."""
        return len(self._startable) > 0

    def window_to_start(self, state: State) -> Window:
        """The frozen window of a taken conversation; its entries may be bare."""
        if state.window is not None:
            return state.window
        assert state.cut is not None
        size, closed_by, due_ms = state.cut
        return freeze(state.entries[:size], closed_by, due_ms)

    def started(self, state: State, window: Window, record: Record) -> None:
        """
        The record stands: its entries leave the conversation's open ones.

        ``window`` is what ``window_to_start`` gave; what was fetched for it is not kept here.
        """
        if state.window is None:
            size = len(window.entries)
            del state.entries[:size]
            del state.read_at_s[:size]
            if state.entries:
                self.on_opened(state.entries[0])
        state.window, state.record = window, record
        state.cut = state.due_ms = state.rules = None
        state.orphaned = False
        self.set_phase(state, Phase.RUNNING)

    # After an attempt

    def postponed(self, state: State, record: Record, due_s: float) -> None:
        """The record is nobody's until ``due_s``."""
        state.record = record
        self.foreign.pop(state.key, None)
        self.set_phase(state, Phase.WAITING)
        heapq.heappush(self._backoff, (due_s, next(self._serial), state, record.token))

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
        if state.window is not None:
            self.stream(state.key[0]).held -= len(state.window.entries)
            self.held_bytes -= cost_bytes(state.window.entries)
        state.window = state.record = None
        self.foreign.pop(state.key, None)
        self.set_phase(state, Phase.OPEN)
        if not state.entries:
            del self.states[state.key]
            self._forget_idle_stream(state.key[0])
            return
        if self._look(state):
            state.queued_behind = True

    def knows(self, entry_ids: Iterable[EntryId], instance: str) -> set[EntryId]:
        """Those of ``entry_ids`` that some window in memory holds."""
        held: set[EntryId] = set()
        for state in self.states.values():
            if state.key[0] == instance:
                held.update(entry.id for entry in state.entries)
                held.update(state.record.ids if state.record else ())
        return held.intersection(entry_ids)

    # Time

    def next_wake_s(self, now_s: float, idle_s: float) -> float:
        """When (monotonic seconds) the loop must turn again though nothing rings."""
        wake_s = now_s + idle_s
        if self._due:
            wake_s = min(wake_s, self._peeked_s + (self._due[0][0] - self._now_ms) / 1000)
        if self._backoff:
            wake_s = min(wake_s, self._backoff[0][0])
        if self.foreign:
            wake_s = min(wake_s, now_s + FOREIGN_CHECK_S)
        if self.open:
            wake_s = min(wake_s, self._fallback_s + FALLBACK_CHECK_S)
        return max(wake_s, now_s)

    # Inside

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

    def _forget_idle_stream(self, instance: str) -> None:
        stream = self.streams.get(instance)
        if stream is not None and not stream.held and not stream.busy:
            del self.streams[instance]

    def _fit(self, entry: Entry, before: Entry | None) -> Entry:
        cost = cost_bytes((entry,))
        if self.held_bytes + cost > self._limit_bytes:
            return strip(entry, before)
        self.held_bytes += cost
        return entry

    def _state(self, conversation: Conversation) -> State:
        state = self.states.get(conversation)
        if state is None:
            state = self.states[conversation] = State(conversation)
        return state

    def _cut(self, state: State) -> Cut:
        if state.rules is None:
            state.rules = self._rules_of(state.key[0])
        return first_cut(state.entries, state.rules)

    def _look(self, state: State) -> bool:
        """Cut an open conversation's first window; queue it if it is closed."""
        cut = self._cut(state)
        closed_by = cut.closes_at(self.watermark_ms(state.key[0]))
        if closed_by is not None:
            state.cut = (cut.size, closed_by, cut.due_ms)
            self._queue(state)
            return True
        self.open[state.key] = state
        if cut.due_ms != state.due_ms:
            state.due_ms = cut.due_ms
            heapq.heappush(self._due, (cut.due_ms, next(self._serial), state))
        return False

    def _queue(self, state: State) -> None:
        state.queued_behind = False
        self.set_phase(state, Phase.STARTABLE)
        self._startable.add(state)

    def _close_by_local_clock(self, state: State) -> None:
        rules = state.rules
        if rules is None or state.key[0] in self.unread:
            return
        limit_s = state.read_at_s[0] + (rules.max_wait_ms + rules.grace_ms) / 1000
        if self._drained_s < limit_s:
            return
        cut = self._cut(state)
        state.cut = (cut.size, ClosedBy.CLOCK, cut.due_ms)
        self._queue(state)


def _pop_until(heap: list[Due], limit_ms: int) -> Iterator[Due]:
    while heap and heap[0][0] <= limit_ms:
        yield heapq.heappop(heap)


def _say_nothing(_entry: Entry) -> None:
    """While a memory is being rebuilt: these windows were opened before."""
