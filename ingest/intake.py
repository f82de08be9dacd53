"""From messages in hand to messages kept: the one way, for the API and for every webhook."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace
from structlog.typing import FilteringBoundLogger

from ingest.accepted import Accepted, Appender
from shared.errors import RequestRefused
from shared.metrics import IngestMetrics
from shared.model import Message
from shared.traceparent import trace_in

MESSAGES_MAX = 1000
"""Messages in one request, for most: a batch that Redis executes in a few milliseconds."""

API = "api"
"""The label ``provider`` of messages that came through the API."""

Say = Callable[..., None]
"""Logs what became of one message: at debug in the service, at info where a person watches."""

log: FilteringBoundLogger = structlog.get_logger()


class Intake:
    """Keeps messages, then counts and logs what became of each."""

    def __init__(
        self,
        appender: Appender,
        metrics: IngestMetrics,
        say: Say | None = None,
    ) -> None:
        self._appender = appender
        self._metrics = metrics
        self._say = say or (log.debug if log.is_enabled_for(logging.DEBUG) else None)

    async def take(
        self,
        messages: Sequence[Message],
        at_most: int = MESSAGES_MAX,
        traceparent: str | None = None,
    ) -> list[Accepted]:
        """
        Keep all of ``messages``. Returns when they are kept, in their order.

        ``traceparent`` is the header of the request that brought them.

        Raises:
            RequestRefused: 413, more than ``at_most``.
            BrokerUnavailable, BrokerRefused: not all are kept; the sender must send again.
        """
        refuse_too_many(messages, at_most)
        if traceparent is not None and (trace := trace_in(traceparent)) is not None:
            messages = [replace(message, trace=trace) for message in messages]
        if len(messages) <= MESSAGES_MAX:
            return await self._take_batch(messages)
        kept: list[Accepted] = []
        for begin in range(0, len(messages), MESSAGES_MAX):
            kept += await self._take_batch(messages[begin : begin + MESSAGES_MAX])
        return kept

    async def _take_batch(self, messages: Sequence[Message]) -> list[Accepted]:
        if not messages:
            return []
        kept = await self._appender.append(messages)
        for message, accepted in zip(messages, kept, strict=True):
            self._note(message, accepted)
        return kept

    def _note(self, message: Message, accepted: Accepted) -> None:
        instance = self._metrics.instances.of(message.instance)
        provider = message.provider or API
        if accepted.duplicate:
            self._metrics.messages_duplicate_total.labels(instance, provider).inc()
            event = "message.duplicate"
        else:
            self._metrics.messages_accepted_total.labels(instance, provider).inc()
            event = "message.spooled" if accepted.spooled else "message.accepted"
        if self._say is not None:
            self._say(event, entry=accepted.entry_id, instance=message.instance, user=message.user)


def refuse_too_many(messages: Sequence[object], at_most: int = MESSAGES_MAX) -> None:
    """
    One request holds ``at_most`` messages, read or not.

    Raises:
        RequestRefused: 413.
    """
    if len(messages) > at_most:
        raise RequestRefused(
            413, "too_many_messages", f"messages: more than {at_most} in one request"
        )
