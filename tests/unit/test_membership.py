"""When a worker may still believe that the others take it for alive."""

from __future__ import annotations

import time
from typing import Any, cast

import pytest

from consumer.lease import renew_by_s
from consumer.membership import Membership, WorkerState
from shared.connect import Pipe
from shared.errors import BrokerUnavailable
from shared.keys import Keys
from shared.model import WorkerId


class LossyPipe:
    """A Redis with one key that lives or not; ``lose`` swallows the next script's answer."""

    def __init__(self) -> None:
        self.is_there = False
        self.lose = False

    async def call(self, *_command: Any) -> int:
        """PEXPIRE."""
        return int(self.is_there)

    async def script(self, *_script: Any) -> int:
        """The beat script: makes the key, and answers whether it was there."""
        kept, self.is_there = self.is_there, True
        if self.lose:
            self.lose = False
            raise BrokerUnavailable("no answer")
        return int(kept)


def member(pipe: LossyPipe) -> Membership:
    """A worker that speaks through ``pipe``."""
    return Membership(cast("Pipe", pipe), Keys("t", 4), WorkerId("w"), lease_ms=6000)


async def test_beats_that_keep_the_key_are_no_joins() -> None:
    """One join, however long it lives."""
    membership = member(LossyPipe())
    assert await membership.beat()
    assert not await membership.beat()
    assert membership.joins == 1


async def test_a_beat_is_due_like_a_renewal_or_when_there_is_news() -> None:
    """A joined worker beats when its trust has aged, and at once when it begins to drain."""
    membership = member(LossyPipe())
    assert membership.is_beat_due(time.monotonic())
    await membership.beat()
    now_s = time.monotonic()
    assert not membership.is_beat_due(now_s)
    assert membership.is_beat_due(renew_by_s(membership.trust, 6000))
    membership.state = WorkerState.DRAINING
    assert membership.is_beat_due(now_s)


async def test_a_key_that_was_missing_is_a_join_though_the_answer_is_lost() -> None:
    """Others may have taken over: what was begun before must not go on as if nothing was."""
    pipe = LossyPipe()
    membership = member(pipe)
    await membership.beat()
    before = membership.joins
    pipe.is_there, pipe.lose = False, True
    with pytest.raises(BrokerUnavailable):
        await membership.beat()
    assert not await membership.beat()
    assert membership.joins > before


@pytest.mark.parametrize("said", [WorkerState.UP, WorkerState.DRAINING])
async def test_a_join_counts_though_its_answer_is_lost(said: WorkerState) -> None:
    """The first of all, and one that says for the first time that the worker drains."""
    pipe = LossyPipe()
    membership = member(pipe)
    if said is WorkerState.DRAINING:
        await membership.beat()
        membership.state = said
    before = membership.joins
    pipe.is_there, pipe.lose = False, True
    with pytest.raises(BrokerUnavailable):
        await membership.beat()
    assert await membership.beat(), "who looks must hear of it all the same"
    assert membership.joins > before
