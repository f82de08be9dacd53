"""Replies that leave while Redis is away: once, and what fails is left to the outbox."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, replace

import aiohttp
import structlog
from structlog.typing import FilteringBoundLogger

from shared.channel import address_of, channel_provider, text_id
from shared.metrics import IngestMetrics
from shared.model import Conversation
from shared.providers import Address, Provider, SendResult, SendRetry, Sent
from shared.settings import Settings
from shared.wire import OutboxReply

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What of a reply could not be sent, if anything, and the ids of what was."""

    reply: OutboxReply | None
    sent_ids: tuple[str, ...] = ()


class DirectReplies:
    """Sends replies without an outbox, each part of each text once."""

    def __init__(
        self, settings: Settings, metrics: IngestMetrics, session: aiohttp.ClientSession
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._session = session
        self._sent: deque[tuple[float, Conversation]] = deque()
        self._sent_of: Counter[Conversation] = Counter()

    async def send(self, reply: OutboxReply) -> Left:
        """Send a reply. After a crash it is sent again, with its message handled again."""
        provider = channel_provider(self._settings, reply)
        if provider is None or self._exceeds_loop_limit((reply.instance, reply.user)):
            return Left(reply=reply)
        address = address_of(reply)
        parts = [part for text in reply.texts for part in provider.split(text, address)]
        sent_ids: list[str] = []
        for at, part in enumerate(parts):
            where = replace(address, text_id=text_id(reply.window_id, len(parts) - at, 0))
            result = await self._send_part(provider, reply, where, part)
            if not isinstance(result, Sent):
                rest = replace(reply, texts=tuple(parts[at:]))
                return Left(reply=rest, sent_ids=tuple(sent_ids))
            if result.id is not None:
                sent_ids.append(result.id)
        self._metrics.direct_replies_sent_total.labels(provider=provider.name).inc()
        return Left(reply=None, sent_ids=tuple(sent_ids))

    async def _send_part(
        self, provider: Provider, reply: OutboxReply, where: Address, part: str
    ) -> SendResult:
        own = self._settings.instance(reply.instance, reply.connection)
        try:
            return await provider.send(self._session, own, where, part)
        except Exception as error:  # noqa: BLE001 - a provider's fault is a text not sent
            log.warning("provider.failed", provider=provider.name, error=type(error).__name__)
            return SendRetry(error=type(error).__name__)

    def _exceeds_loop_limit(self, conversation: Conversation) -> bool:
        """Two bots that talk do so during an outage, too: ``LOOP_LIMIT`` replies a minute."""
        now_s = time.monotonic()
        while self._sent and self._sent[0][0] < now_s - 60.0:
            self._sent_of[self._sent.popleft()[1]] -= 1
        if self._sent_of[conversation] >= self._settings.loop_limit:
            return True
        self._sent.append((now_s, conversation))
        self._sent_of[conversation] += 1
        return False
