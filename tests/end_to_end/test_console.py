"""The console in a browser: what is going on, live."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import DESK, TOKEN, Visitors
from tests.support.playground import enter as enter_playground
from tests.support.playground import write

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def enter(visitors: Visitors, path: str = "/console") -> Page:
    """Open the page and log in, with the keyboard."""
    page = await visitors.open(path, DESK)
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#views")).to_be_visible()
    return page


async def test_what_comes_is_shown_while_one_looks(players: Visitors) -> None:
    """A message that somebody writes is one more that is not finished, until it is."""
    page = await enter(players)
    await expect(page.locator("#link")).to_have_text("live")
    backlog = page.locator("#backlog")
    await expect(backlog).to_have_text("0")

    user = await enter_playground(players)
    await write(user, "hello")
    await expect(backlog).to_have_text("1")
    await write(user, "hello again")
    await expect(backlog).to_have_text("2")
    await expect(backlog).to_have_text("0", timeout=30_000)
