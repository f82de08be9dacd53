"""The two forms of every answer: JSON with what was asked for, or ``{"error": ...}``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import SERVER_SOFTWARE

RETRY_AFTER_S = 2
"""What 429 and 503 ask for: Redis's restart or failover takes some seconds, a burst less."""

_JSON = "application/json"
_encode = msgspec.json.Encoder().encode


def json_answer(
    body: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """``body`` as compact JSON."""
    kind = web.Response if headers else WholeAnswer
    return kind(body=_encode(body), status=status, headers=headers, content_type=_JSON)


class Burst:
    """
    What is answered in one turn of the loop, to leave together at the end of it.

    Dozens are, for one batch of Redis keeps the messages of dozens of requests. Written one by
    one between the ends of their requests, each wakes a client that has fallen asleep again.
    """

    def __init__(self) -> None:
        self._writes: list[Callable[[], None]] = []

    def add(self, write: Callable[[], None]) -> None:
        """Call ``write`` after all that is ready to run now."""
        if not self._writes:
            asyncio.get_running_loop().call_soon(self._leave)
        self._writes.append(write)

    def _leave(self) -> None:
        writes, self._writes = self._writes, []
        for write in writes:
            write()


class WholeAnswer(web.Response):
    """
    JSON without headers of its own, written in one piece.

    aiohttp puts the same five headers together anew for each answer, which is a fifth of what
    a request costs it. It still decides where there is something to decide: for HTTP/1.0,
    ``Connection: close`` and HEAD.
    """

    burst: Burst | None = None
    """With what it leaves; None: at once."""

    _transport: asyncio.Transport | None = None
    _is_written = False

    @property
    def prepared(self) -> bool:
        """Whether it is on its way: until then its connection must not be closed."""
        return self._is_written or super().prepared

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection stays open; None: not decided yet."""
        return super().keep_alive if self._transport is None else True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """
        Write all of it, or have it written, if that is simple.

        A client that does not read its last answer is waited for.

        Raises:
            ConnectionResetError: the client is gone.
        """
        if self._transport is not None:
            return None
        is_simple = request.keep_alive and request.version == HttpVersion11
        if not is_simple or request.method == hdrs.METH_HEAD:
            return await super().prepare(request)
        await request.writer.drain()
        self._transport = request.transport
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if self.burst is None or _answers_at_once(request):
            self._write()
        else:
            self.burst.add(self._write)
        return request.writer

    def _write(self) -> None:
        transport, body = self._transport, self.body
        assert transport is not None
        assert isinstance(body, bytes)
        self._is_written = True
        if not transport.is_closing():
            head = _head(self.status, int(time.time()))
            transport.write(b"%s%d\r\n\r\n%s" % (head, len(body), body))

    async def write_eof(self, data: bytes = b"") -> None:
        """Write what is not written yet."""
        if self._transport is None:
            await super().write_eof(data)


def _answers_at_once(request: web.BaseRequest) -> bool:
    """
    Whether the connection goes on as soon as this answer is prepared: to its next request, whose
    answer must not overtake this one, or to its end.

    Since Python 3.12 aiohttp runs a handler that waits for nothing inside the connection's task;
    that of any other ends first, and what has left by then has left before the connection goes on.
    """
    return getattr(request.task.get_coro(), "cr_running", False) is True


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
