"""What an owner's memory keeps of one conversation, and of one stream."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

from consumer.bodies import size_bytes
from shared.model import ClosedBy, Conversation, Entry, EntryId, Window
from shared.record import Record
from shared.window import Cut, Rules, freeze

BEFORE_ALL = EntryId(0, 0)


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


class State(Struct, eq=False, gc=False):
    """
    One conversation. ``entries`` are those that no record holds, in stream order.

    ``cut`` is that of their first window, from when it is open until it starts; ``closed_by`` says
    why it is closed. ``window_bytes`` is what a window that may start takes in the stream. ``told``
    of them a person who watches was told.
    """

    key: Conversation
    entries: list[Entry] = []
    read_at_s: list[float] = []
    phase: Phase = Phase.OPEN
    rules: Rules | None = None
    cut: Cut | None = None
    closed_by: ClosedBy | None = None
    due_ms: int | None = None
    record: Record | None = None
    window: Window | None = None
    orphaned: bool = False
    queued_behind: bool = False
    window_bytes: int = 0
    told: int = 0

    @property
    def instance(self) -> str:
        """Whose account it is."""
        return self.key[0]

    @property
    def connection(self) -> str | None:
        """What the messages of its first window came through."""
        entries = self.entries if self.window is None else self.window.entries
        return entries[0].message.connection

    def ids(self) -> set[EntryId]:
        """Of every entry that some window of its holds."""
        in_hand = self.record.ids if self.record is not None else ()
        return {*in_hand, *(entry.id for entry in self.entries)}

    def place(self, entry: Entry) -> int | None:
        """Where in ``entries`` it belongs; None: it is known already, there or in the record."""
        entries, record = self.entries, self.record
        if record is not None and entry.id in record.ids:
            return None
        at = len(entries)
        while at and entry.id <= entries[at - 1].id:
            if entry.id == entries[at - 1].id:
                return None
            at -= 1
        return at

    def freeze_cut(self) -> Window:
        """The window that is closed and was not started yet."""
        assert self.cut is not None
        assert self.closed_by is not None
        return freeze(self.entries[: self.cut.size], self.closed_by, self.cut.due_ms)

    def is_over_by_clock(self, drained_s: float) -> bool:
        """Whether its stream was drained by a read that began when nothing could join any more."""
        rules = self.rules
        if rules is None:
            return False
        return drained_s >= self.read_at_s[0] + (rules.max_wait_ms + rules.grace_ms) / 1000

    def size_window(self) -> None:
        """Fix and measure the window that may start: what comes from now on is the next one's."""
        cut = self.cut
        if self.window is not None:
            self.window_bytes = size_bytes(self.window.entries)
        elif cut is not None:
            if cut.size is None:
                self.cut = replace(cut, size=len(self.entries))
            self.window_bytes = size_bytes(self.entries[: cut.size])


@dataclass(slots=True)
class StreamMemory:
    """
    One instance's stream: entries held, those of them in open conversations, conversations not
    open, ms of the last entry read.

    No conversation holds an entry that is newer than ``newest``: one that is comes behind them all.
    """

    held: int = 0
    open: int = 0
    busy: int = 0
    read_to_ms: int = 0
    newest: EntryId = BEFORE_ALL


def window_of(record: Record, conversation: Conversation, entries: tuple[Entry, ...]) -> Window:
    """The window that was started, as it was frozen then."""
    return Window(
        id=record.window_id,
        instance=conversation[0],
        user=conversation[1],
        entries=entries,
        closed_by=record.closed_by,
        opened_at=record.opened_at,
        closed_at=record.closed_at,
    )
