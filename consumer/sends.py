"""What the senders of one worker share: channels, tokens in hand, the number at a time."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from consumer.membership import Membership
from consumer.retry import RetryRules
from shared.metrics import ConsumerMetrics
from shared.model import Conversation, Token, WorkerId
from shared.providers import Provider
from shared.settings import InstanceSettings
from shared.wire import OutboxReply

CONCURRENCY = 64
"""Sends at the same time by one worker: providers limit rates far below that."""

LOOP_SPAN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """How replies of an instance leave."""

    provider: Provider
    settings: InstanceSettings
    resend: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """The settings' part that sending needs. ``channel_of`` gives None where there is none."""

    channel_of: Callable[[OutboxReply], Channel | None]
    retention_ms: int
    loop_limit: int
    retry: RetryRules


class Sends:
    """What the senders of one worker share: tokens in hand, tasks, the number at a time."""

    def __init__(
        self,
        worker: WorkerId,
        membership: Membership,
        settings: SendSettings,
        metrics: ConsumerMetrics,
        session: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.worker = worker
        self.membership = membership
        self.settings = settings
        self.metrics = metrics
        self.session = session
        self.tasks = tasks
        self.in_hand: set[Token] = set()
        self.slots = asyncio.Semaphore(CONCURRENCY)
        self._serial = 0
        self._sent_s: dict[Conversation, deque[float]] = {}

    def new_token(self, epoch: int) -> Token:
        """A token that was never used."""
        self._serial += 1
        return Token(f"{self.worker}:{epoch}:send-{self._serial}")

    def exceeds_loop_limit(self, conversation: Conversation) -> bool:
        """Whether this user has had ``LOOP_LIMIT`` replies within a minute: two bots talking?"""
        now_s = time.monotonic()
        times = self._sent_s.get(conversation)
        while times and times[0] < now_s - LOOP_SPAN_S:
            times.popleft()
        if times is not None and not times:
            del self._sent_s[conversation]
        return times is not None and len(times) >= self.settings.loop_limit

    def count_sent(self, conversation: Conversation) -> None:
        """A reply has left for this user."""
        self._sent_s.setdefault(conversation, deque()).append(time.monotonic())
