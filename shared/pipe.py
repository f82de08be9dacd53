"""
What everybody speaks to Redis through, on one server or on a cluster.

Commands that come while a batch is on its way form the next one. Nothing is ever repeated after an
answer was lost: a repeated write may run twice. Whoever calls decides, knowing that every write
script is idempotent.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.command import Command
from shared.errors import BrokerRefused
from shared.scripts import Script

BLOCK_MS = 2000
"""How long a blocking read waits; its pipe's timeout is longer by ``BLOCK_SLACK_MS``."""

BLOCK_SLACK_MS = 3000


class Pipe(ABC):
    """
    The way to the data, wherever they are.

    ``run`` must be running (a task of the owner's group); the rest may be used from any task.
    Commands on keys of one slot execute in the order of the calls. Whoever is cancelled leaves a
    command that was sent to its fate: it may run.

    ``is_cluster``: one command may name only keys of one slot (``together``).

    ``on_batch`` is told how many calls or messages each batch holds that leaves.
    """

    is_cluster = False

    def __init__(self, *, timeout_ms: int, name: str) -> None:
        self.name = name
        self.timeout_ms = timeout_ms
        self.on_batch: Callable[[int], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # to ask for it is a system call

    @abstractmethod
    async def run(self) -> None:
        """Send batch after batch until cancelled; then nothing is accepted any more."""

    @abstractmethod
    def send(self, command: Command) -> None:
        """
        Send a command with the next batch; it is told what becomes of it, not the caller.

        Raises:
            BrokerUnavailable: this pipe has ended; nothing was sent, and ``command`` is not told.
        """

    @abstractmethod
    async def call(self, *command: Any) -> Any:
        """
        Run one command.

        Raises:
            BrokerRefused: Redis answered with an error.
            NotConnected: nothing was sent.
            NotDurable: it ran, and is not as durable as asked.
            BrokerUnavailable: no answer; the command may have run, or may run later.
            UnicodeEncodeError, TypeError: it cannot be written down; nothing was sent.
        """

    @abstractmethod
    async def call_each(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """
        Run commands that leave together, and no task for each; their answers, in order.

        Raises:
            what ``call`` raises, of the first that fails; the others may have run.
        """

    @abstractmethod
    async def call_at(self, key: str, *command: Any) -> Any:
        """
        ``call`` what names no key on the server that has ``key``.

        Raises:
            what ``call`` raises.
        """

    @abstractmethod
    async def servers(self) -> Mapping[str, Pipe]:
        """
        The way to every server that takes writes, to ask what is its own: by host and port.

        One that is alone has no name here. In a cluster these are known by its word: nobody says
        that each of them answers.

        Raises:
            BrokerUnavailable, BrokerRefused: nobody tells which there are.
        """

    async def call_everywhere(self, *command: Any) -> list[Any]:
        """
        ``call`` what names no key on every server that takes writes; the answer of each.

        Raises:
            what ``call`` raises, of the first that fails.
        """
        servers = await self.servers()
        return await asyncio.gather(*(server.call(*command) for server in servers.values()))

    @abstractmethod
    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """``keys``, parted into those that one command may name: all, or in a cluster by slot."""

    @abstractmethod
    def beside(self, key: str, keys: Sequence[str]) -> Sequence[str]:
        """Those of ``keys`` that are on the server that has ``key``, as far as is known."""

    def leave(self, key: str) -> None:  # noqa: B027 - most have no connection for one key
        """
        What was asked about ``key`` is wanted no more: end its own connection, if it has one.

        What is on its way there is told ``BrokerUnavailable``; the next call connects anew.
        """

    async def script(self, script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        """Run one script, by its hash; by its text where Redis does not know it (yet)."""
        rest = (len(keys), *keys, *args)
        try:
            return await self.call("EVALSHA", script.sha, *rest)
        except BrokerRefused as error:
            if error.code != "NOSCRIPT":
                raise
        return await self.call("EVAL", script.source, *rest)

    def require_block(self, block_ms: int) -> None:
        """
        Make sure that a blocking read of ``block_ms`` returns before this pipe gives it up.

        Raises:
            ValueError: it would not, or it would hold this connection for too long.
        """
        if block_ms > BLOCK_MS or self.timeout_ms < block_ms + BLOCK_SLACK_MS:
            raise ValueError(f"{self.name}: BLOCK {block_ms} with a timeout of {self.timeout_ms}")
