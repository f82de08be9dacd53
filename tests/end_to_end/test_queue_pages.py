"""The queue's pages in a real browser: what people on their phones are shown, and keep."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Route, expect

from tests.support.browser import DESK, TOKEN, WALL, Clinic, Visitors, log_in, lose_first_answer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

NOTE_LINKS = """() => {
  const link = document.getElementById("link");
  window.links = [];
  const note = () => window.links.push(link.textContent);
  new MutationObserver(note).observe(link, { childList: true });
}"""
"""From now on ``window.links`` holds what the page says of its stream, each time it says it."""

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_two_phones_the_desk_and_the_wall_show_the_same(
    visitors: Visitors, clinic: Clinic
) -> None:
    """Two take a number, the desk calls, and everybody sees it; a reload keeps the number."""
    ann, bob = await visitors.open(clinic.path), await visitors.open(clinic.path)
    wall = await visitors.open(f"{clinic.path}/screen", WALL)
    desk = await visitors.open(f"{clinic.path}/desk", DESK)
    await log_in(desk)
    await expect(wall.locator("#serving")).to_have_text("–")
    await expect(desk.locator("#call")).to_have_text("Nobody is waiting")

    await ann.get_by_role("button", name="Take a number").click()
    await expect(ann.locator("[data-number]:visible")).to_have_text("1")
    await expect(ann.locator("#ahead")).to_have_text("You are next")
    await bob.get_by_role("button", name="Take a number").click()
    await expect(bob.locator("[data-number]:visible")).to_have_text("2")
    await expect(bob.locator("#ahead")).to_have_text("1 person ahead of you")
    await expect(wall.locator("#next li")).to_have_text(["1", "2"])
    for page in (ann, bob, wall, desk):
        await expect(page.locator("#link")).to_have_text("Live")
    assert await bob.title() == "2: \u20681 person ahead of you\u2069"

    await desk.get_by_role("button", name="Call number 1").click()
    await expect(wall.locator("#serving")).to_have_text("1")
    await expect(ann.get_by_role("heading", name="It is your turn")).to_be_visible()
    await expect(bob.locator("#ahead")).to_have_text("You are next")
    await expect(bob.locator("#serving")).to_have_text("1")
    assert await ann.title() == "Your turn: 1"

    await bob.reload()
    await expect(bob.locator("[data-number]:visible")).to_have_text("2")
    await desk.get_by_role("button", name="Call number 2").click()
    await expect(bob.get_by_role("heading", name="It is your turn")).to_be_visible()
    await expect(ann.get_by_role("heading", name="You have been served")).to_be_visible()
    await desk.get_by_role("button", name="Finish number 2").click()
    await expect(wall.locator("#serving")).to_have_text("–")
    await ann.get_by_role("button", name="Take a new number").click()
    await expect(ann.locator("[data-number]:visible")).to_have_text("3")


async def test_whoever_loses_the_answer_has_one_number(visitors: Visitors, clinic: Clinic) -> None:
    """The number was given, the answer was lost: the phone asks again and gets the same one."""
    visitors.announce("ERR_FAILED")
    page = await visitors.open(clinic.path)
    tried = await lose_first_answer(page, "**/enter")
    await page.get_by_role("button", name="Take a number").click()
    await expect(page.locator("[data-number]:visible")).to_have_text("1")
    await expect(page.locator("#notice")).to_be_empty()
    assert len(tried) == 2
    assert (await clinic.status())["last"] == 1


async def test_whoever_leaves_before_the_answer_finds_the_number(
    visitors: Visitors, clinic: Clinic
) -> None:
    """The page is closed while the number is on its way; the next visit shows it."""
    visitors.announce("ERR_FAILED")
    page = await visitors.open(clinic.path)

    async def close_after(route: Route) -> None:
        await route.fetch()
        await page.close()

    await page.route("**/enter", close_after)
    async with page.expect_event("close"):
        await page.get_by_role("button", name="Take a number").click(no_wait_after=True)
    again = await page.context.new_page()
    await again.goto(clinic.path)
    await expect(again.locator("[data-number]:visible")).to_have_text("1")
    assert (await clinic.status())["last"] == 1

    await clinic.done()
    await clinic.done()
    await again.get_by_role("button", name="Take a new number").click()
    await expect(again.locator("[data-number]:visible")).to_have_text("2")


async def test_numbers_that_begin_anew_take_the_old_ones_away(
    visitors: Visitors, clinic: Clinic
) -> None:
    """Nobody goes on waiting with a number that is not theirs any more."""
    page = await visitors.open(clinic.path)
    await page.get_by_role("button", name="Take a number").click()
    await expect(page.locator("[data-number]:visible")).to_have_text("1")

    await clinic.reset()
    await expect(page.locator("#notice")).to_contain_text("Numbers have begun anew.")
    await expect(page.get_by_role("button", name="Take a number")).to_be_visible()

    await clinic.enter("somebody else")
    await page.get_by_role("button", name="Take a number").click()
    await expect(page.locator("[data-number]:visible")).to_have_text("2")
    await expect(page.locator("#notice")).to_be_empty()


@pytest.mark.parametrize("page", ["", "/screen", "/desk"])
async def test_a_queue_that_is_not_listed_is_said_to_be_none(
    visitors: Visitors, clinic: Clinic, page: str
) -> None:
    """And nobody listens to it."""
    visitors.announce("status of 404")
    asked: list[str] = []
    context = await visitors.come()

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        error = {"error": {"code": "unknown_clinic", "message": "there is none"}}
        await route.fulfill(status=404, json=error)

    await context.route("**/api/**", refuse)
    shown = await context.new_page()
    await shown.goto(f"{clinic.path}{page}")
    await expect(shown.get_by_role("heading", name="There is no such queue")).to_be_visible()
    await expect(shown.get_by_text("Now serving")).to_be_hidden()
    assert not [url for url in asked if "events" in url]


async def test_who_was_served_yesterday_is_told_of_no_loss(
    visitors: Visitors, clinic: Clinic
) -> None:
    """Numbers have begun anew, which takes nothing from them."""
    page = await visitors.open(clinic.path)
    await page.get_by_role("button", name="Take a number").click()
    await expect(page.locator("#ahead")).to_be_visible()
    await clinic.done()
    await clinic.done()
    await expect(page.get_by_role("heading", name="You have been served")).to_be_visible()
    await clinic.reset()
    await expect(page.get_by_role("button", name="Take a number")).to_be_visible()
    await expect(page.locator("#notice")).to_be_empty()


async def test_a_phone_that_was_offline_catches_up(visitors: Visitors, clinic: Clinic) -> None:
    """It says that it is offline, and afterwards shows what happened meanwhile."""
    visitors.announce("ERR_INTERNET_DISCONNECTED")
    await clinic.enter("ann")
    page = await visitors.open(clinic.path)
    await page.get_by_role("button", name="Take a number").click()
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#ahead")).to_have_text("1 person ahead of you")

    # A browser that is set offline keeps the stream that it has, and the next event is live again.
    await page.evaluate(NOTE_LINKS)
    await page.context.set_offline(True)

    async def said_offline() -> bool:
        return "You are offline" in await page.evaluate("() => window.links")

    await eventually(said_offline, "the page to say that it is offline")
    await clinic.done()
    await page.context.set_offline(False)
    await expect(page.locator("#link")).to_have_text("Live")
    await expect(page.locator("#ahead")).to_have_text("You are next")


async def test_a_page_whose_stream_is_kept_back_asks_for_the_status(
    visitors: Visitors, clinic: Clinic
) -> None:
    """A proxy that gathers what it passes on delays a page by seconds, and stops none."""
    await clinic.enter("ann")
    context = await visitors.come()
    page = await context.new_page()
    await page.clock.install()

    async def keep_back(_route: Route) -> None:
        """Neither passed on nor refused."""

    await page.route("**/events/stream*", keep_back)
    await page.goto(clinic.path)
    await expect(page.locator("#before")).to_have_text("1 person is waiting.")
    for serving in ("1", "–"):
        await clinic.done()
        await page.clock.run_for(10_000)
        await expect(page.locator("#serving")).to_have_text(serving)
        await expect(page.locator("#link")).to_have_text("Reconnecting…")
    await page.unroute_all(behavior="ignoreErrors")


async def test_pages_outlive_a_restart_of_the_service(
    chromium: Browser, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """They say that they are not live, come back by themselves, and miss nothing."""
    settings = {"redis_url": redis_url, "prefix": prefix, "api_token": TOKEN}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as service,
        aiohttp.ClientSession() as session,
    ):
        people, clinic = Visitors(chromium, service.url), Clinic(service.url, "east", session)
        people.announce("ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE")
        await clinic.enter("ann")
        phone = await people.open(clinic.path)
        await phone.get_by_role("button", name="Take a number").click()
        await expect(phone.locator("#ahead")).to_have_text("1 person ahead of you")
        await expect(phone.locator("#link")).to_have_text("Live")

        await service.stop()
        await expect(phone.locator("#link")).to_have_text("Reconnecting…")
        await service.start()
        await clinic.done()
        await expect(phone.locator("#ahead")).to_have_text("You are next")
        await expect(phone.locator("#link")).to_have_text("Live")
        await people.leave()
        assert people.unannounced() == []
