"""Replies that leave while Redis is away: once, and what fails is left to the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace

import aiohttp
import structlog
from structlog.typing import FilteringBoundLogger

from shared.channel import address_of, channel_provider, text_id
from shared.loop_limit import LoopLimit
from shared.metrics import IngestMetrics
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
        self._loop_limit = LoopLimit(settings.loop_limit)

    async def send(self, reply: OutboxReply) -> Left:
        """Send a reply. After a crash it is sent again, with its message handled again."""
        provider = channel_provider(self._settings, reply)
        conversation = (reply.instance, reply.user)
        if provider is None or self._loop_limit.is_reached(conversation):
            return Left(reply=reply)
        self._loop_limit.count(conversation)
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
