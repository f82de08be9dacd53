"""
Takeover: how an owner rebuilds a partition's memory. Recovery and reconnection are the same.

Under a new epoch, and in this order: the records of what has begun, then every pending entry
(claimed to ourselves, whoever read it), then a judgement of each record. Only afterwards are
new entries read, so that order is kept. Nothing that an old connection still carries can
execute under the new epoch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

import structlog

from consumer.bodies import strip
from consumer.conversation import State
from consumer.memory import Memory
from consumer.reader import decode_or_bury
from consumer.store import PartitionStore
from shared.errors import BrokerRefused
from shared.metrics import ConsumerMetrics
from shared.model import Conversation, Entry, EntryId, Message, Token, WorkerId
from shared.probe import Point, reach
from shared.record import Record

CLAIM_COUNT = 250
"""Entries claimed at a time."""

CLAIM_BYTES = 4 * 1024 * 1024
"""Of entries in the pages of all streams that are claimed at the same time."""

CLAIMS_AT_ONCE = 64
"""Streams claimed at the same time: while some pages are read here, Redis is at the next ones."""

log = structlog.get_logger()


async def rebuild_memory(
    store: PartitionStore, epoch: int, memory: Memory, metrics: ConsumerMetrics
) -> list[Conversation]:
    """
    Fill an empty memory with records and pending entries; returns records without entries.

    Raises:
        Fenced: the lease is not ours under this epoch.
    """
    records, damaged = await store.running()
    for field, value in damaged:
        log.error("record.damaged", partition=store.keys.number)
        metrics.records_damaged_total.inc()
        await store.drop(epoch, field, value)
    for conversation, record in records.items():
        memory.place_record(conversation, record)
    members: dict[Conversation, dict[EntryId, Entry]] = {c: {} for c in records}
    instances = await store.streams()

    def learn(entry: Entry, now_s: float) -> None:
        conversation = (entry.message.instance, entry.message.user)
        if conversation in records and entry.id in records[conversation].ids:
            members[conversation][entry.id] = strip(entry)
        else:
            memory.learn(entry, now_s)

    left = iter(instances)
    lanes = min(CLAIMS_AT_ONCE, len(instances))

    async def claim_some() -> int:
        share = CLAIM_BYTES // lanes
        return sum([await _claim_stream(store, epoch, i, share, learn, metrics) for i in left])

    if foreign := sum(await asyncio.gather(*(claim_some() for _ in range(lanes)))):
        await store.note_reclaimed(foreign)
    await _add_missing(store, epoch, records, members, metrics)
    return _attach(memory, records, members)


async def _claim_stream(
    store: PartitionStore,
    epoch: int,
    instance: str,
    page_bytes: int,
    learn: Callable[[Entry, float], None],
    metrics: ConsumerMetrics,
) -> int:
    """
    Claim page after page, and let go of each before the next; gives how many entries another
    worker had read.
    """
    cursor, foreign = b"0-0", 0
    while True:
        try:
            page = await store.claim(epoch, instance, cursor, CLAIM_COUNT, page_bytes)
            reach(Point.CLAIM)
        except BrokerRefused as error:
            if error.code != "WRONGTYPE":
                raise
            log.warning("claim.failed", instance=instance, error=str(error))
            return foreign
        if page.lost_group:
            metrics.groups_recreated_total.inc()
            log.error("group.recreated", instance=instance)
        if page.rewound:
            metrics.groups_rewound_total.inc()
            log.error("group.rewound", instance=instance)
        if page.missing:
            metrics.entries_missing_total.inc(page.missing)
            log.error("entry.missing", instance=instance, count=page.missing)
        foreign += page.foreign
        now_s = time.monotonic()
        for raw_id, values in page.entries:
            entry = await decode_or_bury(store, epoch, instance, raw_id, values, metrics)
            if entry is not None:
                learn(entry, now_s)
        cursor = page.cursor
        if cursor == b"0-0":
            return foreign


async def _add_missing(
    store: PartitionStore,
    epoch: int,
    records: Mapping[Conversation, Record],
    members: Mapping[Conversation, dict[EntryId, Entry]],
    metrics: ConsumerMetrics,
) -> None:
    """
    Look in the streams for members of records that are not pending.

    Where a group was lost nothing is pending, though the entries are there: a window is missing
    only when they are not.
    """
    for conversation, record in records.items():
        absent = [entry_id for entry_id in record.ids if entry_id not in members[conversation]]
        if not absent:
            continue
        instance = conversation[0]
        for row in await store.entries([(instance, entry_id) for entry_id in absent]):
            if row is None:
                continue
            entry = await decode_or_bury(store, epoch, instance, *row, metrics)
            if entry is not None:
                members[conversation][entry.id] = strip(entry)


def _attach(
    memory: Memory,
    records: Mapping[Conversation, Record],
    members: Mapping[Conversation, Mapping[EntryId, Entry]],
) -> list[Conversation]:
    empty = []
    for conversation, record in records.items():
        found = members[conversation]
        present = [found[entry_id] for entry_id in record.ids if entry_id in found]
        if not memory.attach(conversation, present):
            empty.append(conversation)
    return empty


def judge(
    memory: Memory,
    state: State,
    *,
    us: WorkerId,
    live: Collection[WorkerId],
    in_hand: Collection[Token],
    now: tuple[int, float],
    runs_alone: Callable[[Message, Record], bool],
) -> None:
    """
    Decide what becomes of a record that this memory did not start.

    Nobody's: run when due. Ours with a handler: wait for it. Ours without one, or a dead
    worker's: start again, if ``runs_alone`` says so with no other such window beside it. A live
    other's: watch it. ``now``: Redis's ms, monotonic seconds.
    """
    record = state.record
    assert record is not None
    if not record.worker:
        now_ms, now_s = now
        rest_ms = min(max(record.retry_at - now_ms, 0), record.delay_ms)
        memory.postponed(state, record, now_s + rest_ms / 1000)
    elif record.worker == us:
        if record.token in in_hand:
            memory.keep_running(state)
        else:
            memory.adopt(state, orphaned=False)
    elif record.worker in live:
        memory.watch(state)
    else:
        assert state.window is not None
        first = state.window.entries[0].message
        memory.adopt(state, orphaned=runs_alone(first, record))
