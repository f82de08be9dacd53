"""
Group commit: what waits for the same batch and belongs to one partition goes in one script call.

Most of what a small script costs Redis is its call; of eight messages in one each costs half. A
partition is what a script may touch: its keys are in one slot of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiredis import pack_command

from shared.broker_errors import classify
from shared.command import Failure, resolve
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import GROUP, PartitionKeys
from shared.scripts import load_script

MESSAGES_MAX = 64
BYTES_MAX = 256 * 1024
"""
A full group takes no more: Redis does nothing else while a script runs (64 messages: 0.4 ms), and
what it has begun it ends beyond ``maxmemory``.
"""

_APPEND = load_script("append")

Answer = bytes | list[bytes]
"""An entry id; in a list, that of a message which was there before."""


@dataclass(slots=True, eq=False)
class Turn:
    """Messages of one conversation, to be appended in order; after a refused one none follows."""

    partition: PartitionKeys
    keys: Sequence[str]
    args: Sequence[Any]
    count: int
    size_bytes: int


class Groups:
    """The groups of one pipe that still wait: at most one per partition takes turns."""

    def __init__(self, pipe: Pipe, dedupe_ms: int) -> None:
        """Made inside a running loop: to ask for it is a system call, so it is asked for once."""
        self.loop = asyncio.get_running_loop()
        self.pipe = pipe
        self.dedupe_ms = dedupe_ms
        self.open: dict[int, Group] = {}

    def append(self, turn: Turn) -> asyncio.Future[list[Answer]]:
        """
        Append a turn once; safe to call again with the same one.

        The future raises what ``Pipe.call`` does; a refusal says that of one of its messages, and
        of those behind it, nothing was written.

        Raises:
            BrokerUnavailable: the pipe has ended, and nothing was sent.
        """
        number = turn.partition.number
        group = self.open.get(number)
        if group is None or group.is_full():
            group = Group(self, turn.partition)
            self.pipe.send(group)
            self.open[number] = group
        return group.add(turn)


class Group:
    """One script call (a ``Command``): it takes turns until its batch leaves."""

    __slots__ = ("_by_text", "_groups", "_partition", "_size_bytes", "_turns", "count")

    def __init__(self, groups: Groups, partition: PartitionKeys) -> None:
        self.count = 0
        self._groups = groups
        self._partition = partition
        self._turns: list[tuple[Turn, asyncio.Future[list[Answer]]]] = []
        self._size_bytes = 0
        self._by_text = False

    @property
    def key(self) -> str:
        """One of its partition's."""
        return self._partition.ready

    def is_full(self) -> bool:
        """Whether the next turn begins another group."""
        return self.count >= MESSAGES_MAX or self._size_bytes >= BYTES_MAX

    def add(self, turn: Turn) -> asyncio.Future[list[Answer]]:
        """Take a turn along; the future is told what becomes of it."""
        future: asyncio.Future[list[Answer]] = self._groups.loop.create_future()
        self._turns.append((turn, future))
        self.count += turn.count
        self._size_bytes += turn.size_bytes
        return future

    def is_wanted(self) -> bool:
        """Not when all who waited were cancelled; it takes no more turns."""
        self._close()
        self._turns = [one for one in self._turns if not one[1].done()]
        self.count = sum(turn.count for turn, _ in self._turns)
        return self.count > 0

    def pack(self) -> bytes:
        """The call: by the script's hash, or by its text where Redis does not know it."""
        keys = [self._partition.streams, self._partition.ready, self._partition.bell]
        args: list[Any] = [GROUP, self._groups.dedupe_ms]
        for turn, _ in self._turns:
            keys += turn.keys
            args += turn.args
        run = ("EVAL", _APPEND.source) if self._by_text else ("EVALSHA", _APPEND.sha)
        packed: bytes = pack_command((*run, len(keys), *keys, *args))
        return packed

    def settle(self, answer: Any, lacks: str | None = None) -> BrokerRefused | None:
        """Tell each turn its part of the answer, or send the script's text."""
        self._close()
        if isinstance(answer, BrokerRefused) and answer.code == "NOSCRIPT" and not self._by_text:
            self._by_text = True
            try:
                self._groups.pipe.send(self)
            except BrokerUnavailable as error:
                answer = error
            else:
                return None
        if isinstance(answer, Failure):
            for _, future in self._turns:
                resolve(future, answer, lacks)
            return answer if isinstance(answer, BrokerRefused) else None
        return self._share(answer, lacks)

    def _share(self, answers: list[Any], lacks: str | None) -> BrokerRefused | None:
        refused: BrokerRefused | None = None
        at = 0
        for turn, future in self._turns:
            own = answers[at : at + turn.count]
            at += turn.count
            failure = _failure_in(own)
            resolve(future, failure or own, lacks)
            if isinstance(failure, BrokerRefused):
                refused = failure
        return refused

    def _close(self) -> None:
        number = self._partition.number
        if self._groups.open.get(number) is self:
            del self._groups.open[number]


def _failure_in(answers: list[Any]) -> Failure | None:
    for answer in answers:
        if isinstance(answer, Exception):
            failure = classify(answer)
            failure.__cause__ = answer
            return failure
    return None
