"""
What a worker waits on: the bells of its partitions, and the deployment's.

Waiting is one plain XREAD BLOCK over bells: nothing it returns can be lost, because a bell says
only "look again". In a cluster a read may name keys of one slot: there is one for each, and what
one node does not tell holds up no partition of another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any, Protocol

from shared.connect import BLOCK_MS, Pipe
from shared.errors import BrokerRefused, BrokerUnavailable

PAUSE_S = 0.2
"""After a failed read, before the next one."""

_INSTANCE = b"instance"
"""The field of a ring that says whose stream became ready; other rings have none."""


class Bells(Protocol):
    """Tells which bells rang."""

    async def wait(self, bells: list[str]) -> dict[str, str | None]:
        """
        The bells that have rung since they were last returned, or none after ``BLOCK_MS``; and
        the instance whose stream became ready, where the last ring of a bell says so.

        A bell that is new here counts as rung, so that nothing before is missed, and so does one
        that could not be heard for a while.
        """
        ...


def bells_on(pipe: Pipe, group: asyncio.TaskGroup) -> Bells:
    """Of a pipe to block on; ``group``: of what waits."""
    return SlotBells(pipe, group) if pipe.is_cluster else BellReader(pipe)


class BellReader:
    """
    Blocks on bells that one command may name, from the last ids seen.

    After a reconnect the ids are asked for again: a server that lost writes, or another one, may
    ring under ids below those that were seen.
    """

    def __init__(self, pipe: Pipe) -> None:
        """
        Raises:
            ValueError: the pipe would give up before ``BLOCK_MS`` are over.
        """
        pipe.require_block(BLOCK_MS)
        self._pipe = pipe
        self._seen: dict[str, bytes] = {}
        self._has_failed = False

    def forget(self) -> None:
        """The connection was lost: every bell counts as rung when Redis answers again."""
        self._seen.clear()

    async def wait(self, bells: list[str]) -> dict[str, str | None]:
        """As ``Bells``."""
        if self._has_failed:
            await asyncio.sleep(PAUSE_S)
            self._has_failed = False
        try:
            return await self._wait(bells)
        except (BrokerUnavailable, BrokerRefused):
            self._has_failed = True
            self.forget()
            return dict.fromkeys(bells)

    async def _wait(self, bells: list[str]) -> dict[str, str | None]:
        self._seen = {bell: self._seen[bell] for bell in bells if bell in self._seen}
        fresh = [bell for bell in bells if bell not in self._seen]
        if fresh:
            for bell in fresh:
                self._seen[bell] = await self._last_id(bell)
            return dict.fromkeys(fresh)
        ids = [self._seen[bell] for bell in bells]
        found = await self._pipe.call("XREAD", "BLOCK", BLOCK_MS, "STREAMS", *bells, *ids)
        rung: dict[str, str | None] = {}
        for key, entries in found or ():
            bell, (self._seen[bell], ring) = key.decode(), entries[-1]
            rung[bell] = ring[1].decode(errors="replace") if ring[0] == _INSTANCE else None
        return rung

    async def _last_id(self, bell: str) -> bytes:
        last: list[Any] = await self._pipe.call("XREVRANGE", bell, "+", "-", "COUNT", 1)
        return last[0][0] if last else b"0-0"


class SlotBells:
    """A read for each slot that bells are in, all at the same time."""

    def __init__(self, pipe: Pipe, group: asyncio.TaskGroup) -> None:
        """
        Raises:
            ValueError: as of a ``BellReader``.
        """
        pipe.require_block(BLOCK_MS)
        self._pipe = pipe
        self._group = group
        self._bells: list[str] = []
        self._readers: dict[tuple[str, ...], BellReader] = {}
        self._waits: dict[tuple[str, ...], asyncio.Task[dict[str, str | None]]] = {}
        self._resting: set[tuple[str, ...]] = set()
        self._ended: deque[tuple[tuple[str, ...], asyncio.Task[dict[str, str | None]]]] = deque()
        self._has_ended = asyncio.Event()

    async def wait(self, bells: list[str]) -> dict[str, str | None]:
        """As ``Bells``. What it costs grows with the reads that have ended, not with all."""
        if bells != self._bells:
            self._change(bells)
        for some in self._resting:
            self._begin(some)
        self._resting.clear()
        await self._has_ended.wait()
        self._has_ended.clear()
        rung: dict[str, str | None] = {}
        while self._ended:
            some, task = self._ended.popleft()
            if self._waits.get(some) is task:  # else it is not ours any more
                del self._waits[some]
                self._resting.add(some)
                rung |= task.result()
        return rung

    def _change(self, bells: list[str]) -> None:
        wanted = {tuple(some) for some in self._pipe.together(bells)}
        for gone in self._readers.keys() - wanted:
            del self._readers[gone]
            if (wait := self._waits.pop(gone, None)) is not None:  # none: it has just returned
                wait.cancel()
            self._pipe.leave(gone[0])
        for new in wanted - self._readers.keys():
            self._readers[new] = BellReader(self._pipe)
        self._resting = wanted - self._waits.keys()
        self._bells = bells

    def _begin(self, some: tuple[str, ...]) -> None:
        wait = self._readers[some].wait(list(some))
        task = self._group.create_task(wait, name=f"bells-{some[0]}")
        self._waits[some] = task
        task.add_done_callback(partial(self._end, some))

    def _end(self, some: tuple[str, ...], task: asyncio.Task[dict[str, str | None]]) -> None:
        self._ended.append((some, task))
        self._has_ended.set()
