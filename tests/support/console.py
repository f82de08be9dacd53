"""The console's services, those who look at it, and what happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Page, Route, expect

from tests.support.browser import DESK, TOKEN, Visitors
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.service_process import ServiceProcess

MARKUP = "<img src=x onerror=alert(1)>"
STREAM = "**/api/v1/console/stream*"
ELEMENTS_OF_OTHERS = "document.querySelectorAll('img, b, i, iframe, script:not([src])').length"
PARTITIONS = 4
MAX_WAIT_MS = 6000


def answer_by_text(call: HandlerCall) -> Answer:
    """A failure for who asks for it, an answer that waits for who asks for that; else silence."""
    if "fail" in call.json["text"]:
        return Answer(status=500, body=MARKUP.encode())
    if "hold" in call.json["text"]:
        return Answer(content_type="text/plain", body=b"yes", stalls=True)
    return Answer(status=204)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSite:
    """The services, the handler that they call, and who writes to them."""

    ingest: ServiceProcess
    consumer: ServiceProcess
    handler: HandlerServer
    session: aiohttp.ClientSession = field(repr=False)

    async def say(self, instance: str, user: str, text: str) -> None:
        """As any program hands messages in."""
        body = {"instance": instance, "user": user, "text": text}
        async with self.session.post(f"{self.ingest.url}/api/v1/messages", json=body) as answer:
            assert answer.status == 202, await answer.text()


@asynccontextmanager
async def console_site(
    redis_url: str, prefix: str, folder: Path, **changes: Any
) -> AsyncIterator[ConsoleSite]:
    """Both services with a token; the worker owns everything."""
    async with (
        HandlerServer(answer_by_text) as handler,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
    ):
        settings = {
            "redis_url": redis_url,
            "prefix": prefix,
            "api_token": TOKEN,
            "partitions": PARTITIONS,
            "handler": handler.url,
            "max_wait_ms": MAX_WAIT_MS,
            "max_messages": 2,
            "lease_ms": 2000,
            "retry_base_ms": 300_000,
            **changes,
        }
        async with (
            ServiceProcess("ingest", folder, settings) as ingest,
            ServiceProcess("consumer", folder, settings) as consumer,
        ):
            await consumer.owns(PARTITIONS)
            yield ConsoleSite(ingest=ingest, consumer=consumer, handler=handler, session=session)


async def enter_console(
    visitors: Visitors, view: str = "now", size: tuple[int, int] = DESK, **options: Any
) -> Page:
    """Open a view and log in, with the keyboard."""
    page = await visitors.open(f"/console#{view}", size, **options)
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#views")).to_be_visible()
    return page


async def tell_always(page: Page, told: Mapping[str, Any]) -> None:
    """In place of the service, whatever the page asks for."""
    event = f"event: LOOK\ndata: {json.dumps({**told, 'stale': False})}\n\n"
    headers = {"Content-Type": "text/event-stream"}

    async def give(route: Route) -> None:
        await route.fulfill(body=event, headers=headers)

    await page.route(STREAM, give)
