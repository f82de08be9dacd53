"""Attempts: what a call comes to, and that nobody waits for one whose result does not count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from consumer.attempt import Attempts, Running
from consumer.lease import trust_from
from consumer.membership import Membership
from consumer.retry import Decision, Finish, GiveUp, Postpone
from consumer.store import PartitionStore
from shared.connect import Pipe
from shared.handlers import Call
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import Reply, Result, Token, WorkerId
from tests.support.dispatching import RULES, dispatch_settings
from tests.support.windows import make_window

LEASE_MS = 600_000
DECIDED_S = 5.0
Answer = Callable[[Call], Awaitable[Result]]


class Handler:
    """Answers as it is told to."""

    in_process = True
    remembers = False

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def answer(self, call: Call) -> Result:
        """What the test says."""
        return await self._answer(call)

    async def close(self) -> None:
        """Nothing is held."""


class Bench:
    """Attempts at work, and what they have decided, in order."""

    def __init__(self) -> None:
        self.timeout_ms: dict[str, int] = {}
        self.decided: list[tuple[Running, Decision]] = []
        self.membership = Membership(cast("Pipe", None), Keys("t", 1), WorkerId("w"), LEASE_MS)
        self.membership.trust = trust_from(time.monotonic(), LEASE_MS)
        self.metrics = ConsumerMetrics()
        self._answer: Answer = hang
        self._news = asyncio.Event()
        settings = dispatch_settings(
            timeout_ms_of=lambda instance, _connection: self.timeout_ms.get(instance, 60_000),
            handler_of=lambda _instance, _connection: Handler(self._answer),
        )
        self.attempts = Attempts(settings, self.metrics, self.membership, self._decide)

    def begin(self, answer: Answer, *, instance: str = "shop", attempt: int = 1) -> Running:
        """A started window whose handler answers so."""
        self._answer = answer
        window = make_window(instance=instance)
        store = cast("PartitionStore", None)
        running = Running(window, window, Token("t"), 0, store, orphaned=False, joins=0)
        running.attempt, running.started_s = attempt, time.monotonic()
        self.attempts.begin(running)
        return running

    async def decisions(self, count: int) -> list[Decision]:
        """So many, and no more."""
        async with asyncio.timeout(DECIDED_S):
            while len(self.decided) < count:
                await self._news.wait()
                self._news.clear()
        assert len(self.decided) == count
        return [decision for _, decision in self.decided]

    def _decide(self, running: Running, decision: Decision) -> None:
        self.decided.append((running, decision))
        self._news.set()


async def hang(_call: Call) -> Result:
    """Answer never."""
    await asyncio.Event().wait()
    raise AssertionError


@asynccontextmanager
async def working() -> AsyncIterator[Bench]:
    """Attempts, as long as the block."""
    bench = Bench()
    task = asyncio.create_task(bench.attempts.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def turn() -> None:
    """Everything that can go on without time passing has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def reply(_call: Call) -> Result:
    """Answer at once."""
    return Reply(texts=("hello",))


async def test_an_answer_is_what_is_written() -> None:
    """A reply finishes the window with its texts."""
    async with working() as bench:
        running = bench.begin(reply)
        assert await bench.decisions(1) == [Finish(texts=("hello",))]
        assert running.call is None


@pytest.mark.parametrize("error", [ValueError("no"), asyncio.CancelledError()])
async def test_whatever_a_handler_raises_fails_its_attempt(error: BaseException) -> None:
    """Also a cancellation of its own making: else its window would be in hand for ever."""

    async def fail(_call: Call) -> Result:
        raise error

    async with working() as bench:
        bench.begin(fail, attempt=RULES.max_attempts)
        (decision,) = await bench.decisions(1)
    assert isinstance(decision, GiveUp)
    assert decision.error.startswith(type(error).__name__)


async def test_a_late_call_fails_and_its_result_is_dropped() -> None:
    """The decision comes with the time limit, though the handler ignores its cancellation."""
    release, ended = asyncio.Event(), asyncio.Event()

    async def ignore(_call: Call) -> Result:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        return Reply(texts=("late",))

    async with working() as bench:
        bench.timeout_ms["shop"] = 200
        bench.begin(ignore, attempt=RULES.max_attempts)
        assert await bench.decisions(1) == [GiveUp(error="no answer within 0.2 s")]
        release.set()
        await ended.wait()
        await turn()
        assert len(bench.decided) == 1


async def test_each_call_has_its_own_time() -> None:
    """A long limit that was set first does not hold up a short one, nor the other way round."""
    async with working() as bench:
        bench.timeout_ms |= {"slow": 60, "quick": 20, "patient": 60_000}
        begun = {bench.begin(hang, instance=name).window.instance for name in bench.timeout_ms}
        assert begun == {"slow", "quick", "patient"}
        await bench.decisions(2)
        assert [running.window.instance for running, _ in bench.decided] == ["quick", "slow"]


async def test_shutdown_ends_a_call_at_once_and_does_not_count_it() -> None:
    """Whether the handler hears of it or not; and once, though its time is over just then."""
    async with working() as bench:
        bench.timeout_ms["shop"] = 0
        running = bench.begin(hang)
        call = running.call
        bench.attempts.cut_short(running)
        bench.attempts.cut_short(running)
        (decision,) = await bench.decisions(1)
        assert isinstance(decision, Postpone)
        assert not decision.counts
        assert call is not None
        await asyncio.wait([call])
        await turn()
        assert len(bench.decided) == 1


async def test_an_answer_that_came_before_shutdown_counts() -> None:
    """The handler has done its work: only its result was not looked at yet."""
    async with working() as bench:
        running = bench.begin(reply)
        call = running.call
        await asyncio.sleep(0)
        assert call is not None
        assert call.done()
        assert bench.decided == []
        bench.attempts.cut_short(running)
        assert await bench.decisions(1) == [Finish(texts=("hello",))]


async def test_a_worker_that_may_be_taken_for_dead_calls_nobody() -> None:
    """Without trust, after another join, or cut short: given back, and not counted."""
    async with working() as bench:
        bench.membership.joins += 1
        running = bench.begin(reply)
        (decision,) = await bench.decisions(1)
        assert isinstance(decision, Postpone)
        assert not decision.counts
        assert running.call is None


async def test_what_is_no_handlers_failure_ends_the_worker() -> None:
    """It is raised where the worker's group hears it: no window stays in hand with nobody near."""

    class Fatal(BaseException):
        pass

    async def fail(_call: Call) -> Result:
        raise Fatal

    bench = Bench()
    bench.begin(fail)
    with pytest.raises(Fatal):
        async with asyncio.timeout(DECIDED_S):
            await bench.attempts.run()
    assert bench.decided == []


async def test_the_end_cancels_what_is_at_work() -> None:
    """Whoever ends the attempts leaves no call behind that could be stopped."""
    async with working() as bench:
        call = bench.begin(hang).call
        await turn()
    assert call is not None
    await asyncio.wait([call])
    assert call.cancelled()
    assert bench.decided == []
