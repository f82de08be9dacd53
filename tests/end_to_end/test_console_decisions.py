"""What waits for a person, in the console: looked at, and decided about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from shared.redis_binary import ServerBinary
from tests.support.browser import PHONE, TOKEN, lose_first_answer
from tests.support.console_page import Console, console_of
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

XSS = "<img src=x onerror=alert(1)>"
MANY = 1100
"""Three pages of a replay."""

LONG_MS = 30_000


@pytest_asyncio.fixture(loop_scope="session")
async def console(chromium: Browser, redis_url: str, tmp_path: Path) -> AsyncIterator[Console]:
    """A service of the test's own."""
    async with console_of(chromium, redis_url, tmp_path) as running:
        yield running


async def shows_no_markup(page: Page) -> None:
    """What people and programs call themselves has become no element."""
    assert await page.locator("#root img").count() == 0


async def test_all_are_replayed_with_one_click(console: Console) -> None:
    """Each window is handed over once, though an answer is lost; nothing is left to do then."""
    for number in range(MANY):
        console.bury("answered 500", f"user-{number}")
    console.visitors.announce("ERR_FAILED")
    page = await console.enter("dead")
    await expect(page.locator("#sum")).to_have_text(f"{MANY:,} dead letters")
    calls = await lose_first_answer(page, "**/dead-letters/replay")

    await page.locator("#replay-all").click()

    progress = page.locator("#progress")
    await expect(progress).to_contain_text("handed over again", timeout=LONG_MS)
    await expect(page.locator("#sum")).to_have_text("No dead letters")
    await expect(page.locator(".empty")).to_contain_text("Nothing was given up")
    await expect(page.locator("#replay-all")).to_be_hidden()
    await expect(progress).to_contain_text(f"At least {MANY - 500} windows")
    assert len(calls) == 3
    assert (console.handed_over(), console.lengths("dead")) == (MANY, 0)


async def test_a_click_by_mistake_is_stopped(console: Console) -> None:
    """The same button, a moment later, by the keyboard: nothing was done."""
    console.bury("answered 500", "ana")
    page = await console.enter("dead")
    replay = page.locator("#replay-all")
    await expect(replay).to_have_text("Replay all 1")
    await replay.press("Enter")
    await expect(replay).to_have_text("Stop")
    await replay.press("Enter")
    await expect(page.locator("#progress")).to_have_text("Stopped: nothing was done.")
    await expect(replay).to_have_text("Replay all 1")
    assert (console.handed_over(), console.lengths("dead")) == (0, 1)


async def test_those_of_one_error_are_replayed(console: Console) -> None:
    """A group is a list of its own; all others stay."""
    for number in range(3):
        console.bury("TimeoutError: late", f"late-{number}")
    console.bury("answered 500", "ana")
    page = await console.enter("dead")
    await page.get_by_role("link", name="TimeoutError").click()
    await expect(page.locator(".kept > li")).to_have_count(3)
    await expect(page.locator("#replay-all")).to_have_text("Replay these 3")
    await page.locator("#replay-all").click()
    await expect(page.locator("#progress")).to_contain_text(
        "3 windows handed over", timeout=LONG_MS
    )
    await expect(page.locator(".empty")).to_contain_text("of this instance and error")
    assert (console.handed_over(), console.lengths("dead")) == (3, 1)
    await page.get_by_role("button", name="Show all").click()
    await expect(page.locator(".kept .what")).to_have_text(["answered 500"])


async def test_texts_are_hidden_until_somebody_wants_to_read_them(console: Console) -> None:
    """Neither the page nor what it was sent holds them before, nor when it is closed again."""
    console.bury(f"answered 500: {XSS}", XSS, text=f"{XSS} hello", provider=XSS)
    page = await console.enter("dead")
    answers: list[str] = []

    async def note(response: object) -> None:
        if "dead-letters" in response.url:  # type: ignore[attr-defined]
            answers.append(await response.text())  # type: ignore[attr-defined]

    page.on("response", note)
    letter = page.locator(".kept > li")
    await letter.get_by_role("button", name="Show").click()
    await expect(letter.locator(".whole-facts a")).to_have_text(XSS)
    await expect(letter.locator(".messages")).to_contain_text(XSS)
    assert answers
    assert all("hello" not in answer for answer in answers)
    await letter.get_by_role("button", name="Show what they wrote").click()
    await expect(letter.locator(".messages blockquote")).to_have_text(f"{XSS} hello")
    await expect(letter.locator(".whole > blockquote")).to_have_text(f"answered 500: {XSS}")
    await shows_no_markup(page)
    await letter.get_by_role("button", name="Hide").click()
    await expect(letter.locator("blockquote")).to_have_count(0)


async def test_whatever_a_name_is_it_is_shown_as_text(console: Console) -> None:
    """Instance, error, reason and provider: in the list, in the groups and in the addresses."""
    console.bury(XSS, "ana", instance=XSS)
    console.hold(XSS, XSS, instance=XSS, text=XSS, provider=XSS)
    page = await console.enter("dead")
    await expect(page.locator(".kept .what")).to_have_text(XSS)
    await expect(page.locator(".kept .quietly").first).to_contain_text(XSS)
    await page.locator(".groups .chip").last.click()
    await expect(page.locator("#replay-all")).to_have_text("Replay these 1")
    await shows_no_markup(page)
    await page.get_by_role("link", name="Replies").click()
    reply = page.locator(".kept > li")
    await expect(reply.locator(".what")).to_contain_text(XSS)
    await reply.get_by_role("button", name="Show").click()
    await reply.get_by_role("button", name="Show what it says").click()
    await expect(reply.locator("blockquote").last).to_have_text(XSS)
    await expect(reply.locator(".whole-facts")).to_contain_text(XSS)
    await shows_no_markup(page)


async def test_one_is_discarded_when_one_is_sure(console: Console) -> None:
    """Asked in its place, with the keyboard; the focus goes on to the next one."""
    for user in ("ana", "bea"):
        console.bury("answered 500", user)
    page = await console.enter("dead")
    await expect(page.locator(".kept > li")).to_have_count(2)
    await page.get_by_role("button", name="Discard").first.press("Enter")
    assert console.lengths("dead") == 2
    await page.get_by_role("button", name="Delete for ever").press("Enter")
    await expect(page.locator(".kept > li")).to_have_count(1)
    await expect(page.locator(".said")).to_have_text("Discarded.")
    await expect(page.get_by_role("button", name="Show", exact=True)).to_be_focused()
    assert (console.lengths("dead"), console.handed_over()) == (1, 0)


async def test_one_that_somebody_else_decided_about_is_told(console: Console) -> None:
    """Two people look at the same list: the second one is told, and nothing is done twice."""
    console.bury("answered 500", "ana")
    console.visitors.announce("404")
    here, there = await console.enter("dead"), await console.enter("dead")
    for page in (here, there):
        await expect(page.locator(".kept > li")).to_have_count(1)
    await there.route("**/api/v1/dead-letters?*", lambda route: route.abort())
    console.visitors.announce("ERR_FAILED")
    await here.get_by_role("button", name="Replay", exact=True).click()
    await expect(here.locator(".said")).to_contain_text("Handed over again")
    await there.get_by_role("button", name="Replay", exact=True).click()
    await expect(there.locator(".said")).to_have_text("It was replayed or discarded already.")
    assert console.handed_over() == 1


async def test_what_comes_is_shown_while_one_looks(console: Console) -> None:
    """Nobody has to ask again; what one reads at that moment stays where it is."""
    console.bury("answered 500", "ana")
    page = await console.enter("dead")
    first = page.locator(".kept > li").first
    await first.get_by_role("button", name="Show").click()
    await expect(first.locator(".whole")).to_be_visible()
    await expect(page.locator("#link")).to_have_text("live")
    console.bury("TimeoutError: late", "bea")
    await expect(page.locator("#sum")).to_have_text("2 dead letters")
    await expect(page.locator(".kept .what")).to_have_text(["TimeoutError", "answered 500"])
    await expect(page.locator(".kept > li").last.locator(".whole")).to_be_visible()


async def test_replies_are_sent_and_discarded(console: Console) -> None:
    """Those that wait for a person: one alone, one for ever, and the rest with one click."""
    for number in range(4):
        console.hold("loop limit", f"user-{number}")
    page = await console.enter("replies")
    await expect(page.locator("#sum")).to_have_text("4 replies wait for a decision")
    await page.get_by_role("button", name="Send", exact=True).first.click()
    await expect(page.locator(".kept > li")).to_have_count(3)
    await page.get_by_role("button", name="Discard").first.click()
    await page.get_by_role("button", name="Delete for ever").click()
    await expect(page.locator("#sum")).to_have_text("2 replies wait for a decision")
    await page.locator("#send-all").click()
    await expect(page.locator("#progress")).to_have_text("2 replies are sent now.", timeout=LONG_MS)
    await expect(page.locator("#sum")).to_have_text("No reply waits for a decision")
    assert console.lengths("outbox") == 3
    await page.locator("#every").check()
    await expect(page.locator(".kept > li")).to_have_count(3)
    await expect(page.locator(".kept .what").first).to_contain_text("Tried again soon")


async def test_a_conversation_is_found_from_its_dead_letter(console: Console) -> None:
    """Its windows and what became of them; its words when they are asked for."""
    console.bury("answered 500", XSS, text=f"{XSS} hello")
    page = await console.enter("dead")
    await page.get_by_role("button", name="Show", exact=True).click()
    await page.locator(".whole-facts a").click()
    await expect(page.locator("#title")).to_have_text("Conversation")
    await expect(page.locator("#whose #user")).to_have_value(XSS)
    window = page.locator(".way > li")
    await expect(window.locator(".what")).to_contain_text("Given up")
    await expect(window.locator(".steps")).to_contain_text("answered 500")
    await expect(page.locator(".way")).not_to_contain_text("hello")
    await page.locator("#texts").check()
    await expect(window.locator("blockquote")).to_have_text(f"{XSS} hello")
    await shows_no_markup(page)


async def test_a_conversation_that_nobody_knows(console: Console) -> None:
    """It is said, and what may be the reason."""
    console.visitors.announce("404")
    page = await console.enter("conversation")
    await page.locator("#instance").fill("shop")
    await page.locator("#user").fill("nobody/at all")
    await page.locator("#user").press("Enter")
    await expect(page.locator("#sum")).to_have_text("Nothing is known")


@pytest.mark.parametrize("view", ["dead", "replies", "spool", "conversation/shop/ana"])
async def test_a_phone_is_wide_enough(console: Console, view: str) -> None:
    """Nothing is cut off at the side, however long a name is."""
    console.bury("answered " + "5" * 60, "ana", instance="i" * 120, text="word" * 300)
    console.bury("answered 500", "ana", text="word" * 300)
    console.hold("why " + "w" * 200, "ana", text="word" * 300)
    page = await console.enter(view, PHONE)
    if view in ("dead", "replies"):
        await page.get_by_role("button", name="Show", exact=True).first.click()
        await page.get_by_role("button", name="Show what").first.click()
    await expect(page.locator("#sum")).not_to_have_text("")
    assert await page.evaluate("document.documentElement.scrollWidth - innerWidth") == 0


async def test_what_waits_on_disk_is_shown_while_redis_is_away(
    chromium: Browser, redis_binary: ServerBinary, tmp_path: Path
) -> None:
    """The spool's view asks no Redis: how much waits, and for how long, until it is over."""
    with RedisServer(redis_binary) as redis:
        async with console_of(chromium, redis.url, tmp_path) as console:
            console.visitors.announce("503")
            page = await console.enter("spool")
            await expect(page.locator("#sum")).to_have_text("Nothing waits on this disk")
            await expect(page.locator("tbody tr")).to_have_count(1)
            redis.kill()
            for number in range(3):
                await write(console.url, f"user-{number}")
            await expect(page.locator("#sum")).to_contain_text("3 messages wait for Redis")
            await expect(page.locator("tbody")).to_contain_text("this process")
            redis.start()
            await expect(page.locator("#sum")).to_have_text(
                "Nothing waits on this disk", timeout=LONG_MS
            )


async def write(url: str, user: str) -> None:
    """One message, which is kept wherever there is room."""
    body = {"instance": "shop", "user": user, "text": "hello"}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/api/v1/messages", json=body) as answer,
    ):
        assert answer.status == 202
