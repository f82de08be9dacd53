"""``POST /api/v1/messages``: messages from programs that speak no provider's language."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from ingest.answers import json_answer
from ingest.body import BodyReader, body_limit
from ingest.intake import Intake, refuse_too_many
from shared.message_form import read_messages
from shared.payload import parse_json
from shared.settings import Settings
from shared.traceparent import HEADER


class MessagesApi:
    """The endpoint. Access was checked before it is called."""

    def __init__(
        self, settings: Settings, intake: Intake, bodies: BodyReader, now_ms: Callable[[], int]
    ) -> None:
        self._intake = intake
        self._bodies = bodies
        self._now_ms = now_ms
        self._media_inline_bytes = settings.media_inline_bytes
        self._max_bytes = body_limit(settings, inline_media=False)

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.post("/api/v1/messages", self.accept)]

    async def accept(self, request: web.Request) -> web.Response:
        """
        202 when every message is kept; one bad message refuses the whole request.

        Raises:
            RequestRefused: 4xx, nothing is stored.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        with await self._bodies.read(request, self._max_bytes) as body:
            payload = parse_json(body)
            if isinstance(payload, dict) and isinstance(payload.get("messages"), list):
                # Counted before they are read, so that a million bad messages cost nothing.
                refuse_too_many(payload["messages"])
            messages = read_messages(
                payload,
                received_at=self._now_ms(),
                media_inline_bytes=self._media_inline_bytes,
            )
            kept = await self._intake.take(messages, traceparent=request.headers.get(HEADER))
        return json_answer({"accepted": kept}, 202)
