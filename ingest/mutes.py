"""``.../mute`` and ``.../unmute``: a person takes a conversation over, or gives it back."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.body import BodyReader
from ingest.conversations import PATH, conversation_in_path
from shared.connect import Pipe
from shared.errors import RequestRefused
from shared.keys import Keys
from shared.message_form import is_user
from shared.mutes import Mutes
from shared.on_human import MINUTES_MAX
from shared.payload import parse_json

BODY_MAX_BYTES = 4096

log: FilteringBoundLogger = structlog.get_logger()


class MutesApi:
    """The endpoints. Access was checked before they are called; each may be called again."""

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._mutes = Mutes(pipe, keys)
        self._bodies = BodyReader()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers; parts of the path are percent-decoded."""
        return [
            web.post(PATH + "/mute", self.mute),
            web.delete(PATH + "/mute", self.unmute),
            web.post(PATH + "/unmute", self.unmute),
        ]

    async def mute(self, request: web.Request) -> web.Response:
        """
        200 once no window of the user that starts, and no reply that is made, will be answered.

        Raises:
            RequestRefused: 4xx, nothing has changed.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        instance, user = _whose(request)
        with await self._bodies.read(request, BODY_MAX_BYTES) as body:
            minutes = _minutes_in(parse_json(body))
        until = await self._mutes.mute(instance, user, minutes * 60_000)
        log.info("conversation.muted", instance=instance, user=user, minutes=minutes)
        return json_answer({"instance": instance, "user": user, "muted_until": until})

    async def unmute(self, request: web.Request) -> web.Response:
        """
        200 once the mute is over, whoever began it; also where there was none.

        Raises:
            RequestRefused: 4xx, nothing has changed.
            BrokerUnavailable, BrokerRefused: answer 503.
        """
        instance, user = _whose(request)
        await self._mutes.unmute(instance, user)
        log.info("conversation.unmuted", instance=instance, user=user)
        return json_answer({"instance": instance, "user": user, "muted_until": None})


def _whose(request: web.Request) -> tuple[str, str]:
    instance, user = conversation_in_path(request)
    if not is_user(user):
        raise RequestRefused(400, "invalid_field", "user in the path cannot name a user")
    return instance, user


def _minutes_in(payload: Any) -> int:
    if not isinstance(payload, dict):
        raise RequestRefused(400, "invalid_field", "the body must be a JSON object")
    if payload.keys() - {"minutes"}:
        raise RequestRefused(400, "unknown_field", "only minutes is known here")
    if payload.get("minutes") is None:
        raise RequestRefused(400, "missing_field", "minutes is missing")
    minutes = payload["minutes"]
    is_number = isinstance(minutes, int | float) and not isinstance(minutes, bool)
    if not is_number or minutes != int(minutes) or not 1 <= minutes <= MINUTES_MAX:
        claim = f"minutes must be a whole number from 1 to {MINUTES_MAX}"
        raise RequestRefused(400, "invalid_field", claim)
    return int(minutes)
