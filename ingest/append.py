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
from shared.errors import BrokerUnavailable
from shared.keys import GROUP, Keys, message_hash
from shared.metrics import IngestMetrics
from shared.model import Conversation, Message
from shared.probe import Point, reach
from shared.scripts import load_script
from shared.wire import encode_message

DEADLINE_S = 2.0
"""How long an append is retried: a provider waits for its answer, and sends again after a 503."""

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
    ) -> None:
        """``deadline_s``: how long an append that got no answer is tried again."""
        self._pipe = pipe
        self._deadline_s = deadline_s
        self._keys = keys
        self._dedupe_ms = dedupe_ms
        self._metrics = metrics

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """
        Keep all messages, or raise; one entry per message id, however often it is called.

        Raises:
            BrokerRefused: Redis does not take writes; nothing more was written.
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
        value = encode_message(message)
        while True:
            try:
                code, entry_id = await self._append_value(message, value)
                reach(Point.APPEND)
                break
            except BrokerUnavailable:
                self._metrics.append_failures_total.labels(reason="unavailable").inc()
                if time.perf_counter() - began > self._deadline_s:
                    raise
                await asyncio.sleep(RETRY_S * (1 + random.random()))
        self._metrics.append_seconds.observe(time.perf_counter() - began)
        return Accepted(
            message_id=message.message_id,
            entry_id=entry_id.decode(),
            duplicate=code == _DUPLICATE,
            spooled=False,
        )

    async def _append_value(self, message: Message, value: bytes) -> tuple[int, bytes]:
        instance, user = message.instance, message.user
        keys = self._keys.of(instance, user)
        seen = (keys.seen(0, instance, user), keys.seen(1, instance, user))
        code, entry_id = await self._pipe.script(
            _APPEND,
            (keys.stream(instance), keys.streams, keys.ready, keys.bell, *seen),
            (instance, message_hash(message.message_id), value, self._dedupe_ms, GROUP),
        )
        return code, entry_id
