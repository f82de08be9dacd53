"""
``/session``: who has the token gets a cookie for it, so that a browser need not keep the token.

Guesses are not counted: the API takes as many, and a limit would let strangers lock staff out. The
token must be one that nobody guesses.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import structlog
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from ingest.answers import json_answer
from ingest.auth import ApiGuard, unauthorized
from ingest.body import BodyReader
from ingest.cookie import LIFE_S, SessionCookie
from shared.errors import RequestRefused
from shared.payload import parse_json

PATH = "/session"
BODY_MAX_BYTES = 4096

_FORM = "application/x-www-form-urlencoded"
_UNKEPT = {"Cache-Control": "no-store"}

log: FilteringBoundLogger = structlog.get_logger()


class SessionApi:
    """The endpoint; it is open to everybody. ``cookie`` None: no token is set."""

    def __init__(self, guard: ApiGuard, cookie: SessionCookie | None, bodies: BodyReader) -> None:
        self._guard = guard
        self._cookie = cookie
        self._bodies = bodies

    def routes(self) -> list[web.RouteDef]:
        """What this module answers."""
        return [
            web.post(PATH, self.log_in),
            web.get(PATH, self.tell),
            web.delete(PATH, self.log_out),
        ]

    async def log_in(self, request: web.Request) -> web.Response:
        """
        200 with the cookie; without a configured token, and from this machine, there is none.

        Raises:
            RequestRefused: 401 it is not the token; other 4xx.
        """
        with await self._bodies.read(request, BODY_MAX_BYTES) as body:
            token = _token_in(body, request.content_type)
        if self._cookie is None:
            self._guard.check(request)
            return json_answer({"logged_in": True, "expires_in_s": None}, headers=_UNKEPT)
        if not self._cookie.is_token(token):
            raise unauthorized()
        answer = json_answer({"logged_in": True, "expires_in_s": LIFE_S}, headers=_UNKEPT)
        self._cookie.give(answer, request)
        log.info("session.began")
        return answer

    async def tell(self, request: web.Request) -> web.Response:
        """Whether the API is open to this browser: a page asks before it shows a form."""
        try:
            self._guard.check(request)
        except RequestRefused:
            return json_answer({"logged_in": False}, headers=_UNKEPT)
        return json_answer({"logged_in": True}, headers=_UNKEPT)

    async def log_out(self, request: web.Request) -> web.Response:
        """200, and the browser has no cookie any more; also where it had none."""
        answer = json_answer({"logged_in": False}, headers=_UNKEPT)
        if self._cookie is not None:
            self._cookie.take_back(answer, request)
        return answer


def _token_in(body: bytes, content_type: str) -> str:
    if content_type == _FORM:
        fields = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
        given = fields.get("token", [])
        token = given[0] if len(given) == 1 else None
    else:
        payload = parse_json(body)
        token = payload.get("token") if isinstance(payload, dict) else None
    if not isinstance(token, str):
        raise RequestRefused(400, "missing_field", "token is missing")
    return token
