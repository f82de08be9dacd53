"""
What a pipe sends: commands, each of which is told its own answer.

A command belongs to the pipe from ``Pipe.send`` until it is settled, exactly once: by its answer,
or by why there is none. In between it is packed, when its batch leaves. One that gathers more of
its kind while it waits (``ingest.group``) thus takes whatever came until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from shared.errors import BrokerRefused, BrokerUnavailable, NotDurable

Failure = BrokerRefused | BrokerUnavailable


class Command(Protocol):
    """One command of a batch; all of it is called in the pipe's own task, but for the queueing."""

    @property
    def count(self) -> int:
        """How many calls or messages it stands for: a batch is bounded by their number."""
        ...

    @property
    def key(self) -> str:
        """A key that it names: a cluster sends it to the node that has that. Not asked of one."""
        ...

    def is_wanted(self) -> bool:
        """Whether somebody still waits for it; else it is not sent. Asked before ``pack``."""
        ...

    def pack(self) -> bytes:
        """The bytes that go to Redis; from now on it may be executed, whatever happens."""
        ...

    def settle(self, answer: Any, lacks: str | None = None) -> BrokerRefused | None:
        """
        It is done: ``answer`` is Redis's, or a ``Failure`` instead of one.

        ``lacks``: it ran, and why it is not as durable as was asked. Returns what Redis refused of
        it. Raises nothing, for its neighbours are yet to be told.
        """
        ...


class Call:
    """The command of one caller, who waits for ``future``."""

    __slots__ = ("_packed", "future")

    count = 1
    key = ""

    def __init__(self, packed: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._packed = packed
        self.future: asyncio.Future[Any] = loop.create_future()

    def is_wanted(self) -> bool:
        """Not when the caller was cancelled."""
        return not self.future.done()

    def pack(self) -> bytes:
        """As it was packed for its caller, who was told if that could not be."""
        return self._packed

    def settle(self, answer: Any, lacks: str | None = None) -> BrokerRefused | None:
        """Tell the caller."""
        resolve(self.future, answer, lacks)
        return answer if isinstance(answer, BrokerRefused) else None


def resolve(future: asyncio.Future[Any], answer: Any, lacks: str | None) -> None:
    """Hand over an answer, unless nobody waits any more; a refusal is one, durable or not."""
    if future.done():
        return
    if isinstance(answer, Failure):
        future.set_exception(answer)
    elif lacks is None:
        future.set_result(answer)
    else:
        future.set_exception(NotDurable(lacks, answer))


def settle_all(commands: Iterable[Command], failure: Failure) -> None:
    """None of them has an answer, for the same reason."""
    for command in commands:
        command.settle(failure)
