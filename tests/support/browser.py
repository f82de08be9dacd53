"""
Headless Chromium as the browsers of several people, each with storage and cookies of their own.

Whatever a browser complains of is kept: what a page may not load or run, errors, dialogs, calls of
other hosts. A test that ends with a complaint it did not announce fails.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Route,
    WebError,
    async_playwright,
    expect,
)

TOKEN = "a-token-of-the-desk"
PHONE, DESK, WALL = (390, 844), (1280, 800), (1920, 1080)

TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The program, or None. ``TEST_CHROMIUM`` names another one than those on PATH."""
    return os.environ.get("TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@asynccontextmanager
async def running_chromium(program: str) -> AsyncIterator[Browser]:
    """One browser for many tests; its visitors come and go."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            await browser.close()


class Visitors:
    """People with browsers, at one service."""

    def __init__(self, browser: Browser, base: str) -> None:
        self.base = base
        self.complaints: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._announced: list[str] = []

    async def come(
        self, size: tuple[int, int] = PHONE, language: str = "en-GB", **options: Any
    ) -> BrowserContext:
        """A person with a new browser."""
        width, height = size
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            locale=language,
            base_url=self.base,
            **options,
        )
        await context.add_init_script(TELL_VIOLATIONS)
        context.on("console", self._hear_console)
        context.on("weberror", self._hear_error)
        context.on("dialog", self._hear_dialog)
        context.on("request", self._hear_request)
        self._contexts.append(context)
        return context

    async def open(
        self,
        path: str,
        size: tuple[int, int] = PHONE,
        language: str = "en-GB",
        **options: Any,
    ) -> Page:
        """A person with a new browser who opens a page."""
        page = await (await self.come(size, language, **options)).new_page()
        await page.goto(path)
        return page

    def announce(self, complaint: str) -> None:
        """A complaint that is part of the test, as a pattern."""
        self._announced.append(complaint)

    async def leave(self) -> None:
        """Everybody closes their browser."""
        for context in self._contexts:
            await context.close()

    def unannounced(self) -> list[str]:
        """What a browser complained of, and no test had foreseen."""
        return [
            told
            for told in self.complaints
            if not any(re.search(pattern, told) for pattern in self._announced)
        ]

    def _hear_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            at = message.location["url"]
            self.complaints.append(f"{message.type}: {message.text} ({at})")

    def _hear_error(self, error: WebError) -> None:
        self.complaints.append(f"uncaught: {error.error}")

    async def _hear_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def _hear_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.base}/"):
            self.complaints.append(f"foreign: {request.url}")


async def log_in(desk: Page) -> None:
    """As staff does, with the keyboard."""
    await desk.locator("#token").fill(TOKEN)
    await desk.locator("#token").press("Enter")
    await expect(desk.locator("#call")).to_be_visible()


class Clinic:
    """One clinic's queue over HTTP: what other people do in it."""

    def __init__(self, base: str, name: str, session: aiohttp.ClientSession) -> None:
        self.name = name
        self.path = f"/queue/{quote(name, safe='')}"
        self._api = f"{base}/api/v1/queue"
        self._token = {"Authorization": f"Bearer {TOKEN}"}
        self._session = session

    async def enter(self, user: str) -> int:
        """The number that ``user`` gets."""
        return int((await self._post("enter", user=user))["number"])

    async def done(self) -> Any:
        """Call the next one."""
        return await self._post("done")

    async def reset(self) -> Any:
        """Begin anew."""
        return await self._post("reset")

    async def status(self) -> Any:
        """The queue now."""
        query = {"clinic": self.name}
        async with self._session.get(f"{self._api}/status", params=query) as answer:
            return await answer.json()

    async def _post(self, verb: str, **fields: str) -> Any:
        body = {"clinic": self.name, **fields}
        url = f"{self._api}/{verb}"
        async with self._session.post(url, json=body, headers=self._token) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


async def lose_first_answer(page: Page, path: str) -> list[str]:
    """The first call of ``path`` is made and its answer lost; the calls so far, as they come."""
    made: list[str] = []

    async def drop_once(route: Route) -> None:
        made.append(route.request.url)
        if len(made) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route(path, drop_once)
    return made


async def examine(page: Page, what: str) -> None:
    """By axe's rules, once nothing moves any more."""
    await page.evaluate(
        "() => Promise.allSettled(document.getAnimations().map((moving) => moving.finished))"
    )
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{what}: {found.generate_report()}"
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide), what
