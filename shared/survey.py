"""
How much is unfinished, how old it is, and which partitions nobody owns.

Both services export this: with every consumer dead, nobody else could tell. So it must be cheap.
Three commands tell of all partitions what the time is, whose leases are held, and which bells have
rung. A partition that was empty at the last look and has not rung since costs nothing more; another
costs what its active streams do, however many are idle (``unfinished``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from structlog.typing import FilteringBoundLogger

from shared.connect import Pipe
from shared.errors import InturnError
from shared.keys import Keys
from shared.metrics import UNKNOWN, StoreMetrics
from shared.redis_time import time_ms_at
from shared.unfinished import Unfinished

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionSurvey:
    """
    One partition: its unfinished messages, and when the oldest came (its server's ms).

    ``now_ms``: of the same clock; in a cluster each server has its own.
    """

    number: int
    owned: bool
    messages: int
    oldest_at: int | None
    now_ms: int

    @property
    def oldest_ms(self) -> int:
        """The oldest one's age; 0 when there is none, or its id lies in the future."""
        return 0 if self.oldest_at is None else max(0, self.now_ms - self.oldest_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSurvey:
    """All partitions, in the order of their numbers, at ``now_ms`` of Redis's clock."""

    now_ms: int
    partitions: tuple[PartitionSurvey, ...]

    @property
    def backlog_messages(self) -> int:
        """Messages that are in Redis and not finished."""
        return sum(partition.messages for partition in self.partitions)

    @property
    def oldest_unfinished_s(self) -> float:
        """Age of the oldest of them; 0 when there is none, or its id lies in the future."""
        return max((part.oldest_ms for part in self.partitions), default=0) / 1000

    @property
    def without_owner(self) -> tuple[int, ...]:
        """The partitions whose lease nobody holds."""
        return tuple(part.number for part in self.partitions if not part.owned)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is finished and still kept: replies not sent (or not to be sent), dead letters."""

    replies: int
    dead_letters: int


class Surveyor:
    """Looks again and again, and only where something may have changed; one look at a time."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys
        self._parts = [keys.partition(number) for number in range(keys.partitions)]
        self._leases = [part.lease for part in self._parts]
        self._bell_of = {part.lease: part.bell for part in self._parts}
        self._turn = asyncio.Lock()
        self._forget()

    async def backlog(self) -> int:
        """Messages accepted and not finished, as of a new look; raises as ``survey``."""
        return (await self.survey()).backlog_messages

    async def survey(self) -> StoreSurvey:
        """
        Look at every partition; one to three round trips for all of them together. In a cluster
        each is asked by itself, all at once.

        After a failure everything is looked at again: Redis may have come back with less.

        Raises:
            BrokerUnavailable: no answer.
            BrokerRefused: Redis refused to tell.
        """
        async with self._turn:
            try:
                return await self._survey()
            except InturnError:
                self._forget()
                raise

    def _forget(self) -> None:
        self._unfinished = [Unfinished(self._pipe, part) for part in self._parts]

    async def _survey(self) -> StoreSurvey:
        looks = await asyncio.gather(
            *(self._look_at(leases) for leases in self._pipe.together(self._leases))
        )
        now_of = {lease: now_ms for now_ms, _, owned in looks for lease in owned}
        bells = {bell: at for _, rung, _ in looks for bell, at in rung.items()}
        owned = {lease for _, _, owned in looks for lease, is_owned in owned.items() if is_owned}
        found = await asyncio.gather(
            *(each.count(bells.get(each.keys.bell, b"")) for each in self._unfinished)
        )
        return StoreSurvey(
            now_ms=max(now_of.values()),
            partitions=tuple(
                PartitionSurvey(
                    number=part.number,
                    owned=part.lease in owned,
                    messages=messages,
                    oldest_at=oldest_at,
                    now_ms=now_of[part.lease],
                )
                for part, (messages, oldest_at) in zip(self._parts, found, strict=True)
            ),
        )

    async def _look_at(
        self, leases: Sequence[str]
    ) -> tuple[int, dict[str, bytes], dict[str, bool]]:
        """What time it is there, which bells have rung when, and which of the leases are held."""
        bells = [self._bell_of[lease] for lease in leases]
        now_ms, rung, owned = await asyncio.gather(
            time_ms_at(self._pipe, leases[0]), self._last_rings(bells), self._owned(leases)
        )
        return now_ms, rung, owned

    async def _last_rings(self, bells: Sequence[str]) -> dict[str, bytes]:
        """The id of every bell that has ever rung: of each its only entry."""
        ids = ["0-0"] * len(bells)
        found = await self._pipe.call("XREAD", "COUNT", 1, "STREAMS", *bells, *ids)
        return {bell.decode(): entries[0][0] for bell, entries in found or ()}

    async def _owned(self, leases: Sequence[str]) -> dict[str, bool]:
        """Whether somebody holds each lease; asked one by one only where not all are held."""
        held = await self._pipe.call("EXISTS", *leases)
        if held in (0, len(leases)):
            return dict.fromkeys(leases, held > 0)
        each = await asyncio.gather(*(self._pipe.call("EXISTS", lease) for lease in leases))
        return {lease: is_held > 0 for lease, is_held in zip(leases, each, strict=True)}


async def survey_store(pipe: Pipe, keys: Keys) -> StoreSurvey:
    """
    Look once, at everything.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    return await Surveyor(pipe, keys).survey()


async def count_kept(pipe: Pipe, keys: Keys) -> Kept:
    """
    Count replies and dead letters: two commands where there never was any, else more with each
    partition.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    parts = [keys.partition(number) for number in range(keys.partitions)]
    replies, letters = await asyncio.gather(
        _total_length(pipe, [part.outbox for part in parts]),
        _total_length(pipe, [part.dead for part in parts]),
    )
    return Kept(replies=replies, dead_letters=letters)


async def keep_surveying(
    surveyor: Surveyor,
    metrics: Sequence[StoreMetrics],
    interval_s: float,
    *,
    tell: Callable[[int | None], None] = lambda _backlog: None,
) -> None:
    """
    Set the gauges of all ``metrics`` every ``interval_s``, until cancelled; ``tell`` is told the
    backlog, if known.

    While Redis does not tell they are NaN: a backlog from before an outage would look like one
    of now, and a zero like health. An outage is one line in the log, and its end another.
    """
    failing = False
    while True:
        try:
            survey = await surveyor.survey()
        except InturnError as error:
            if not failing:
                log.warning("survey.failed", error=str(error))
            failing = True
            _show_unknown(metrics)
            tell(None)
        else:
            if failing:
                log.info("survey.resumed", backlog=survey.backlog_messages)
            failing = False
            _show(metrics, survey)
            tell(survey.backlog_messages)
        await asyncio.sleep(interval_s)


def _show(metrics: Sequence[StoreMetrics], survey: StoreSurvey) -> None:
    for shown in metrics:
        shown.backlog_messages.set(survey.backlog_messages)
        shown.oldest_unfinished_seconds.set(survey.oldest_unfinished_s)
        shown.partitions_without_owner.set(len(survey.without_owner))


def _show_unknown(metrics: Sequence[StoreMetrics]) -> None:
    for shown in metrics:
        shown.backlog_messages.set(UNKNOWN)
        shown.oldest_unfinished_seconds.set(UNKNOWN)
        shown.partitions_without_owner.set(UNKNOWN)


async def _total_length(pipe: Pipe, streams: Sequence[str]) -> int:
    groups = pipe.together(streams)
    held = await asyncio.gather(*(pipe.call("EXISTS", *group) for group in groups))
    filled = [name for group, count in zip(groups, held, strict=True) if count for name in group]
    return sum(await asyncio.gather(*(pipe.call("XLEN", stream) for stream in filled)))
