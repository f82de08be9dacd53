"""
The windows that are not finished: in hand, waiting for their next attempt, gathering, or due.

For a person or a program that asks now and then. It is the fold of the workers over what is in the
streams just now, under the settings of who asks and what is set at run time; a window that was
opened under others may close otherwise. Nothing is written.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

from shared.backlog_by_instance import filled_streams
from shared.connect import Pipe
from shared.keys import Keys, PartitionKeys, conversation_of_field
from shared.model import ClosedBy, Conversation, Entry, EntryId, WindowId, window_id
from shared.record import DAMAGE, Record, decode_record, kind_on_a_line
from shared.redis_time import time_ms_at
from shared.settings import Settings
from shared.steering import Steering, connection_of
from shared.steering_store import SteeringStore
from shared.stream_heads import ENTRIES_MIN, PageSize, oldest_entries
from shared.trace.whereabouts import WindowState
from shared.window import Cut, RulesOf, first_cut, match_entries, rules_for

ENTRIES_PER_STREAM = 1000
"""Of one stream its oldest entries are looked at, up to so many or ``BYTES_PER_STREAM``."""

STREAMS_AT_ONCE = 16
RULES_CACHED = 1000

PauseOf = Callable[[str, str | None], int | None]
"""Since when an instance, whose messages came through a connection, is paused; None: it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """
    One of them, without its user and what was written.

    ``due_at`` (Redis's ms): when it closes, or its next attempt is; None while a handler has it.
    ``closed_by`` is None as long as it is open. Of a user only the first that has not begun is
    told; ``behind`` says that it waits for the one in hand. ``paused_since``: it is no handler's,
    and will not start as long as its instance is paused. ``error``: the kind of error that its last
    attempt came to.
    """

    window_id: WindowId
    instance: str
    partition: int
    state: WindowState
    messages: int
    opened_at: int
    due_at: int | None
    closed_by: ClosedBy | None = None
    attempt: int | None = None
    started_at: int | None = None
    worker: str | None = None
    behind: bool = False
    paused_since: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindows:
    """
    At ``now_ms`` of Redis's clock, oldest first; ``users`` says whose each window is.

    ``counts``: of how many windows in each state these are the oldest. ``is_whole``: no stream held
    more entries than are looked at.
    """

    now_ms: int
    windows: Sequence[OpenWindow]
    users: Sequence[str]
    counts: Mapping[WindowState, int]
    is_whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """
    What is looked at, and how much of it is told: ``instance`` alone, the oldest ``windows``, and
    not more than ``entries`` in all. None: no such bound.
    """

    instance: str | None = None
    windows: int | None = None
    entries: int | None = None


class _Found(NamedTuple):
    """A window before it is told: to tell it costs more than to find it."""

    opened_at: int
    behind: bool
    who: Conversation
    state: WindowState
    tell: Callable[[], OpenWindow]


async def open_windows(
    pipe: Pipe, keys: Keys, settings: Settings, bounds: Bounds | None = None
) -> OpenWindows:
    """
    Look at every partition.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    bounds = bounds or Bounds()
    parts = [keys.partition(number) for number in range(keys.partitions)]
    steering = await SteeringStore(pipe, keys).read()
    looks = await asyncio.gather(*(_look(pipe, part, bounds.instance) for part in parts))
    streams = [(look, name) for look in looks for name in look.instances]
    most = ENTRIES_PER_STREAM
    if bounds.entries is not None:
        most = min(most, max(ENTRIES_MIN, bounds.entries // max(1, len(streams))))
    rules_of = lru_cache(maxsize=RULES_CACHED)(partial(rules_for, settings, steering=steering))
    pause_of = partial(_pause_of, settings, steering)
    found = [each for look in looks for each in look.in_hand(pause_of)]
    is_whole, page = True, PageSize()
    for at in range(0, len(streams), STREAMS_AT_ONCE):
        chunk = streams[at : at + STREAMS_AT_ONCE]
        read = await asyncio.gather(
            *(oldest_entries(pipe, look.part, name, most, page) for look, name in chunk)
        )
        for (look, name), (entries, ended) in zip(chunk, read, strict=True):
            is_whole = is_whole and ended
            found += _not_begun(look, match_entries(name, entries, rules_of), rules_of, pause_of)
    oldest = heapq.nsmallest(bounds.windows or len(found), found)
    return OpenWindows(
        now_ms=max(look.now_ms for look in looks),
        windows=[one.tell() for one in oldest],
        users=[one.who[1] for one in oldest],
        counts=Counter(one.state for one in found),
        is_whole=is_whole,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What a partition has in hand, and the instances with entries in it, at ``now_ms``."""

    part: PartitionKeys
    now_ms: int
    records: Mapping[Conversation, Record]
    instances: Sequence[str]

    def in_hand(self, pause_of: PauseOf) -> Iterator[_Found]:
        """Its windows that have begun."""
        for who, record in self.records.items():
            tell = partial(_in_hand, self.part.number, who, record, pause_of)
            yield _Found(record.opened_at, False, who, _state_of(record), tell)


async def _look(pipe: Pipe, part: PartitionKeys, only: str | None) -> _Look:
    flat, instances, now_ms = await asyncio.gather(
        pipe.call("HGETALL", part.running),
        filled_streams(pipe, part),
        time_ms_at(pipe, part.running),
    )
    return _Look(
        part=part,
        now_ms=now_ms,
        records={who: record for who, record in _decoded_records(flat) if only in (None, who[0])},
        instances=[name for name in instances if only in (None, name)],
    )


def _pause_of(
    settings: Settings, steering: Steering, instance: str, connection: str | None
) -> int | None:
    return steering.paused_since(instance, connection_of(settings, instance, connection))


def _decoded_records(flat: Sequence[bytes]) -> Iterator[tuple[Conversation, Record]]:
    """Those of windows in hand, but for those that somebody else wrote."""
    for field, value in zip(flat[::2], flat[1::2], strict=True):
        try:
            yield conversation_of_field(field), decode_record(value)
        except DAMAGE:
            continue


def _state_of(record: Record) -> WindowState:
    return WindowState.RUNNING if record.worker else WindowState.RETRYING


def _in_hand(partition: int, who: Conversation, record: Record, pause_of: PauseOf) -> OpenWindow:
    return OpenWindow(
        window_id=record.window_id,
        instance=who[0],
        partition=partition,
        state=_state_of(record),
        messages=len(record.ids),
        opened_at=record.opened_at,
        due_at=None if record.worker else record.retry_at,
        closed_by=record.closed_by,
        attempt=record.attempt,
        started_at=record.started or None,
        worker=record.worker or None,
        paused_since=None if record.worker else pause_of(who[0], None),
        error=kind_on_a_line(record.error) or None,
    )


def _not_begun(
    look: _Look, entries: Sequence[Entry], rules_of: RulesOf, pause_of: PauseOf
) -> Iterator[_Found]:
    """The next window of each user of a stream, whose entries these are, matched."""
    by_user: dict[Conversation, list[Entry]] = defaultdict(list)
    for entry in entries:
        who = (entry.message.instance, entry.message.user)
        record = look.records.get(who)
        taken: Collection[EntryId] = () if record is None else record.ids
        if entry.id not in taken:
            by_user[who].append(entry)
    for who, own in by_user.items():
        first, behind = own[0], who in look.records
        cut = first_cut(own, rules_of(who[0], first.message.connection))
        opened_at = first.id.ms if first.replayed is None else first.replayed.opened_at
        closed_by = cut.closes_at(look.now_ms)
        state = WindowState.OPEN if closed_by is None else WindowState.CLOSED
        tell = partial(_next, look.part.number, who, own, cut, closed_by, pause_of, behind=behind)
        yield _Found(opened_at, behind, who, state, tell)


def _next(
    partition: int,
    who: Conversation,
    entries: Sequence[Entry],
    cut: Cut,
    closed_by: ClosedBy | None,
    pause_of: PauseOf,
    *,
    behind: bool,
) -> OpenWindow:
    first, replayed = entries[0], entries[0].replayed
    size = len(entries) if cut.size is None else cut.size
    return OpenWindow(
        window_id=window_id(*who, first.id) if replayed is None else replayed.id,
        instance=who[0],
        partition=partition,
        state=WindowState.OPEN if closed_by is None else WindowState.CLOSED,
        messages=size if replayed is None else len(replayed.entries),
        opened_at=first.id.ms if replayed is None else replayed.opened_at,
        due_at=cut.due_ms,
        closed_by=closed_by,
        behind=behind,
        paused_since=pause_of(who[0], first.message.connection) if closed_by else None,
    )
