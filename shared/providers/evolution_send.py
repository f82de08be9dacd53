"""
One text to a user through Evolution's ``POST /message/sendText/<instance>``.

Evolution answers 201 with the sent message's key. It hides its own troubles behind 400: a
WhatsApp connection that is down is "400 Connection Closed" up to 2.3.7, so that one is read.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from shared.providers import Address, SendRefused, SendResult, SendRetry, Sent
from shared.providers.evolution_values import first_text, object_of
from shared.retry_after import retry_after_ms

TIMEOUT_S = 15
ANSWER_MAX_BYTES = 256 * 1024
_TRY_LATER = frozenset({408, 425, 429})
_CONNECTION_TROUBLE = (b"connection closed", b"connection lost", b"timed out")


async def send_text(
    session: aiohttp.ClientSession, base_url: str, token: str, address: Address, text: str
) -> SendResult:
    """
    Send; every failure is a result, whose error holds no number and no text.

    A full jid goes out as it is: Evolution rewrites bare Brazilian, Mexican and Argentine numbers.
    """
    try:
        instance = quote(address.instance, safe="")
        request = session.post(
            URL(base_url).joinpath("message", "sendText", instance, encoded=True),
            json={"number": address.reply_to or address.user, "text": text},
            headers={"apikey": token},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        async with request as response:
            return _judge(response, await _read_answer(response))
    except aiohttp.InvalidURL as error:
        return _not_a_request(error)
    except (aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
        return SendRetry(error=f"no answer: {type(error).__name__}")  # RuntimeError: closed session
    except ValueError as error:  # after ClientError: a certificate's is both, and can be mended
        return _not_a_request(error)


def _not_a_request(error: Exception) -> SendRefused:
    return SendRefused(error=f"base_url or token make no request: {type(error).__name__}")


async def _read_answer(response: aiohttp.ClientResponse) -> bytes:
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


def _judge(response: aiohttp.ClientResponse, answer: bytes) -> SendResult:
    status = response.status
    if 200 <= status < 300:
        return Sent(id=_sent_id(answer))
    error = f"the provider answered {status}"
    if status in _TRY_LATER or status >= 500:
        return SendRetry(error=error, after_ms=retry_after_ms(response.headers))
    if status < 400:
        return SendRetry(error=f"{error}: redirects are not followed")
    if status == 400 and any(sign in answer.lower() for sign in _CONNECTION_TROUBLE):
        return SendRetry(error=f"{error}: its WhatsApp connection is down")
    return SendRefused(error=error)


def _sent_id(answer: bytes) -> str | None:
    try:
        body: Any = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    return first_text(object_of(object_of(body).get("key")).get("id")) or None
