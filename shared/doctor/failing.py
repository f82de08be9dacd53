"""
What fails just now, by kind of error: windows at their handler, replies at their provider.

It costs each partition two steps of a scan, whatever waits: what a handler says that does not
work, it says of every window.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.keys import Keys
from shared.pipe import Pipe
from shared.record import (
    DAMAGE,
    REFUSED,
    decode_record,
    decode_send_record,
    kind_on_a_line,
)

RECORDS_PER_PARTITION = 500
"""Redis answers nobody else during a step: so many records take it about a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """
    How many, by kind of error: ``windows`` whose last attempt came to nothing, ``sends`` that are
    tried again, and replies ``held`` for a person. ``is_whole``: there are no more of them.
    """

    windows: Mapping[str, int] = field(default_factory=dict)
    sends: Mapping[str, int] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    is_whole: bool = True


async def find_failing(pipe: Pipe, keys: Keys) -> Failing:
    """
    Look at every partition.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: Redis refused to tell.
    """
    parts = [keys.partition(number) for number in range(keys.partitions)]
    asked = [key for part in parts for key in (part.running, part.sending)]
    answers = await asyncio.gather(
        *(pipe.call("HSCAN", key, 0, "COUNT", RECORDS_PER_PARTITION) for key in asked)
    )
    running = [value for _, flat in answers[::2] for value in flat[1::2]]
    sending = [value for _, flat in answers[1::2] for value in flat[1::2]]
    return Failing(
        windows=_count(running, lambda value: decode_record(value).error),
        sends=_count(sending, _try_error),
        held=_count(sending, lambda value: decode_send_record(value).held),
        is_whole=all(int(cursor) == 0 for cursor, _ in answers),
    )


def _try_error(value: bytes) -> str:
    record = decode_send_record(value)
    return "" if record.held else record.error


def _count(values: Sequence[bytes], error_of: Callable[[bytes], str]) -> Mapping[str, int]:
    """By kind, the most frequent first; without those that nothing is wrong with."""
    return dict(Counter(_kinds(values, error_of)).most_common())


def _kinds(values: Sequence[bytes], error_of: Callable[[bytes], str]) -> Iterator[str]:
    """But for those of records that somebody else wrote."""
    for value in values:
        try:
            error = error_of(value)
        except DAMAGE:
            continue
        if error:
            yield kind_on_a_line(error.removeprefix(REFUSED))
