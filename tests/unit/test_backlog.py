"""``BACKLOG_LIMIT``: from what count on ingest refuses, and when it takes messages again."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import structlog

from ingest.accepted import Accepted
from ingest.backlog import BacklogLimit
from shared.errors import BacklogFull, BrokerUnavailable
from shared.model import Message
from tests.support.spooling import message


class Store:
    """Takes everything; ``unfinished`` is what a look finds, None: it finds no Redis."""

    def __init__(self) -> None:
        self.unfinished: int | None = 0
        self.taken: list[Message] = []
        self.spools = False
        self.looks = 0
        self.now_s = 100.0
        self.limit = BacklogLimit(self, 10, self.look, lambda: self.now_s)

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """Whatever comes; ids that were taken are duplicates."""
        known = {one.message_id for one in self.taken}
        self.taken += messages
        return [
            Accepted(
                message_id=one.message_id,
                entry_id=None,
                duplicate=one.message_id in known,
                spooled=self.spools,
            )
            for one in messages
        ]

    async def look(self) -> int:
        """How much is unfinished."""
        self.looks += 1
        if self.unfinished is None:
            raise BrokerUnavailable("away")
        return self.unfinished

    async def put(self, *numbers: int) -> None:
        """One request."""
        await self.limit.append([message(number) for number in numbers])


@pytest.fixture
def store() -> Store:
    """Surveyed a while ago: 8 of 10 are unfinished."""
    made = Store()
    made.limit.note(8)
    made.unfinished = 10
    made.now_s += 60
    return made


async def test_below_the_limit_nobody_looks(store: Store) -> None:
    """In health a request costs an addition."""
    await store.put(1, 2)
    assert store.looks == 0


async def test_at_the_limit_a_look_decides(store: Store) -> None:
    """What was finished since the survey counts, and what is still there is refused."""
    await store.put(1, 2)
    with pytest.raises(BacklogFull):
        await store.put(3)
    store.unfinished = 5
    store.now_s += 1
    await store.put(3)
    assert store.looks == 2
    assert len(store.taken) == 3


async def test_refusals_do_not_ask_redis_each_time(store: Store) -> None:
    """A flood of refused requests looks once a second."""
    await store.put(1, 2)
    for _ in range(50):
        with pytest.raises(BacklogFull):
            await store.put(3)
    assert store.looks == 1


async def test_a_request_is_taken_whole_or_refused_whole(store: Store) -> None:
    """Of a request that does not fit nothing is kept."""
    with pytest.raises(BacklogFull):
        await store.put(1, 2, 3)
    assert store.taken == []


async def test_what_is_unknown_limits_nothing(store: Store) -> None:
    """While Redis does not tell, the spool's own limit counts."""
    store.unfinished = None
    await store.put(*range(20))
    await store.put(*range(20, 40))
    assert store.looks == 1


async def test_only_new_entries_count(store: Store) -> None:
    """A second copy is no entry, and what is in the spool is none yet."""
    await store.put(1)
    await store.put(1)
    store.spools = True
    await store.put(2)
    store.spools = False
    await store.put(3)
    assert store.looks == 0


async def test_beginning_and_end_are_one_line_each(store: Store) -> None:
    """An operator sees that it refuses and when it stops, and is not drowned."""
    with structlog.testing.capture_logs() as logs:
        await store.put(1, 2)
        for _ in range(3):
            with pytest.raises(BacklogFull):
                await store.put(3)
        store.unfinished, store.now_s = 0, store.now_s + 1
        await store.put(3)
        await store.put(4)
    assert [line["event"] for line in logs] == ["backlog.full", "backlog.taken"]
