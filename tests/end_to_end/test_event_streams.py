"""Streams of real processes: heard across them, resumed on another one, ended by SIGTERM."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from ingest.events import PATH
from ingest.frames import CONNECTED, HEARTBEAT, QUEUE_UPDATE
from shared.redis_binary import ServerBinary
from tests.support.redis_server import RedisServer
from tests.support.service_process import ServiceProcess
from tests.support.streams import CLINIC, Stream
from tests.support.waiting import eventually

TOKEN = "a-token-that-nobody-guesses"


@pytest.fixture
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps cookies, also of hosts that are numbers."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


@asynccontextmanager
async def listening(
    browser: aiohttp.ClientSession, ingest: ServiceProcess, since: str | None = None
) -> AsyncIterator[Stream]:
    """A stream of this process."""
    headers = {} if since is None else {"Last-Event-ID": since}
    url = f"{ingest.url}{PATH}?clinic={CLINIC}"
    async with browser.get(url, headers=headers) as answer:
        assert answer.status == 200
        yield Stream(answer)


async def test_a_change_is_heard_through_every_process(
    redis_url: str, prefix: str, tmp_path: Path, browser: aiohttp.ClientSession
) -> None:
    """Entered through one, called with the cookie of another; who moves between them goes on."""
    settings = {"redis_url": redis_url, "prefix": prefix, "api_token": TOKEN}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as one,
        ServiceProcess("ingest", tmp_path, settings) as two,
    ):
        async with browser.post(f"{one.url}/session", json={"token": TOKEN}) as answer:
            assert answer.status == 200
        async with listening(browser, one) as here, listening(browser, two) as there:
            for stream in (here, there):
                await stream.next(CONNECTED)
            body = {"clinic": CLINIC, "user": "ann"}
            async with browser.post(f"{one.url}/api/v1/queue/enter", json=body) as answer:
                assert (await answer.json())["number"] == 1
            entered = [await stream.next(QUEUE_UPDATE) for stream in (here, there)]
            assert entered[0] == entered[1]
        for origin, status in (("https://evil.example", 401), (two.url, 200)):
            headers = {"Origin": origin}
            url, body = f"{two.url}/api/v1/queue/done", {"clinic": CLINIC}
            async with browser.post(url, json=body, headers=headers) as answer:
                assert answer.status == status, await answer.text()
        async with listening(browser, two, since=entered[0].id) as moved:
            assert (await moved.next(CONNECTED)).data["resumed"] is True
            told = await moved.next(QUEUE_UPDATE)
            assert (told.data["change"], told.data["serving"]) == ("done", 1)


async def test_without_redis_a_stream_says_so_and_ends(
    redis_binary: ServerBinary, prefix: str, tmp_path: Path, browser: aiohttp.ClientSession
) -> None:
    """A browser then comes back by itself, and is told the queue once Redis is there again."""
    with RedisServer(redis_binary, on_port=True) as redis:
        settings = {"redis_url": redis.url, "prefix": prefix}
        async with ServiceProcess("ingest", tmp_path, settings) as ingest:
            redis.kill()
            async with listening(browser, ingest) as stream:
                told = await stream.rest()
            assert [(each.kind, each.data["stale"]) for each in told] == [(HEARTBEAT, True)]
            redis.start()

            async def is_told() -> bool:
                async with listening(browser, ingest) as again:
                    return (await again.next()).kind == CONNECTED

            await eventually(is_told, "the queue")


async def test_sigterm_ends_streams_at_once(
    redis_url: str, prefix: str, tmp_path: Path, browser: aiohttp.ClientSession
) -> None:
    """Cleanly, where requests that go on are cut off: browsers come back to who takes over."""
    settings = {"redis_url": redis_url, "prefix": prefix}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        listening(browser, ingest) as stream,
    ):
        await stream.next(CONNECTED)
        assert await ingest.stop() == 0
        assert await stream.rest() == []
        assert '"level":"error"' not in ingest.log.read_text()
