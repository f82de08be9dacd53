"""``POST /api/v1/forget``: everything of one user is deleted."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.body import BodyReader
from shared.connect import Pipe
from shared.errors import RequestRefused
from shared.forget import WAIT_S as DISKS_WAIT_S
from shared.forget.wish import Wishes
from shared.keys import Keys, is_instance_name
from shared.message_form import is_user
from shared.payload import parse_json

PATH = "/api/v1/forget"
BODY_MAX_BYTES = 4096

WAIT_S = DISKS_WAIT_S + 5.0
LOOK_S = 0.1

_FIELDS = {"instance", "user"}

log: FilteringBoundLogger = structlog.get_logger()


class ForgetApi:
    """
    The endpoint. Access was checked before it is called.

    The names stand in the body: a path would be kept in the logs of every proxy in between. What
    Redis holds is deleted by a worker (``shared.forget.wish``), which is waited for ``wait_s``.
    """

    def __init__(self, pipe: Pipe, keys: Keys, *, wait_s: float = WAIT_S) -> None:
        self._wishes = Wishes(pipe, keys)
        self._wait_s = wait_s
        self._bodies = BodyReader()

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [web.post(PATH, self.forget)]

    async def forget(self, request: web.Request) -> web.Response:
        """
        200 once it is deleted, also where nothing was; ``ingest`` says whose disk is not, yet. 202:
        it is written down, and the next worker that owns the user's partition does it.

        Raises:
            RequestRefused: 4xx, nothing has changed.
            BrokerUnavailable, BrokerRefused: answer 503; it may be written down, send it again.
        """
        with await self._bodies.read(request, BODY_MAX_BYTES) as body:
            instance, user = _whose(parse_json(body))
        wish = await self._wishes.make(instance, user)
        log.info("forget.asked", instance=instance, user=user)
        end_s = time.monotonic() + self._wait_s
        while time.monotonic() < end_s:
            told = await self._wishes.told(wish)
            if told is not None:
                return json_answer(told)
            await asyncio.sleep(LOOK_S)
        return json_answer({"waits_for": "a worker"}, status=202)


def _whose(payload: Any) -> tuple[str, str]:
    if not isinstance(payload, dict):
        raise RequestRefused(400, "invalid_field", "the body must be a JSON object")
    if payload.keys() - _FIELDS:
        raise RequestRefused(400, "unknown_field", "only instance and user are known here")
    for name in sorted(_FIELDS):
        if payload.get(name) is None:
            raise RequestRefused(400, "missing_field", f"{name} is missing")
    instance, user = payload["instance"], payload["user"]
    if not isinstance(instance, str) or not is_instance_name(instance):
        raise RequestRefused(400, "invalid_field", "instance is not a name")
    if not isinstance(user, str) or not is_user(user):
        raise RequestRefused(400, "invalid_field", "user cannot name a user")
    return instance, user
