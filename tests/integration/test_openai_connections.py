"""Connections of the handler ``openai:``: their end, their time, and what is never sent on them."""

from __future__ import annotations

import pytest

from shared.model import Reply, Retry, Unavailable
from tests.support.handler_server import Answer, HandlerServer
from tests.support.http_handler import raw_endpoint, unused_port
from tests.support.models import completion
from tests.support.openai_handler import model_at, result_of
from tests.support.windows import make_call


async def test_no_connection_is_unavailable() -> None:
    """A server that is away costs no attempt."""
    async with model_at(f"http://127.0.0.1:{unused_port()}") as handler:
        assert await handler.answer(make_call()) == Unavailable(error="no connection: ConnectError")


async def test_time_is_ours() -> None:
    """The attempt ends with its time limit, also where the answer's end never comes."""
    stalling = completion("yes")
    answer = Answer(body=stalling.body, content_type="application/json", stalls=True)
    assert await result_of(answer, timeout_ms=100) == Retry(error="no answer in time")


async def test_an_error_page_without_end_is_not_read() -> None:
    """Of an error no more is read than its code takes."""
    head = b"HTTP/1.1 500 No\r\nContent-Length: 99999999\r\n\r\n"
    async with raw_endpoint(head + b"x" * 200_000) as url, model_at(url) as handler:
        result = await handler.answer(make_call())
    assert result == Retry(error="answered 500 Internal Server Error")


async def test_connections_are_reused_and_cookies_are_not() -> None:
    """One window after the other goes over one connection, with nothing of the one before."""
    yes = completion("yes")
    answer = Answer(
        body=yes.body,
        content_type="application/json",
        headers={"Set-Cookie": "session=alice; Path=/"},
    )
    async with HandlerServer([answer]) as server, model_at(server.url) as handler:
        for _ in range(3):
            await handler.answer(make_call())
        assert len({call.peer_port for call in server.calls}) == 1
        assert all("Cookie" not in call.headers for call in server.calls)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user wrote goes to the configured server and nowhere else."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{unused_port()}")
    assert isinstance(await result_of(completion("yes")), Reply)


async def test_an_account_in_the_environment_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and names of OpenAI's that stand there for other programs reach no server."""
    for name in ("API_KEY", "ADMIN_KEY", "ORG_ID", "PROJECT_ID", "WEBHOOK_SECRET"):
        monkeypatch.setenv(f"OPENAI_{name}", "sk-elsewhere")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Gateway-Key: sk-elsewhere")
    for key in ("sk-own", None):
        async with HandlerServer([completion("yes")]) as server:
            async with model_at(server.url, key=key) as handler:
                assert isinstance(await handler.answer(make_call()), Reply)
            assert "elsewhere" not in str(dict(server.calls[0].headers))
