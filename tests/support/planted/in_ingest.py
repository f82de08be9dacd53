"""Bugs in ingest's Python."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

SLOW_DISK_S = 0.05
REPLAY_S = 0.7


def retried_xadd() -> None:
    """An append that got no answer is sent again as a new one, as a client that retries does."""
    from ingest.group import Answer, Groups, Turn

    serial = itertools.count()
    append = Groups.append

    def append_as_new(self: Groups, turn: Turn) -> asyncio.Future[list[Answer]]:
        args = list(turn.args)
        args[1::3] = [digest[:-4] + next(serial).to_bytes(4, "big") for digest in args[1::3]]
        return append(self, replace(turn, args=args))

    Groups.append = append_as_new  # type: ignore[method-assign]


def bypassed_spool() -> None:
    """New messages go to Redis as soon as it takes them, though older ones are in the spool."""
    from ingest.accepted import Accepted
    from ingest.away import State
    from ingest.outage import SpoolingAppender
    from shared.errors import BrokerRefused, BrokerUnavailable
    from shared.model import Message

    async def append(self: SpoolingAppender, messages: Sequence[Message]) -> list[Accepted]:
        try:
            return await self._redis.append(messages)
        except (BrokerUnavailable, BrokerRefused) as error:
            if self.state is State.ONLINE:
                self.begin(str(error))
        await self._spool.put(messages)
        return [
            Accepted(message_id=one.message_id, entry_id=None, duplicate=False, spooled=True)
            for one in messages
        ]

    replay = SpoolingAppender._replay

    async def replay_slowly(self: SpoolingAppender, backlog: Sequence[Any]) -> None:
        await asyncio.sleep(REPLAY_S)  # as a long backlog takes
        await replay(self, backlog)

    SpoolingAppender.append = append  # type: ignore[method-assign]
    SpoolingAppender._replay = replay_slowly  # type: ignore[method-assign]


def answered_before_sync() -> None:
    """A message is answered when the spool's thread has it, before it is written and synced."""
    from ingest.spool.writer import SpoolWriter, _Work

    def hand_over(self: SpoolWriter, work: _Work) -> asyncio.Future[None]:
        with self._wake:
            self._queue.append(work)
            self._wake.notify()
        if not work.records:
            return work.done
        at_once: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_once.set_result(None)
        return at_once

    SpoolWriter._hand_over = hand_over  # type: ignore[method-assign]
    lose_unsynced()


def lose_unsynced() -> None:
    """A process that dies at the point ``spool`` dies with its host: what is unsynced is lost."""
    from ingest.spool.segment import Segment

    commit = Segment.commit
    armed = Path(os.environ["TEST_PROBE_FILE"])

    def commit_slowly(
        self: Segment, data: bytes, messages: int, reach_written: Callable[[], None]
    ) -> None:
        def written() -> None:
            if armed.exists():
                os.ftruncate(self._fd, self.size)
            reach_written()

        time.sleep(SLOW_DISK_S)
        commit(self, data, messages, written)

    Segment.commit = commit_slowly  # type: ignore[method-assign]


BUGS: dict[str, Callable[[], Any]] = {
    "client retries of XADD": retried_xadd,
    "spool bypassed during replay": bypassed_spool,
    "2xx before the spool's fsync": answered_before_sync,
}
