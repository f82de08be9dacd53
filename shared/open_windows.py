"""
The windows that are not finished: in hand, waiting for their next attempt, gathering, or due.

For a person or a program that asks now and then. It is the fold of the workers over what is in the
streams just now, under the settings of who asks; a window that was opened under others may close
otherwise. Nothing is written.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from shared.backlog_by_instance import filled_streams
from shared.connect import Pipe
from shared.errors import EntryUndecodable
from shared.keys import Keys, PartitionKeys, conversation_of_field
from shared.model import ClosedBy, Conversation, Entry, EntryId, WindowId, window_id
from shared.record import DAMAGE, Record, decode_record
from shared.redis_time import time_ms_at
from shared.settings import Settings
from shared.trace.whereabouts import WindowState
from shared.window import first_cut, match_entries, rules_for
from shared.wire import decode_entry

PAGE = 100
ENTRIES_PER_STREAM = 1000
BYTES_PER_STREAM = 4 * 1024 * 1024
"""Of one stream its oldest entries are looked at, up to the one or the other."""

STREAMS_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindow:
    """
    One of them, without its user and what was written.

    ``due_at`` (Redis's ms): when it closes, or its next attempt is; None while a handler has it.
    ``closed_by`` is None as long as it is open. Of a user only the first that has not begun is
    told; ``behind`` says that it waits for the one in hand.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenWindows:
    """
    At ``now_ms`` of Redis's clock, oldest first.

    ``is_whole``: no stream held more entries than are looked at.
    """

    now_ms: int
    windows: Sequence[OpenWindow]
    is_whole: bool


async def open_windows(pipe: Pipe, keys: Keys, settings: Settings) -> OpenWindows:
    """
    Look at every partition.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    found: list[OpenWindow] = []
    is_whole = True
    now_ms = 0
    for number in range(keys.partitions):
        part = keys.partition(number)
        records = await _records(pipe, part)
        instances = await filled_streams(pipe, part)
        now_ms = await time_ms_at(pipe, part.running)
        found += [_in_hand(number, who, record) for who, record in records.items()]
        for at in range(0, len(instances), STREAMS_AT_ONCE):
            chunk = instances[at : at + STREAMS_AT_ONCE]
            streams = await asyncio.gather(*(_entries(pipe, part, one) for one in chunk))
            for instance, (entries, ended) in zip(chunk, streams, strict=True):
                is_whole = is_whole and ended
                matched = match_entries(instance, entries, partial(rules_for, settings))
                found += _not_begun(number, matched, records, settings, now_ms)
    found.sort(key=lambda window: (window.opened_at, window.behind, window.window_id))
    return OpenWindows(now_ms=now_ms, windows=found, is_whole=is_whole)


async def _records(pipe: Pipe, part: PartitionKeys) -> dict[Conversation, Record]:
    """The records of windows in hand, but for those that somebody else wrote."""
    flat = await pipe.call("HGETALL", part.running)
    records: dict[Conversation, Record] = {}
    for field, value in zip(flat[::2], flat[1::2], strict=True):
        try:
            records[conversation_of_field(field)] = decode_record(value)
        except DAMAGE:
            continue
    return records


async def _entries(pipe: Pipe, part: PartitionKeys, instance: str) -> tuple[list[Entry], bool]:
    """The oldest entries of a stream, and whether these are all."""
    found: list[Entry] = []
    start, rows_seen, bytes_seen = "-", 0, 0
    while rows_seen < ENTRIES_PER_STREAM and bytes_seen < BYTES_PER_STREAM:
        count = 8 if start == "-" else PAGE
        rows: list[Any] = await pipe.call(
            "XRANGE", part.stream(instance), start, "+", "COUNT", count
        )
        found += _decoded(instance, rows)
        if len(rows) < count:
            return found, True
        rows_seen += len(rows)
        bytes_seen += sum(len(value) for _, values in rows for value in values)
        start = f"({rows[-1][0].decode()}"
    return found, False


def _decoded(instance: str, rows: Sequence[Any]) -> Iterator[Entry]:
    for row_id, values in rows:
        try:
            yield decode_entry(instance, row_id, values)
        except EntryUndecodable:
            continue  # its owner makes a dead letter of it


def _in_hand(partition: int, who: Conversation, record: Record) -> OpenWindow:
    return OpenWindow(
        window_id=record.window_id,
        instance=who[0],
        partition=partition,
        state=WindowState.RUNNING if record.worker else WindowState.RETRYING,
        messages=len(record.ids),
        opened_at=record.opened_at,
        due_at=None if record.worker else record.retry_at,
        closed_by=record.closed_by,
        attempt=record.attempt,
        started_at=record.started or None,
        worker=record.worker or None,
    )


def _not_begun(
    partition: int,
    entries: Sequence[Entry],
    records: Mapping[Conversation, Record],
    settings: Settings,
    now_ms: int,
) -> Iterator[OpenWindow]:
    """The next window of each user of a stream, whose entries these are, matched."""
    by_user: dict[Conversation, list[Entry]] = defaultdict(list)
    for entry in entries:
        who = (entry.message.instance, entry.message.user)
        taken: Collection[EntryId] = records[who].ids if who in records else ()
        if entry.id not in taken:
            by_user[who].append(entry)
    for who, own in by_user.items():
        yield _next(partition, who, own, settings, now_ms, behind=who in records)


def _next(
    partition: int,
    who: Conversation,
    entries: Sequence[Entry],
    settings: Settings,
    now_ms: int,
    *,
    behind: bool,
) -> OpenWindow:
    first = entries[0]
    cut = first_cut(entries, rules_for(settings, who[0], first.message.connection))
    replayed, closed_by = first.replayed, cut.closes_at(now_ms)
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
    )
