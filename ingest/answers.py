"""The two forms of every answer: JSON with what was asked for, or ``{"error": ...}``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from aiohttp import web

from ingest.accepted import Accepted

RETRY_AFTER_S = 2
"""What 429 and 503 ask for: Redis's restart or failover takes some seconds, a burst less."""

_JSON = "application/json"


def json_answer(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``body`` as compact JSON."""
    return web.Response(body=orjson.dumps(body), status=status, headers=headers, content_type=_JSON)


def error_answer(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``{"error": {"code", "message"}}``: ``code`` for programs, ``message`` for people."""
    given = dict(headers or {})
    if status in (429, 503):
        given.setdefault("Retry-After", str(RETRY_AFTER_S))
    if status == 401:
        given.setdefault("WWW-Authenticate", "Bearer")
    return json_answer({"error": {"code": code, "message": message}}, status, given)


def accepted_list(accepted: Iterable[Accepted]) -> list[dict[str, Any]]:
    """The value of ``accepted`` in answers of the API and of webhooks."""
    return [
        {
            "message_id": one.message_id,
            "entry_id": one.entry_id,
            "duplicate": one.duplicate,
            "spooled": one.spooled,
        }
        for one in accepted
    ]
