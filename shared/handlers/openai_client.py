"""
The package ``openai``, as far as it is used: its client, and what its failures mean.

Statuses are judged before the package does, which reads an error's body whatever its size, follows
redirects and tries again by itself. The rest is told by names: its HTTP client is another in each
of its versions.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from shared.handlers.http import CONNECT_TIMEOUT_MS, judge_status
from shared.handlers.model_options import ModelOptions
from shared.model import Rejected, Retry, Unavailable
from shared.retry_after import retry_after_ms

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
MISSING = f"the package openai is not installed ({sys.executable} -m pip install openai)"
ERROR_MAX_BYTES = 64 * 1024

_NO_KEY = "none"
"""What is sent where no key is set: the package wants one, servers of one's own mostly none."""

_CODE = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_OVERLOADED = frozenset(
    {
        "server_error",
        "server_is_overloaded",
        "service_unavailable_error",
        "slow_down",
        "overloaded_error",
        "provider_overloaded",
    }
)
"""
What OpenAI (the last two: others) calls a 503 of a server that is there and has too much to do.
One that still loads its model, or what stands before it, says something else, or nothing.
"""

_NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})


class Refusal(Exception):
    """The server answered with another status than 2xx; raised through the package."""

    def __init__(self, status: int, result: Retry | Unavailable | Rejected) -> None:
        self.status = status
        self.result = result
        super().__init__(result.error)


class _Response(Protocol):
    """What is read of the HTTP client's response, whichever client it is."""

    status_code: int
    headers: Any

    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


def make_client(options: ModelOptions, timeout_s: float) -> AsyncOpenAI:
    """
    A client that goes nowhere but to the base URL, and asks once.

    Raises:
        ValueError: the package is not there.
    """
    try:
        import openai  # noqa: PLC0415  an extra, and half a second of every start
    except ImportError as error:
        raise ValueError(MISSING) from error
    http_client = openai.DefaultAsyncHttpxClient(
        follow_redirects=False,
        trust_env=False,
        # A cookie that one user's window brought must not go out with another's.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        event_hooks={"response": [_refuse]},
    )
    client = openai.AsyncOpenAI(
        api_key=options.key or _NO_KEY,
        base_url=options.base_url or BASE_URL,
        max_retries=0,
        timeout=openai.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_MS / 1000, timeout_s / 2)),
        http_client=http_client,
    )
    # What the environment says of an account of OpenAI's is nothing to send to anybody else.
    client.organization = client.project = None
    client._custom_headers = {}  # noqa: SLF001  of OPENAI_CUSTOM_HEADERS, which nothing else turns off
    return client


async def _refuse(response: _Response) -> None:
    """Judge a status before the package does, which reads an error's body whatever its size."""
    judged = judge_status(response.status_code, response.headers)
    if judged is None:
        return
    words = _words_in(await read_up_to(response.aiter_bytes(), ERROR_MAX_BYTES))
    if words[:1] == ["insufficient_quota"]:
        judged = Unavailable(error=judged.error)
    if response.status_code == HTTPStatus.SERVICE_UNAVAILABLE and not _OVERLOADED.isdisjoint(words):
        judged = Retry(error=judged.error, after_ms=retry_after_ms(response.headers))
    if words:
        judged = _with_code(judged, words[0])
    raise Refusal(response.status_code, judged)


def _with_code(judged: Retry | Unavailable | Rejected, code: str) -> Retry | Unavailable | Rejected:
    error = f"{judged.error}: {code}"
    if isinstance(judged, Rejected):
        return Rejected(error=error)
    return type(judged)(error=error, after_ms=judged.after_ms)


def _words_in(body: bytes | None) -> list[str]:
    """
    The error's code and type, as far as they are words of the server's own vocabulary.

    Anything else may be a text.
    """
    try:
        error = orjson.loads(body or b"")["error"]
        words = (error.get("code"), error.get("type"))
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return []
    return [one for one in words if isinstance(one, str) and _CODE.fullmatch(one)]


async def read_up_to(chunks: AsyncIterator[bytes], limit: int) -> bytes | None:
    """The whole body, or None of one that is larger, whose rest is never read."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


def refusal_in(error: BaseException) -> Refusal | None:
    """Older versions of the package wrap what came out of the HTTP client."""
    cause = error.__cause__
    return next((one for one in (error, cause) if isinstance(one, Refusal)), None)


def judge_error(error: Exception) -> Retry | Unavailable:
    """Told by names: the package's HTTP client is another in each of its versions."""
    names = [type(one).__name__ for one in (error.__cause__, error) if one is not None]
    if names[0] in _NOT_CONNECTED:
        return Unavailable(error=f"no connection: {names[0]}")
    if "Timeout" in names[0]:
        return Retry(error="no answer in time")
    return Retry(error=f"the connection failed: {names[0]}")
