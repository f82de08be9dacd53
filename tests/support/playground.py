"""The playground's services, with a handler that does what a message asks for, and its visitors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from playwright.async_api import Page, expect

from tests.support.browser import DESK, TOKEN, Visitors
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.service_process import ServiceProcess

MAX_WAIT_MS = 8000
SLOW_MS = 3 * MAX_WAIT_MS
"""For what waits until a window's time is over."""

IMAGE = "<img src=x onerror=alert(1)>"


def answer_by_text(call: HandlerCall) -> Answer:
    """Markup, a refusal or a failure for who asks for it; else how many messages there were."""
    if "refuse" in call.json["text"]:
        return Answer(status=422, body=IMAGE.encode())
    if "stumble" in call.json["text"] and call.json["attempt"] == 1:
        return Answer(status=500)
    if "markup" in call.json["text"]:
        return Answer.reply(IMAGE)
    return Answer.reply(f"{len(call.json['messages'])} in one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Playground:
    """The services, and the handler that they call."""

    url: str
    handler: HandlerServer
    consumer: ServiceProcess

    def calls_with(self, text: str) -> list[Any]:
        """The handler's calls whose window has that text."""
        return [call.json for call in self.handler.calls if text in call.json["text"]]


async def enter(visitors: Visitors, size: tuple[int, int] = DESK, **options: Any) -> Page:
    """Open the page and log in, with the keyboard."""
    page = await visitors.open("/playground", size, **options)
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#first-burst")).to_be_visible()
    return page


async def write(page: Page, text: str) -> None:
    """As one does it, with the keyboard."""
    await page.locator("#text").fill(text)
    await page.locator("#text").press("Enter")


async def fill_up(page: Page) -> None:
    """Four more messages close a window at once."""
    for number in range(2, 6):
        await write(page, f"more {number}")
    await expect(page.locator(".theirs p")).to_have_text(["5 in one"])
