"""What ends together is finished together, and nobody waits for a timer or for another's error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
from msgspec.structs import replace

from consumer.answers import FinishAnswer, FinishCode, FinishRequest
from consumer.finisher import FINISH_BATCH, FINISH_BYTES, Finisher
from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.model import EntryId, Token

KEYS = Keys("t", 2)


class Store:
    """A partition whose scripts wait until they are let go."""

    def __init__(self, number: int = 0) -> None:
        self.keys = KEYS.partition(number)
        self.scripts: list[list[str]] = []
        self.answers: dict[str, FinishAnswer] = {}
        self.failure: BrokerUnavailable | None = None
        self._free = asyncio.Semaphore(0)

    async def finish(
        self, requests: Sequence[FinishRequest], retention_ms: int
    ) -> list[FinishAnswer]:
        """One script: the users whose windows are in it."""
        assert retention_ms == 7
        users = [one.conversation[1] for one in requests]
        self.scripts.append(users)
        await self._free.acquire()
        if self.failure is not None:
            raise self.failure
        return [self.answers.get(user, FinishCode.FINISHED) for user in users]

    def let_go(self, count: int = 1) -> None:
        """So many scripts are answered."""
        for _ in range(count):
            self._free.release()


def ended(user: int, size: int = 0) -> FinishRequest:
    """A user's window."""
    return FinishRequest(
        conversation=("shop", f"u{user}"),
        first=EntryId(user, 0),
        token=Token("t"),
        outcome="answered",
        value=b"x" * size,
    )


class Worker:
    """Finishes windows of partitions in tasks of their own."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._finisher = Finisher(group, 7)

    def end(self, store: Store, *requests: FinishRequest) -> list[asyncio.Future[FinishCode]]:
        """These windows have ended, at the same time; what is heard of each."""
        whole = cast("PartitionStore", store)
        heard: list[asyncio.Future[FinishCode]] = []
        for one in requests:
            future: asyncio.Future[FinishCode] = asyncio.get_running_loop().create_future()
            self._finisher.finish(whole, one, partial(self._hear, future))
            heard.append(future)
        return heard

    def _hear(
        self, future: asyncio.Future[FinishCode], answer: FinishAnswer | BrokerUnavailable
    ) -> None:
        if isinstance(answer, FinishCode):
            future.set_result(answer)
        else:
            future.set_exception(answer)


@asynccontextmanager
async def working() -> AsyncIterator[Worker]:
    """A worker, as long as the block."""
    async with asyncio.TaskGroup() as group:
        yield Worker(group)


async def turn() -> None:
    """Everything that can go on without an answer has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_single_finish_leaves_at_once() -> None:
    """No timer, and nobody to wait for."""
    store = Store()
    async with working() as worker:
        (one,) = worker.end(store, ended(1))
        await turn()
        assert store.scripts == [["u1"]]
        store.let_go()
        assert await one is FinishCode.FINISHED


async def test_what_ends_meanwhile_goes_together() -> None:
    """One script is on its way; the next one takes all that ended until its answer."""
    store = Store()
    async with working() as worker:
        tasks = worker.end(store, ended(1))
        await turn()
        for user in range(2, 5):
            tasks += worker.end(store, ended(user))
            await turn()
        assert store.scripts == [["u1"]]
        store.let_go(2)
        assert await asyncio.gather(*tasks) == [FinishCode.FINISHED] * 4
        assert store.scripts == [["u1"], ["u2", "u3", "u4"]]


async def test_partitions_do_not_wait_for_each_other() -> None:
    """Each has its own script on its way."""
    slow, quick = Store(0), Store(1)
    async with working() as worker:
        (waits,) = worker.end(slow, ended(1))
        (goes,) = worker.end(quick, ended(2))
        quick.let_go()
        assert await goes is FinishCode.FINISHED
        assert not waits.done()
        slow.let_go()
        await waits


async def test_script_is_bounded_in_windows_and_bytes() -> None:
    """Redis answers nobody else while it runs: the rest takes the next one, a large one its own."""
    store = Store()
    async with working() as worker:
        many = [ended(user) for user in range(FINISH_BATCH + 1)]
        large = [ended(1000, FINISH_BYTES // 2), ended(1001, 2 * FINISH_BYTES), ended(1002, 1)]
        tasks = worker.end(store, *many, *large)
        store.let_go(4)
        await asyncio.gather(*tasks)
    sizes = [len(users) for users in store.scripts]
    assert sizes == [FINISH_BATCH, 2, 1, 1]


async def test_answers_and_errors_are_each_windows_own() -> None:
    """A refusal and an error reach the one they are about."""
    store = Store()
    store.answers = {"u2": FinishCode.REFUSED, "u3": BrokerRefused("ERR", "damaged")}
    async with working() as worker:
        tasks = worker.end(store, *(ended(user) for user in range(1, 5)))
        store.let_go()
        got = await asyncio.gather(*tasks, return_exceptions=True)
    assert got[:2] == [FinishCode.FINISHED, FinishCode.REFUSED]
    assert isinstance(got[2], BrokerRefused)
    assert got[3] is FinishCode.FINISHED


async def test_lost_answer_is_told_to_all_and_the_next_script_goes() -> None:
    """Whoever waits decides whether to repeat; a repetition leaves like any other finish."""
    store = Store()
    async with working() as worker:
        store.failure = BrokerUnavailable("gone")
        tasks = worker.end(store, ended(1), ended(2))
        store.let_go()
        for task in tasks:
            with pytest.raises(BrokerUnavailable):
                await task
        store.failure = None
        (again,) = worker.end(store, replace(ended(1), outcome="silent"))
        store.let_go()
        assert await again is FinishCode.FINISHED
