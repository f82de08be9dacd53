"""
The way of a message into Redis.

Batches form by themselves: the pipe sends together whatever came while its last batch was on
its way, one script call per partition (``ingest.group``). Before ``append`` returns, every message
is in its stream at the configured durability.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any

from ingest.accepted import Accepted
from ingest.group import Answer, Groups, Turn
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected, NotDurable
from shared.keys import Keys, message_hash
from shared.limit import Limit
from shared.metrics import IngestMetrics
from shared.model import Conversation, Message
from shared.probe import Point, reach
from shared.wire import encode_message

TIMEOUT_MS = 800
"""
How long an answer of Redis is waited for. A healthy one takes a few, a rewrite of its file or a
slow disk some hundred; after it a new connection is tried while there is still time.
"""

DEADLINE_S = 1.2
"""
How long a message is tried in all where there is no spool: a provider waits for its answer, which
must be there within 2 s whatever Redis does, and sends again after a 503.
"""

RETRY_S = 0.05

TURN_MESSAGES = 16
"""So many messages of one user go in one call; those behind them wait for its answer."""

USERS_AT_A_TIME = 32
"""Of one request; then others have their turn: a thousand messages at once hold nobody up."""


class RedisAppender:
    """Appends messages to their streams; safe to use from many requests at once."""

    def __init__(
        self,
        pipe: Pipe,
        keys: Keys,
        dedupe_ms: int,
        metrics: IngestMetrics,
        deadline_s: float = DEADLINE_S,
        limit_s: float | None = None,
    ) -> None:
        """
        Made inside a running loop.

        ``deadline_s``: how long an append that got no answer is tried again. ``limit_s``: when one
        is given up, also while it waits for its turn behind others; None: never.
        """
        self._groups = Groups(pipe, dedupe_ms)
        self._deadline_s = deadline_s
        self._limit_s = limit_s
        self._keys = keys
        self._metrics = metrics

    def append(self, messages: Sequence[Message]) -> Coroutine[Any, Any, list[Accepted]]:
        """
        Keep all messages, or raise; one entry per message id, however often it is called.

        Raises:
            BrokerRefused: Redis does not take the message that failed; it was not written.
            NotConnected: of the message that failed nothing was sent.
            NotDurable: it is in Redis, and not as durable as is set.
            BrokerUnavailable: no answer within the deadline; some may have been written, so the
                sender should send all again.
        """
        if len(messages) == 1:
            return self._append_turn(messages)
        return self._append_by_user(messages)

    async def _append_by_user(self, messages: Sequence[Message]) -> list[Accepted]:
        """Users side by side, each one's messages in order: none overtakes one that failed."""
        users: dict[Conversation, list[int]] = {}
        for at, message in enumerate(messages):
            users.setdefault((message.instance, message.user), []).append(at)
        accepted: dict[int, Accepted] = {}
        failures: list[BaseException] = []

        async def append_in_order(places: list[int]) -> None:
            try:
                for begin in range(0, len(places), TURN_MESSAGES):
                    turn = places[begin : begin + TURN_MESSAGES]
                    kept = await self._append_turn([messages[at] for at in turn])
                    accepted.update(zip(turn, kept, strict=True))
            except BaseException as error:  # noqa: BLE001  told below, when all have ended
                failures.append(error)

        async with asyncio.TaskGroup() as tasks:
            for number, places in enumerate(users.values(), 1):
                tasks.create_task(append_in_order(places))
                if number % USERS_AT_A_TIME == 0:
                    await asyncio.sleep(0)
        if failures:
            try:
                raise failures[0]
            finally:
                failures.clear()  # its traceback would hold it, and that the messages
        return [accepted[at] for at in range(len(messages))]

    async def _append_turn(self, messages: Sequence[Message]) -> list[Accepted]:
        """Messages of one user, in one call."""
        began_s = time.monotonic()
        answers = await self._append_until_kept(self._turn_of(messages), began_s)
        took_s = time.monotonic() - began_s
        accepted = []
        for message, answer in zip(messages, answers, strict=True):
            self._metrics.append_seconds.observe(took_s)
            accepted.append(_accepted(message, answer))
        return accepted

    async def _append_until_kept(self, turn: Turn, began_s: float) -> list[Answer]:
        may_be_there = False
        while True:
            try:
                answers = await self._append_once(turn, began_s)
                reach(Point.APPEND)
                return answers
            except TimeoutError:
                self._count("unavailable")
                raise BrokerUnavailable(f"not taken within {self._limit_s:g} s") from None
            except BrokerRefused as error:
                if may_be_there:
                    raise BrokerUnavailable(str(error)) from error
                raise
            except BrokerUnavailable as error:
                self._count("not_durable" if isinstance(error, NotDurable) else "unavailable")
                may_be_there |= not isinstance(error, NotConnected)
                pause_s = RETRY_S * (1 + random.random())
                if time.monotonic() + pause_s < began_s + self._deadline_s:
                    await asyncio.sleep(pause_s)
                elif may_be_there and isinstance(error, NotConnected):
                    raise BrokerUnavailable(str(error)) from error
                else:
                    raise

    def _append_once(self, turn: Turn, began_s: float) -> Awaitable[list[Answer]]:
        if self._limit_s is None:
            return self._groups.append(turn)
        return self._append_within(began_s + self._limit_s - time.monotonic(), turn)

    async def _append_within(self, span_s: float, turn: Turn) -> list[Answer]:
        """No variable holds the future, whose error would hold this frame and the messages."""
        async with Limit(span_s):
            return await self._groups.append(turn)

    def _count(self, reason: str) -> None:
        self._metrics.append_failures_total.labels(reason=reason).inc()

    def _turn_of(self, messages: Sequence[Message]) -> Turn:
        """``messages`` are of one user."""
        instance, user = messages[0].instance, messages[0].user
        partition = self._keys.of(instance, user)
        keys = (partition.stream(instance), *partition.both_seen(instance, user))
        args: list[Any] = []
        size_bytes = 0
        for message in messages:
            value = encode_message(message)
            args += (instance, message_hash(message.message_id), value)
            size_bytes += len(value)
        return Turn(partition, keys * len(messages), args, len(messages), size_bytes)


def _accepted(message: Message, answer: Answer) -> Accepted:
    is_duplicate = isinstance(answer, list)
    entry_id = answer[0] if isinstance(answer, list) else answer
    return Accepted(
        message_id=message.message_id,
        entry_id=entry_id.decode(),
        duplicate=is_duplicate,
        spooled=False,
    )
