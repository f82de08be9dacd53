"""
The cut: a user's windows as a pure function of the user's entries.

The first entry opens a window. It closes at ``first + max_wait_ms``, or with its
``max_messages``-th message, or (where set) ``quiet_ms`` after its last message but never later
than ``max_wait_ms``. An entry at or past the due time opens the next window. A message that matches
``flush`` is its window's last; one that matches ``bypass`` is a window by itself, and the window
before it closes. No clock is read here: a window whose due time is at or before the *watermark*
(every older entry has been read) is closed, because nothing can still belong to it. So cutting the
same entries twice gives the same windows, after any crash, on any worker.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from shared.model import ClosedBy, Entry, Message, Window, WindowId, window_id
from shared.patterns import Patterns, compile_patterns, said_by
from shared.settings import Settings
from shared.steering import NOT_STEERED, NUMBERS, Set, Steering, connection_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    What shapes a window. ``quiet_ms`` 0 is off; ``pass_through`` gives each message its own.

    ``bypass`` goes before ``flush``, and both before ``pass_through``.
    """

    max_wait_ms: int
    max_messages: int
    quiet_ms: int
    grace_ms: int
    pass_through: bool = False
    bypass: Patterns | None = None
    flush: Patterns | None = None

    def match(self, message: Message) -> ClosedBy | None:
        """BYPASS or FLUSH: whose patterns the message matches."""
        said = said_by(message)
        if self.bypass is not None and self.bypass.match(said):
            return ClosedBy.BYPASS
        if self.flush is not None and self.flush.match(said):
            return ClosedBy.FLUSH
        return None


RulesOf = Callable[[str, str | None], Rules]
"""The rules of an instance, whose messages came through a connection if nobody names it."""


def rules_for(
    settings: Settings,
    instance: str,
    connection: str | None = None,
    steering: Steering = NOT_STEERED,
) -> Rules:
    """
    The general settings, with the instance's own over them, or its connection's, and over all of
    them what is set at run time.
    """
    own = settings.instance(instance, connection)
    rules = Rules(
        max_wait_ms=own.max_wait_ms or settings.max_wait_ms,
        max_messages=own.max_messages or settings.max_messages,
        quiet_ms=settings.quiet_ms if own.quiet_ms is None else own.quiet_ms,
        grace_ms=settings.grace_ms,
        pass_through=(own.mode or settings.mode) == "pass_through",
        bypass=compile_patterns(settings.bypass if own.bypass is None else own.bypass),
        flush=compile_patterns(settings.flush if own.flush is None else own.flush),
    )
    steered = steering.of(instance, connection_of(settings, instance, connection))
    return _within_the_wait(_steered(rules, steered) if steered else rules)


def _steered(rules: Rules, steered: Mapping[str, Set]) -> Rules:
    """The rules with what is set at run time; a pause shapes no window."""
    given = {name: steered[name].value for name in NUMBERS if name in steered}
    if (mode := steered.get("mode")) is not None:
        given["pass_through"] = mode.value == "pass_through"
    return dataclasses.replace(rules, **given)  # type: ignore[arg-type]


def _within_the_wait(rules: Rules) -> Rules:
    """Values that were set at different places may contradict one another."""
    if rules.quiet_ms <= rules.max_wait_ms:
        return rules
    return dataclasses.replace(rules, quiet_ms=rules.max_wait_ms)


def match_entries(instance: str, entries: Sequence[Entry], rules_of: RulesOf) -> Sequence[Entry]:
    """
    Entries of an instance, each with what its patterns say of it: only then they can be cut.

    A message is matched by the rules of what it came through itself, whatever window it joins.
    """
    for connection in {entry.message.connection for entry in entries}:
        rules = rules_of(instance, connection)
        if rules.bypass is not None or rules.flush is not None:
            break
    else:
        return entries
    return [_matched(entry, rules_of(instance, entry.message.connection)) for entry in entries]


def _matched(entry: Entry, rules: Rules) -> Entry:
    if entry.replayed is not None or (found := rules.match(entry.message)) is None:
        return entry
    return replace(entry, matched=found)


class Cut(Struct, frozen=True, gc=False):
    """
    Where a user's first window ends among the entries that have been read.

    ``closed_by`` says that no later entry can join whatever the watermark, and ``size`` how many
    have; else all belong to it (None), and it stays open until the watermark reaches ``due_ms``,
    which further entries may move, never beyond ``limit_ms``.
    """

    size: int | None
    limit_ms: int
    due_ms: int
    closed_by: ClosedBy | None
    at_due: ClosedBy

    def closes_at(self, watermark_ms: int) -> ClosedBy | None:
        """Why the window is closed, seen from this watermark; None: it is open."""
        if self.closed_by is not None:
            return self.closed_by
        return self.at_due if self.due_ms <= watermark_ms else None


def first_cut(entries: Sequence[Entry], rules: Rules) -> Cut:
    """The first window of a user's entries, which are matched, in stream order and not empty."""
    cut = open_window(entries[0], rules)
    for size in range(1, len(entries)):
        if cut.closed_by is not None:
            break
        cut = extend_cut(cut, size, entries[size], rules)
    return cut


def open_window(first: Entry, rules: Rules) -> Cut:
    """
    The cut of a single entry.

    An entry that replays a dead window is a window by itself, as is one that matches a pattern.
    """
    first_ms = first.id.ms
    if first.replayed is not None:
        return _closed(1, first_ms, ClosedBy.REPLAY)
    if first.matched is not None:
        return _closed(1, first_ms, first.matched)
    if rules.pass_through:
        return _closed(1, first_ms, ClosedBy.PASS_THROUGH)
    if rules.max_messages == 1:
        return _closed(1, first_ms, ClosedBy.MAX_MESSAGES)
    return _open(first_ms + rules.max_wait_ms, first_ms, rules)


def extend_cut(cut: Cut, size: int, entry: Entry, rules: Rules) -> Cut:
    """
    The cut of an open window's ``size`` entries and one more behind them.

    It is the same one as long as an entry just joins. An entry that replays a dead window, or that
    bypasses, closes the window before it; one that flushes closes its own.
    """
    at_ms = entry.id.ms
    if at_ms >= cut.due_ms:
        return _closed(size, cut.due_ms, cut.at_due)
    if entry.replayed is not None or entry.matched is ClosedBy.BYPASS:
        return _closed(size, at_ms, ClosedBy.FLUSH)
    if entry.matched is ClosedBy.FLUSH:
        return _closed(size + 1, at_ms, ClosedBy.FLUSH)
    if size + 1 == rules.max_messages:
        return _closed(size + 1, at_ms, ClosedBy.MAX_MESSAGES)
    return _open(cut.limit_ms, at_ms, rules) if rules.quiet_ms else cut


def _closed(size: int, due_ms: int, closed_by: ClosedBy) -> Cut:
    return Cut(size, due_ms, due_ms, closed_by, closed_by)


def _open(limit_ms: int, last_ms: int, rules: Rules) -> Cut:
    if rules.quiet_ms and last_ms + rules.quiet_ms < limit_ms:
        return Cut(None, limit_ms, last_ms + rules.quiet_ms, None, ClosedBy.QUIET)
    return Cut(None, limit_ms, limit_ms, None, ClosedBy.MAX_WAIT)


def freeze(members: Sequence[Entry], closed_by: ClosedBy, closed_at: int) -> Window:
    """
    The window that these entries make. ``closed_at``: its due time, in Redis's ms.

    A replayed window keeps the id it had; everything else follows from its first entry.
    """
    first = members[0]
    replayed = first.replayed
    return Window(
        id=id_of(first),
        instance=first.message.instance,
        user=first.message.user,
        entries=tuple(members),
        closed_by=closed_by,
        opened_at=replayed.opened_at if replayed else first.id.ms,
        closed_at=closed_at,
    )


def id_of(first: Entry) -> WindowId:
    """The id of the window that begins with this entry, known before it closes."""
    if first.replayed is not None:
        return first.replayed.id
    return window_id(first.message.instance, first.message.user, first.id)
