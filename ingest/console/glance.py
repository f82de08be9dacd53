"""
A look at all partitions and workers: who owns what, what is in hand, and what became of windows.

What it costs follows the partitions and what has ended since the last look, not what waits. Each
partition is asked for itself, so that a cluster can answer.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ingest.console.rates import Ending, endings_in
from shared.doing import Doing, decode_doing
from shared.keys import Keys, PartitionKeys, conversation_of_field
from shared.pipe import Pipe
from shared.record import DAMAGE, kind_on_a_line

RECORDS_LOOKED_AT = 50
"""Of each partition's windows in hand; of more of them, some stand for all."""

ENDINGS_PER_LOOK = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class InHand:
    """A window that has begun. ``worker`` is empty while it waits for its next attempt."""

    instance: str
    worker: str
    opened_at: int
    started_at: int
    since: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionGlance:
    """
    One partition. ``epoch`` is when its owner took it (Redis's ms); both are None where nobody owns
    it. ``records``: some of the ``in_hand`` windows.
    """

    number: int
    owner: str | None
    epoch: int | None
    lease_ms: int
    in_hand: int
    replies: int
    dead: int
    records: tuple[InHand, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGlance:
    """A live worker; ``doing`` is None until it has said something."""

    id: str
    state: str
    host: str
    lease_ms: int
    doing: Doing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """All of them; ``endings`` are those since the look before."""

    partitions: tuple[PartitionGlance, ...]
    workers: tuple[WorkerGlance, ...]
    endings: tuple[Ending, ...]


class Glancer:
    """Looks again and again, and remembers what it has seen of each journal."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._parts = [keys.partition(number) for number in range(keys.partitions)]
        self._keys = keys
        self._seen: dict[int, str] = {}

    def forget(self, since_ms: int) -> None:
        """The next look tells the endings from then on."""
        self._seen = {part.number: f"{since_ms - 1}" for part in self._parts}

    async def look(self) -> Glance:
        """
        Look once.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing is known, and nothing was seen.
        """
        asked = [self._questions(part) for part in self._parts]
        answers = iter(await self._pipe.call_each(itertools.chain(*asked)))
        found = [list(itertools.islice(answers, len(each))) for each in asked]
        workers = await self._workers()
        endings: list[Ending] = []
        for part, answer in zip(self._parts, found, strict=True):
            if rows := answer[-1]:
                self._seen[part.number] = f"({rows[-1][0].decode()}"
            endings += endings_in(rows)
        partitions = [
            _partition_of(part, answer) for part, answer in zip(self._parts, found, strict=True)
        ]
        return Glance(partitions=tuple(partitions), workers=workers, endings=tuple(endings))

    def _questions(self, part: PartitionKeys) -> list[tuple[Any, ...]]:
        since = self._seen.get(part.number, "0")
        return [
            ("HMGET", part.lease, "owner", "epoch"),
            ("PTTL", part.lease),
            ("HLEN", part.running),
            ("XLEN", part.outbox),
            ("XLEN", part.dead),
            ("HSCAN", part.running, 0, "COUNT", RECORDS_LOOKED_AT),
            ("XRANGE", part.journal, since, "+", "COUNT", ENDINGS_PER_LOOK),
        ]

    async def _workers(self) -> tuple[WorkerGlance, ...]:
        names = sorted(
            name.decode() for name in await self._pipe.call("SMEMBERS", self._keys.workers)
        )
        keys = [self._keys.worker(name) for name in names]
        questions = [
            each
            for key in keys
            for each in (("HMGET", key, "state", "host", "doing"), ("PTTL", key))
        ]
        answers = await self._pipe.call_each(questions)
        return tuple(
            WorkerGlance(
                id=name,
                state=state.decode(),
                host=(host or b"").decode(errors="replace"),
                lease_ms=lease_ms,
                doing=decode_doing(doing),
            )
            for name, (state, host, doing), lease_ms in zip(
                names, answers[::2], answers[1::2], strict=True
            )
            if state is not None
        )


def _partition_of(part: PartitionKeys, answer: Sequence[Any]) -> PartitionGlance:
    (owner, epoch), lease_ms, in_hand, replies, dead, (_, flat), _ = answer
    return PartitionGlance(
        number=part.number,
        owner=None if owner is None else owner.decode(),
        epoch=None if owner is None or epoch is None else int(epoch),
        lease_ms=max(0, lease_ms),
        in_hand=in_hand,
        replies=replies,
        dead=dead,
        records=tuple(_records_in(flat)),
    )


def _records_in(flat: Sequence[bytes]) -> Iterator[InHand]:
    """But for those that somebody else wrote."""
    for field, value in zip(flat[::2], flat[1::2], strict=True):
        try:
            body = orjson.loads(value)
            yield InHand(
                instance=conversation_of_field(field)[0],
                worker=str(body["worker"]),
                opened_at=int(body["opened_at"]),
                started_at=int(body["started"]),
                since=int(body["since"]),
                # what a handler said stands behind the kind, and may be of a person
                error=kind_on_a_line(str(body.get("error", ""))),
            )
        except DAMAGE:
            continue
