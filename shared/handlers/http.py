"""
``http://...``, ``https://...``: the window is POSTed as JSON; the response is the answer.

What a response means:

    204                          silence
    other 2xx                    the answer, as ``replies`` reads it
    3xx                          unavailable: redirects are not followed, the URL is wrong
    400 413 422                  rejected: this window can never be answered
    401 403 404 410              unavailable: the endpoint, not the window, is at fault
    502 503 504 521 522 523 530  unavailable: whoever stands before the endpoint cannot reach it
    every other status           retry: 408 425 429 500 among them
    no connection made           unavailable: nothing was sent
    timeout, connection lost     retry: the endpoint may have done its work

The endpoint recognises a repeated call by its ``webhook-id``, the window's id. An error holds a
status or a class name, never a URL or a part of a body.
"""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
import orjson
from multidict import CIMultiDict
from yarl import URL

from shared.handlers import Call, call_to_dict
from shared.handlers.answer_path import AnswerPath
from shared.handlers.http_options import HttpOptions
from shared.handlers.replies import Answer, read_body
from shared.handlers.signature import signature_headers
from shared.model import Rejected, Result, Retry, Silence, Unavailable
from shared.retry_after import retry_after_ms
from shared.traceparent import HEADER, traceparent_of

COPIED_BYTES = 64 * 1024
"""
orjson reserves eight bytes for each of a text and gives back what it did not need, which leaves
as large a hole behind each body that is on its way; a copy stands where the next one leaves room.
"""

ANSWER_MAX_BYTES = 1024 * 1024
CONNECT_TIMEOUT_MS = 5000
"""For name, TCP and TLS together; at most half of the whole time limit."""

KEEP_ALIVE_S = 1.5
"""
An idle connection is not used again after this: a server that closes it just then would cost the
window an attempt. gunicorn closes after 2 s, Node.js and uvicorn after 5 s.
"""

_BASE_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/plain",
    "User-Agent": "inturn",
}
"""With those of the settings, which may replace the last two."""

_REJECTED = frozenset({400, 413, 422})
# 521 to 523 and 530 are Cloudflare's own for "no connection to the origin".
_UNAVAILABLE = frozenset({401, 403, 404, 410, 502, 503, 504, 521, 522, 523, 530})


def judge_status(status: int, headers: Mapping[str, str]) -> Retry | Unavailable | Rejected | None:
    """What a status says by itself; None for 2xx, whose body says the rest."""
    if 200 <= status < 300:
        return None
    error = f"answered {_status_name(status)}"
    if status in _REJECTED:
        return Rejected(error=error)
    after_ms = retry_after_ms(headers)
    if 300 <= status < 400:
        error += ", a redirect, which is not followed"
        return Unavailable(error=error, after_ms=after_ms)
    if status in _UNAVAILABLE:
        return Unavailable(error=error, after_ms=after_ms)
    return Retry(error=error, after_ms=after_ms)


def judge_failure(error: aiohttp.ClientError | OSError) -> Retry | Unavailable:
    """What it means that a call was cut off, or could not be made."""
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return Unavailable(error=f"no connection: {type(error).__name__}")
    if isinstance(error, TimeoutError):
        return Retry(error="no answer in time")
    return Retry(error=f"the connection failed: {type(error).__name__}")


class HttpHandler:
    """
    One endpoint and its connections, which are opened by the first call.

    ``key`` signs the requests (None: unsigned). The caller bounds how many calls run at once.
    Cancelling a call closes its connection; the endpoint may go on with the work.
    """

    in_process = False
    remembers = False

    def __init__(
        self, url: str, *, key: bytes | None, timeout_ms: int, options: HttpOptions | None = None
    ) -> None:
        """
        Needs no running loop.

        Raises:
            ValueError: ``url`` is no URL of a host, or names a user beside a header that does, too.
        """
        self._url = parse_url(url)
        self._key = key
        options = options or HttpOptions()
        self._path = options.answer_path
        self._base_headers = CIMultiDict(_BASE_HEADERS)
        self._base_headers.update(options.headers)
        if "Authorization" in self._base_headers and has_credentials(self._url):
            raise ValueError("has a user or password in its URL and an Authorization header")
        connect_ms = min(CONNECT_TIMEOUT_MS, timeout_ms / 2)
        self._timeout = aiohttp.ClientTimeout(total=timeout_ms / 1000, connect=connect_ms / 1000)
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, call: Call) -> Result:
        """POST the window once. Every failure is a result; none raises but cancellation."""
        body = orjson.dumps(call_to_dict(call))
        if len(body) >= COPIED_BYTES:
            body = bytes(memoryview(body))
        try:
            return await self._post(body, self._headers(call, body))
        except (aiohttp.ClientError, OSError) as error:
            return judge_failure(error)

    async def close(self) -> None:
        """Close the connections; calls that still run fail. A later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, body: bytes, headers: CIMultiDict[str]) -> Result:
        # Bytes of more than 1 MiB, which inline media come to, would be written in one go.
        async with self._open_session().post(
            self._url, data=io.BytesIO(body), headers=headers, allow_redirects=False
        ) as response:
            judged = judge_status(response.status, response.headers)
            if judged is not None:
                return judged
            if response.status == HTTPStatus.NO_CONTENT:
                return Silence(reason="answered 204")
            return await _read_answer(response, self._path)

    def _headers(self, call: Call, body: bytes) -> CIMultiDict[str]:
        headers, window_id = self._base_headers.copy(), call.window.id
        headers["webhook-id"] = headers["Idempotency-Key"] = window_id
        traces = [entry.message.trace for entry in call.window.members]
        headers[HEADER] = traceparent_of(window_id, call.attempt, traces)
        if self._key is not None:
            headers.update(signature_headers(self._key, window_id, int(time.time()), body))
        return headers

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                # A cookie that one user's window brought must not go out with another's.
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=self._timeout,
            )
        return self._session


async def _read_answer(response: aiohttp.ClientResponse, path: AnswerPath | None) -> Answer:
    """The body up to the limit, counted after decompression; the rest is never read."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_MAX_BYTES:
            return Retry(error=f"the answer is larger than {ANSWER_MAX_BYTES} bytes")
    return read_body(response.headers.get("Content-Type", ""), bytes(body), path)


def parse_url(text: str) -> URL:
    """
    The URL of an endpoint.

    Raises:
        ValueError: it is none, in words that do not repeat it.
    """
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        # The text itself may hold a password or a token.
        raise ValueError("not a URL of the form http(s)://host[:port]/path")
    return url


def has_credentials(url: URL) -> bool:
    """Whether it says by itself who calls."""
    return bool(url.user or url.password)


def _status_name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
