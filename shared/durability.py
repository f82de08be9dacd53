"""
What must hold before a message is answered 2xx: ``DURABILITY``.

    memory       Redis has answered. A crash of it may take along what it has not written down.
    fsync        it is synced to the primary's disk: WAITAOF where the server has it (Redis 7.2,
                 Valkey), else ``appendfsync always``, with which no answer leaves before the sync
    replicas:N   N replicas have it in their memory: WAIT. A failover to one of them loses nothing

WAIT and WAITAOF speak of the *last write of their own connection* (before 7.2: of its last
command). So they are sent in the batch of the writes they are about, and a script that finds its
work done must write something all the same: else they would answer at once for a message that
nobody else has. Too few replicas, or no sync within the time: the message is in Redis and *not*
accepted; whoever sends it again asks again.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.broker_errors import NOT_LET_IN, is_outage
from shared.errors import BrokerRefused, NotDurable
from shared.server_info import ServerInfo

WAIT_MAX_MS = 1000
"""Longest wait of WAIT and WAITAOF; at most half of the time that an answer is waited for."""

_FORM = re.compile(r"(memory|fsync)|replicas:([1-9]\d{0,2})")

Ask = Callable[..., Awaitable[Any]]
"""Runs one command on one connection; gives an error of Redis as a ``BrokerRefused``."""


class Level(StrEnum):
    """The kinds of durability."""

    MEMORY = "memory"
    FSYNC = "fsync"
    REPLICAS = "replicas"


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """``replicas``: how many must have it; 0 but for ``Level.REPLICAS``."""

    level: Level = Level.MEMORY
    replicas: int = 0

    @classmethod
    def parse(cls, text: str) -> Durability:
        """
        Of the setting.

        Raises:
            ValueError: it has another form.
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError("must be memory, fsync or replicas:N, with N from 1 to 999")
        if match[2]:
            return cls(level=Level.REPLICAS, replicas=int(match[2]))
        return cls(level=Level(match[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """The command that ends a batch, and what its answer lacks (None: nothing)."""

    command: tuple[Any, ...]
    lacks: Callable[[Any], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncState:
    """How a server syncs, as far as it lets itself be asked: None where it does not."""

    has_waitaof: bool
    append_only: bool | None
    appendfsync: str | None

    @property
    def problem(self) -> str | None:
        """Why nobody can know that a write is on its disk; None: somebody can."""
        if self.append_only is False:
            return "appendonly is off: set appendonly yes"
        if self.appendfsync == "no":
            return "appendfsync is no: set it to always"
        if self.has_waitaof or (self.append_only and self.appendfsync == "always"):
            return None
        if self.append_only is None or self.appendfsync is None:
            return (
                "this server has no WAITAOF (Redis 7.2, Valkey), and neither INFO nor CONFIG shows "
                "whether appendonly is yes and appendfsync always: allow CONFIG GET, or set "
                "INTURN_DURABILITY to what can be known"
            )
        return f"appendfsync is {self.appendfsync}, and there is no WAITAOF: set it to always"


async def find_sync_state(ask: Ask) -> SyncState:
    """Ask a server how it syncs; also one that forbids CONFIG, as managed services do."""
    waited = await ask("WAITAOF", 0, 0, 1)
    info = await ask("INFO", "persistence")
    config = await ask("CONFIG", "GET", "appendfsync")
    enabled = None if isinstance(info, BrokerRefused) else ServerInfo.parse(info).append_only
    known = not isinstance(config, BrokerRefused) and len(config) == 2
    return SyncState(
        has_waitaof=not isinstance(waited, BrokerRefused),
        append_only=enabled,
        appendfsync=config[1].decode() if known else None,
    )


async def find_promise(durability: Durability, ask: Ask, timeout_ms: int) -> Promise | None:
    """
    What ends every batch of a new connection whose answers are waited for ``timeout_ms``.

    Asked of every new connection: a failover may have led to a server that is set otherwise.
    None: an answer is enough.

    Raises:
        NotDurable: this server cannot keep the promise.
    """
    wait_ms = min(timeout_ms // 2, WAIT_MAX_MS)
    if durability.level is Level.REPLICAS:
        return _wait(durability.replicas, wait_ms)
    if durability.level is Level.FSYNC:
        state = await find_sync_state(ask)
        if state.problem:
            raise NotDurable(state.problem)
        return _waitaof(wait_ms) if state.has_waitaof else None
    return None


async def durability_problems(durability: Durability, ask: Ask) -> list[str]:
    """
    Why a service must not start. That replicas are missing is none: they may come back.

    ``ask`` may be a ``Pipe.call``.

    Raises:
        BrokerUnavailable, BrokerRefused: nothing can be said now; try again later.
    """
    setting = f"INTURN_DURABILITY is {durability.level.value}"
    if durability.level is Level.FSYNC:
        problem = (await find_sync_state(_calm(ask))).problem
        return [f"{setting}, but {problem}"] if problem else []
    if durability.level is Level.REPLICAS:
        answer = await _calm(ask)("WAIT", 0, 1)
        if isinstance(answer, BrokerRefused):
            return [f"{setting}:{durability.replicas}, but Redis refuses WAIT: {answer}"]
    return []


def _calm(ask: Ask) -> Ask:
    async def calmly(*command: Any) -> Any:
        try:
            return await ask(*command)
        except BrokerRefused as error:
            if is_outage(error) and error.code not in NOT_LET_IN:
                raise  # it speaks of now (LOADING), not of what this server can
            return error

    return calmly


def _wait(replicas: int, wait_ms: int) -> Promise:
    def lacks(answer: Any) -> str | None:
        if isinstance(answer, BrokerRefused):
            return f"WAIT: {answer}"
        if isinstance(answer, int) and answer >= replicas:
            return None
        return f"{answer} of {replicas} replicas have it after {wait_ms} ms"

    return Promise(command=("WAIT", replicas, wait_ms), lacks=lacks)


def _waitaof(wait_ms: int) -> Promise:
    def lacks(answer: Any) -> str | None:
        if isinstance(answer, BrokerRefused):
            return f"WAITAOF: {answer}"
        if isinstance(answer, list) and answer and answer[0] >= 1:
            return None
        return f"not synced to disk after {wait_ms} ms"

    return Promise(command=("WAITAOF", 1, 0, wait_ms), lacks=lacks)
