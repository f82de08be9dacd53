"""
The way of a message into Redis.

Batches form by themselves: the pipe sends together whatever came while its last batch was on
its way. Before ``append`` returns, every message is in its stream at the configured durability.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from ingest.accepted import Accepted
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected, NotDurable
from shared.keys import GROUP, Keys, message_hash
from shared.metrics import IngestMetrics
from shared.model import Conversation, Message
from shared.probe import Point, reach
from shared.scripts import load_script
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

_APPEND = load_script("append")
_DUPLICATE = 1


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
        ``deadline_s``: how long an append that got no answer is tried again. ``limit_s``: when one
        is given up, also while it waits for its turn behind others; None: never.
        """
        self._pipe = pipe
        self._deadline_s = deadline_s
        self._limit_s = limit_s
        self._keys = keys
        self._dedupe_ms = dedupe_ms
        self._metrics = metrics

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
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
            return [await self._append_message(messages[0])]
        return await self._append_in_order(messages)

    async def _append_in_order(self, messages: Sequence[Message]) -> list[Accepted]:
        """Users side by side, each one's messages in turn: a repeated call must not overtake."""
        users: dict[Conversation, list[int]] = {}
        for at, message in enumerate(messages):
            users.setdefault((message.instance, message.user), []).append(at)
        accepted: dict[int, Accepted] = {}

        async def append_in_turn(turn: list[int]) -> None:
            for at in turn:
                accepted[at] = await self._append_message(messages[at])

        turns = (append_in_turn(turn) for turn in users.values())
        done = await asyncio.gather(*turns, return_exceptions=True)
        failures = [result for result in done if isinstance(result, BaseException)]
        if failures:
            raise failures[0]
        return [accepted[at] for at in range(len(messages))]

    async def _append_message(self, message: Message) -> Accepted:
        began = time.perf_counter()
        code, entry_id = await self._append_until_kept(message)
        self._metrics.append_seconds.observe(time.perf_counter() - began)
        return Accepted(
            message_id=message.message_id,
            entry_id=entry_id.decode(),
            duplicate=code == _DUPLICATE,
            spooled=False,
        )

    async def _append_until_kept(self, message: Message) -> tuple[int, bytes]:
        value = encode_message(message)
        began_s = asyncio.get_running_loop().time()
        limit_s = None if self._limit_s is None else began_s + self._limit_s
        may_be_there = False
        while True:
            try:
                async with asyncio.timeout_at(limit_s):
                    found = await self._append_value(message, value)
                reach(Point.APPEND)
                return found
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
                if asyncio.get_running_loop().time() + pause_s < began_s + self._deadline_s:
                    await asyncio.sleep(pause_s)
                elif may_be_there and isinstance(error, NotConnected):
                    raise BrokerUnavailable(str(error)) from error
                else:
                    raise

    def _count(self, reason: str) -> None:
        self._metrics.append_failures_total.labels(reason=reason).inc()

    async def _append_value(self, message: Message, value: bytes) -> tuple[int, bytes]:
        instance, user = message.instance, message.user
        keys = self._keys.of(instance, user)
        seen = keys.both_seen(instance, user)
        code, entry_id = await self._pipe.script(
            _APPEND,
            (keys.stream(instance), keys.streams, keys.ready, keys.bell, *seen),
            (instance, message_hash(message.message_id), value, self._dedupe_ms, GROUP),
        )
        return code, entry_id
