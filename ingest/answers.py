"""The forms of every answer: JSON with what was asked for, ``{"error": ...}``, a provider's own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

from shared.providers import PlainAnswer

RETRY_AFTER_S = 2
"""What 429 and 503 ask for: Redis's restart or failover takes some seconds, a burst less."""

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def json_answer(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``body`` as compact JSON."""
    kind = web.Response if headers else _WholeAnswer
    return kind(body=_encode(body), status=status, headers=headers, content_type=_JSON)


def plain_answer(answer: PlainAnswer) -> web.Response:
    """An answer in a provider's own form."""
    return web.Response(
        body=answer.body,
        status=answer.status,
        headers={**answer.headers, hdrs.CONTENT_TYPE: answer.content_type},
    )


class _WholeAnswer(web.Response):
    """
    JSON without headers of its own, written in one piece.

    aiohttp puts the same five headers together anew for each answer, which is a fifth of what
    a request costs it. It still decides where there is something to decide: for HTTP/1.0,
    ``Connection: close`` and HEAD. A slow reader is waited for as ever.
    """

    _is_written = False

    @property
    def prepared(self) -> bool:
        """Whether it is on its way, or about to be."""
        return self._is_written or super().prepared

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None: not decided yet."""
        return True if self._is_written else super().keep_alive

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """
        Write all of it, if that is simple.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self._is_written:
            return None
        is_simple = request.keep_alive and request.version == HttpVersion11
        if not is_simple or request.method == hdrs.METH_HEAD:
            return await super().prepare(request)
        transport, body = request.transport, self.body
        assert isinstance(body, bytes)
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(b"%s%d\r\n\r\n%s" % (_head(self.status, int(time.time())), len(body), body))
        self._is_written = True
        await request.writer.drain()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Write what is not written yet."""
        if not self._is_written:
            await super().write_eof(data)


@lru_cache(maxsize=8)
def _head(status: int, now_s: int) -> bytes:
    """What stands before the body's length, the same for a second."""
    return (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {_JSON}\r\n"
        f"Date: {formatdate(now_s, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\nContent-Length: "
    ).encode()


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
