"""The queue's desk and its wall in a real browser: who may call, one click, one chime."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

from tests.support.browser import DESK, TOKEN, WALL, Clinic, Visitors, log_in, lose_first_answer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_desk_needs_the_token(visitors: Visitors, clinic: Clinic) -> None:
    """A wrong one is told; after logging out, here or in another window, nothing is called."""
    visitors.announce("status of 401")
    await clinic.enter("ann")
    desk = await visitors.open(f"{clinic.path}/desk", DESK)
    await desk.locator("#token").fill("a guess")
    await desk.get_by_role("button", name="Log in").click()
    await expect(desk.locator("#notice")).to_have_text("This token is not right.")
    await expect(desk.locator("#call")).to_be_hidden()

    await log_in(desk)
    await expect(desk.locator("#notice")).to_be_empty()
    await desk.reload()
    await expect(desk.locator("#call")).to_be_visible()
    (cookie,) = await desk.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert TOKEN not in str(await desk.context.storage_state())

    other = await desk.context.new_page()
    await other.goto(f"{clinic.path}/desk")
    await other.get_by_role("button", name="Log out").click()
    await expect(other.locator("#token")).to_be_focused()
    await desk.get_by_role("button", name="Call number 1").click()
    await expect(desk.locator("#notice")).to_contain_text("Please log in again.")
    await expect(desk.locator("#token")).to_be_visible()
    assert (await clinic.status())["serving"] is None


async def test_one_click_calls_one_person(visitors: Visitors, clinic: Clinic) -> None:
    """Neither a double click nor a lost answer calls past somebody."""
    visitors.announce("ERR_FAILED")
    for user in ("ann", "bob", "cleo"):
        await clinic.enter(user)
    desk = await visitors.open(f"{clinic.path}/desk", DESK)
    await log_in(desk)
    await desk.locator("#call").dblclick()
    await expect(desk.locator("#serving")).to_have_text("1")
    await expect(desk.locator("#call")).to_have_attribute("aria-disabled", "false")
    assert (await clinic.status())["serving"] == 1

    tried = await lose_first_answer(desk, "**/done")
    await desk.locator("#call").click()
    await expect(desk.locator("#call")).to_have_text("Call number 3")
    await expect(desk.locator("#call")).to_have_attribute("aria-disabled", "false")
    assert len(tried) == 2
    assert (await clinic.status())["serving"] == 2


async def test_the_wall_chimes_for_each_call_once_it_is_switched_on(
    visitors: Visitors, clinic: Clinic
) -> None:
    """Silent until somebody clicks; then two notes for each number called, none for others."""
    await clinic.enter("ann")
    await clinic.enter("bob")
    context = await visitors.come(WALL)
    await context.add_init_script(
        """
        let notes = 0;
        const start = OscillatorNode.prototype.start;
        OscillatorNode.prototype.start = function (...when) {
          document.documentElement.dataset.notes = ++notes;
          return start.apply(this, when);
        };
        """
    )
    wall = await context.new_page()
    await wall.goto(f"{clinic.path}/screen")
    root, chime = wall.locator("html"), wall.get_by_role("button", name="Chime")
    await expect(wall.locator("#serving")).to_have_text("–")
    await clinic.done()
    await expect(wall.locator("#now")).to_have_class("now called")
    await expect(root).not_to_have_attribute("data-notes", re.compile("."))

    await chime.click()
    await expect(chime).to_have_attribute("aria-pressed", "true")
    await expect(root).to_have_attribute("data-notes", "2")
    await clinic.enter("cleo")
    await expect(wall.locator("#waiting")).to_have_text("2 people are waiting.")
    await clinic.done()
    await expect(root).to_have_attribute("data-notes", "4")
    await chime.click()
    await expect(chime).to_have_attribute("aria-pressed", "false")
