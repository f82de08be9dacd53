"""One call of a provider's API. Every failure is a result, whose error holds no number, no text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import orjson
from yarl import URL

from shared.providers import SendRefused, SendResult, SendRetry, Sent
from shared.retry_after import retry_after_ms

TIMEOUT_S = 15
ANSWER_MAX_BYTES = 256 * 1024
_TRY_LATER = frozenset({408, 425, 429})


class Answer:
    """A provider's answer: ``status``, ``headers`` and up to ``ANSWER_MAX_BYTES`` of its body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self) -> Any:
        """The body's JSON, None if it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    @property
    def error(self) -> str:
        """What may be logged of a failure."""
        return f"the provider answered {self.status}"


async def call(
    session: aiohttp.ClientSession,
    base_url: str,
    path: str,
    *,
    judge: Callable[[Answer], SendResult],
    json: Any = None,
    form: Mapping[str, str] | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> SendResult:
    """
    POST ``json``, ``form`` or ``body`` to ``path`` below ``base_url``, its parts quoted.

    Without a path it goes to ``base_url`` itself. ``judge`` says what the answer means. No
    redirects, 15 s.
    """
    url = f"{base_url.rstrip('/')}/{path}" if path else base_url
    try:
        request = session.post(
            URL(url, encoded=True),
            json=json,
            data=form if body is None else body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        async with request as response:
            body = await _read_body(response)
            return judge(Answer(response.status, response.headers, body))
    except aiohttp.InvalidURL as error:
        return _not_a_request(error)
    except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
        # RuntimeError: a closed session
        unsent = isinstance(error, aiohttp.ClientConnectorError)
        return SendRetry(error=f"no answer: {type(error).__name__}", unsent=unsent)
    except ValueError as error:  # after ClientError: a certificate's is both, and can be mended
        return _not_a_request(error)


def judge_status(
    answer: Answer, sent_id: str | None, *, refusal: str = "", passes: bool = False
) -> SendResult:
    """
    2xx: sent, as ``sent_id``. 408, 425, 429, 5xx and redirects: later. Else refused.

    ``refusal`` is what the provider says is wrong, in words that name neither user nor text;
    ``passes``: it will not be wrong for long.
    """
    if 200 <= answer.status < 300:
        return Sent(id=sent_id)
    error = f"{answer.error}: {refusal}" if refusal else answer.error
    if passes or answer.status in _TRY_LATER or answer.status >= 500:
        unsent = answer.status < 500 and answer.status != 408
        return SendRetry(error=error, after_ms=retry_after_ms(answer.headers), unsent=unsent)
    if answer.status < 400:
        return SendRetry(error=f"{error}: redirects are not followed", unsent=True)
    return SendRefused(error=error)


def _not_a_request(error: Exception) -> SendRefused:
    return SendRefused(error=f"base_url or token make no request: {type(error).__name__}")


async def _read_body(response: aiohttp.ClientResponse) -> bytes:
    """
    The body, up to ``ANSWER_MAX_BYTES``; what came of one that broke off.

    The status alone says whether the text was taken: a body that fails must not send it again.
    """
    answer = bytearray()
    try:
        async for chunk in response.content.iter_chunked(16 * 1024):
            answer += chunk
            if len(answer) > ANSWER_MAX_BYTES:
                response.close()
                break
    except (aiohttp.ClientError, TimeoutError, OSError):
        pass
    return bytes(answer)
