"""An attempt that shutdown ends."""

from __future__ import annotations

import asyncio
from typing import cast

from consumer.attempt import Running
from consumer.store import PartitionStore
from shared.model import Token
from tests.support.windows import make_window


async def test_shutdown_may_meet_a_time_limit_that_has_just_passed() -> None:
    """The call's timer has fired and its task does not know yet: ending it is no error."""
    store = cast("PartitionStore", None)
    window = make_window()
    running = Running(window, window, Token("t"), 0, store, orphaned=False, joins=1)

    async def call() -> None:
        async with asyncio.timeout(60) as running.deadline:
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    assert running.deadline is not None
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        try:
            running.end_now()
        except RuntimeError as error:
            ended.set_exception(error)
        else:
            ended.set_result(None)

    running.deadline.reschedule(loop.time() - 1)
    loop.call_soon(end)  # behind the timer, before the task
    await ended
    (result,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(result, TimeoutError)
    assert running.cut_short
