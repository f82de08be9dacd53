"""The playground in a real browser, through the real services and a handler over HTTP."""

from __future__ import annotations

import re
import uuid

import pytest
from playwright.async_api import Route, expect

from tests.support.browser import Visitors, lose_first_answer
from tests.support.playground import SLOW_MS, Playground, enter, fill_up, write

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRST_BURST = ["hi", "are you open?", "on friday I mean"]


async def test_a_burst_is_seen_to_become_one_window_and_one_reply(
    players: Visitors, playground: Playground
) -> None:
    """One click: messages gather in a window that counts down, closes, and gets one reply."""
    page = await enter(players)
    await page.get_by_role("button", name="Send this burst").click()
    window = page.locator(".window")
    await expect(window).to_have_attribute("data-state", "open")
    await expect(window.locator(".left")).to_have_text(
        re.compile(r"^closes in [0-7]\.\d s, or with \d more$")
    )
    await expect(window.locator(".mine p")).to_have_text(FIRST_BURST)
    assert await page.locator(".theirs").count() == 0

    await expect(page.locator(".theirs p")).to_have_text(["3 in one"], timeout=SLOW_MS)
    await expect(window).to_have_attribute("data-state", "ended")
    await expect(window.locator(".foot")).to_have_text("closed after 8.0 s: its time was over")
    await expect(page.locator(".theirs small")).to_have_text("one reply to 3 messages")
    for figure, expected in (("messages", "3"), ("calls", "1"), ("replies", "1")):
        await expect(page.locator(f"#{figure}")).to_have_text(expected)
    await expect(page.locator("#otherwise")).to_contain_text("would have replied 3 times")
    await expect(page.locator("#story code")).to_have_text(
        [
            "message.accepted",
            "window.opened",
            "message.accepted",
            "message.accepted",
            "window.closed",
            "handler",
            "reply.kept",
        ]
    )
    await expect(page.locator("#story")).to_contain_text("reason=max_wait count=3")
    (call,) = playground.calls_with(FIRST_BURST[0])
    assert [message["text"] for message in call["messages"]] == FIRST_BURST
    assert call["window_id"].startswith(
        (await page.locator("#story small").nth(1).inner_text()).rstrip("…")
    )


async def test_the_fifth_message_closes_the_window_at_once(players: Visitors) -> None:
    """Nobody waits for the time where there is enough; the next message opens another window."""
    page = await enter(players)
    for number in range(1, 7):
        await write(page, f"quickly {number}")
    await expect(page.locator(".theirs p")).to_have_text(["5 in one"])
    await expect(page.locator(".window").first.locator(".foot")).to_contain_text("with message 5")
    await expect(page.locator(".window")).to_have_count(2)
    await expect(page.locator(".window").last.locator(".mine p")).to_have_text(["quickly 6"])
    await expect(page.locator(".window").last).to_have_attribute("data-state", "open")


async def test_what_is_delivered_again_is_kept_once_and_a_reload_forgets_nothing(
    players: Visitors, playground: Playground
) -> None:
    """The same id again is one message; the page comes back to the window that is still open."""
    page = await enter(players)
    text = f"once {uuid.uuid4().hex[:8]}"
    await write(page, text)
    await expect(page.locator(".window .mine")).to_have_count(1)
    await page.get_by_role("button", name="Repeat the last").click()
    await expect(page.locator(".mine small")).to_have_text("delivered twice, kept once")

    await page.reload()
    await expect(page.locator(".window")).to_have_attribute("data-state", "open")
    await expect(page.locator(".mine p")).to_have_text([text])
    await fill_up(page)
    await expect(page.locator("#messages")).to_have_text("5")
    await expect(page.locator("#story code", has_text="message.duplicate")).to_have_count(1)
    (call,) = playground.calls_with(text)
    assert len(call["messages"]) == 5

    await page.get_by_role("button", name="Start again").click()
    await expect(page.locator("#first-burst")).to_be_visible()
    await expect(page.locator(".window")).to_have_count(0)


async def test_an_answer_that_was_lost_makes_no_second_message(
    players: Visitors, playground: Playground
) -> None:
    """Kept, and the browser was not told: it sends again, and nothing is doubled."""
    players.announce("ERR_FAILED")
    page = await enter(players)
    tried = await lose_first_answer(page, "**/messages")
    text = f"lost {uuid.uuid4().hex[:8]}"
    await write(page, text)
    await expect(page.locator(".window .mine p")).to_have_text([text])
    await expect(page.locator(".mine small").first).to_have_text("delivered twice, kept once")
    assert len(tried) == 2
    await fill_up(page)
    (call,) = playground.calls_with(text)
    assert len(call["messages"]) == 5


async def test_a_call_that_failed_is_seen_to_be_made_again(players: Visitors) -> None:
    """The window stays as it was, and is answered at the second attempt."""
    page = await enter(players)
    await write(page, "stumble")
    await fill_up(page)
    window = page.locator(".window")
    await expect(window.locator("strong")).to_have_text("Handled, at attempt 2")
    await expect(window.locator(".left")).to_have_text("5 messages")
    await expect(page.locator("#calls")).to_have_text("2")
    story = page.locator("#story li")
    await expect(story.filter(has_text="handler.retry")).to_contain_text("attempt 1")
    await expect(story.filter(has_text="attempt=2")).to_contain_text("with the same window")


async def test_a_worker_that_is_killed_costs_neither_window_nor_reply(
    players: Visitors, playground: Playground
) -> None:
    """It dies with the window open: another one has the same window, and the page sees it end."""
    page = await enter(players)
    text = f"survive {uuid.uuid4().hex[:8]}"
    await write(page, text)
    await expect(page.locator(".window")).to_have_attribute("data-state", "open")
    playground.consumer.kill()
    await playground.consumer.start()
    await expect(page.locator(".theirs p")).to_have_text(["1 in one"], timeout=SLOW_MS)
    await expect(page.locator(".window")).to_have_count(1)
    assert len(playground.calls_with(text)) == 1


async def test_what_waits_on_disk_is_told_and_found_once_redis_is_back(players: Visitors) -> None:
    """Spooled, while Redis is away: the page says so, goes on asking, and shows the window."""
    players.announce("status of (503|404)")
    page = await enter(players)
    failures = [503, 503, 404]

    async def keep_on_disk(route: Route) -> None:
        answer = await (await route.fetch()).json()
        spooled = {**answer["accepted"][0], "entry_id": None, "spooled": True}
        await route.fulfill(status=202, json={"accepted": [spooled]})

    async def be_away(route: Route) -> None:
        if failures:
            await route.fulfill(status=failures.pop(0), json={"error": {"code": "unavailable"}})
        else:
            await route.continue_()

    await page.route("**/messages", keep_on_disk, times=1)
    await page.route("**/conversations/**", be_away)
    await write(page, "are you there?")
    await expect(page.locator(".mine small")).to_have_text("kept on disk")
    await expect(page.locator("#story code")).to_have_text(["message.spooled"])
    await expect(page.locator("#notice")).to_contain_text("What was accepted is kept")
    await expect(page.locator(".window .mine")).to_have_count(1, timeout=SLOW_MS)
    await expect(page.locator("#notice")).to_be_empty()
    assert failures == []
