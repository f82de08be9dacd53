"""What a worker that lost a partition does while it ends itself."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from consumer.sweep import Sweeper

NOBODY = cast(Any, None)


class Crash(Exception):
    """Ends a group."""


def sweeper(group: asyncio.TaskGroup) -> Sweeper:
    """One whose sweeps would fail at once, if there were any."""
    return Sweeper(group, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY)


async def test_a_worker_that_crashes_sweeps_nothing() -> None:
    """The keeper may lose partitions until the last task has ended: it hears of no error."""
    swept: list[Sweeper] = []

    async def lose_at_the_end(group: asyncio.TaskGroup) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            swept.append(sweeper(group))
            swept[-1].begin(0, 1)

    async def crash() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(lose_at_the_end(group))
            await asyncio.sleep(0)
            raise Crash

    with pytest.raises(ExceptionGroup) as crashed:
        await crash()

    assert [type(error) for error in crashed.value.exceptions] == [Crash]
    assert [one.under_way for one in swept] == [set()]


async def test_a_worker_that_has_ended_sweeps_nothing() -> None:
    """Also where its group is over."""
    async with asyncio.TaskGroup() as group:
        pass
    late = sweeper(group)

    late.begin(0, 1)

    assert late.under_way == set()
