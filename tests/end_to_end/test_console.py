"""The console in a browser: what is going on, live, and what one does about it."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from shared.redis_binary import ServerBinary
from tests.support.browser import DESK, TOKEN, Visitors
from tests.support.console import ConsoleSite, console_site, enter_console
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

LATER_MS = 30_000
"""For what happens when a window's time is over."""


@pytest.fixture
def instance() -> str:
    """One that no other test has."""
    return f"shop {uuid.uuid4().hex[:6]}"


async def counts_down(place: Locator, below_s: int) -> None:
    """It says a time that is below this, and then a shorter one, whenever one comes to look."""
    await expect(place).to_have_text(re.compile(rf"^in [0-{below_s - 1}]\.\d s$"))
    first = await place.inner_text()
    await expect(place).not_to_have_text(first)
    await expect(place).to_have_text(re.compile(r"^in \d\.\d s$"))
    first_s, then_s = (float(text.split()[1]) for text in (first, await place.inner_text()))
    assert then_s < first_s


async def narrow(page: Page, text: str, rows: int = 0) -> None:
    """Show what has to do with an instance alone: so many rows."""
    await page.locator("#filter").fill(text)
    await expect(page.locator("tbody tr")).to_have_count(rows)


async def test_what_comes_is_shown_while_one_looks(
    operators: Visitors, console: ConsoleSite, instance: str
) -> None:
    """An open window and its countdown, its time with the handler, and nothing once it is done."""
    page = await enter_console(operators, "windows")
    await expect(page.locator("#link")).to_have_text("live")
    await narrow(page, instance)
    await expect(page.locator("#sum")).to_contain_text("No window is open")

    await console.say(instance, "ann", "hold on")
    state, goes_on = page.locator("td.state"), page.locator("td.goes")
    await expect(state).to_have_text("open")
    await counts_down(goes_on, below_s=6)
    await console.say(instance, "ann", "and on")
    await expect(state).to_have_text("with a handler")
    await expect(goes_on).to_have_text(re.compile(r"since \d"))
    console.handler.release()
    await expect(page.locator("#sum")).to_contain_text("No window is open")


async def test_users_are_shown_to_who_asks_and_texts_to_nobody(
    operators: Visitors, console: ConsoleSite, instance: str
) -> None:
    """A list of windows is for the whole room; whose they are is one click away."""
    page = await enter_console(operators, "windows")
    await narrow(page, instance)
    await console.say(instance, "+5511987650000", "my secret")
    await expect(page.locator("td.state")).to_have_text("open")
    assert "987650000" not in await page.content()
    await page.get_by_label("Show users").check()
    await expect(page.locator("td.user")).to_have_text("+5511987650000")
    await page.get_by_label("Show users").uncheck()
    await expect(page.get_by_text("987650000")).to_have_count(0)
    assert "my secret" not in await page.content()


async def test_a_failing_handler_is_the_reason_that_one_waits(
    operators: Visitors, console: ConsoleSite, instance: str
) -> None:
    """The first page says who waits and why, in words."""
    page = await enter_console(operators)
    await console.say(instance, "ann", "please fail")
    await console.say(instance, "ann", "please")
    await expect(page.locator("#verdict")).to_have_text("Somebody waits.")
    why = page.locator("#why li", has_text=instance)
    await expect(why).to_contain_text("The handler fails (answered 500")
    await expect(why).to_contain_text("waits for the next attempt")
    await expect(page.locator("#retrying")).not_to_have_text("0")


async def test_an_instance_is_paused_and_resumed(
    operators: Visitors, console: ConsoleSite, instance: str
) -> None:
    """What comes meanwhile waits, the first page says why, and nothing of it is lost."""
    await console.say(instance, "ann", "one")
    page = await enter_console(operators, "instances")
    await narrow(page, instance, rows=1)
    await page.get_by_role("button", name=f"Pause {instance}").click()
    await expect(page.locator("td.state")).to_have_text("paused")
    await eventually(lambda: instance in console.consumer.log.read_text(), "a worker that obeys")
    await console.say(instance, "ann", "two")

    other = await enter_console(operators)
    await expect(other.locator("#why")).to_contain_text("Paused: ")
    await expect(other.locator("#why")).to_contain_text(instance)
    await other.goto("/console#windows")
    await expect(other.get_by_role("row", name=instance).locator("td.goes")).to_have_text(
        "after the pause"
    )
    await other.goto("/console#now")
    assert console.handler.texts().count("two") == 0

    await page.get_by_role("button", name=f"Resume {instance}").click()
    await expect(page.locator("td.state")).to_have_text("on")
    await console.handler.wait_for_calls(1)
    await expect(other.locator("#why")).not_to_contain_text(instance)
    await expect(page.locator("td.number").first).to_have_text("0", timeout=LATER_MS)


async def test_settings_are_changed_with_the_keyboard_and_taken_back(
    operators: Visitors, console: ConsoleSite, instance: str
) -> None:
    """What was set at run time is marked, and what cannot be is refused in words."""
    operators.announce("status of 409")
    await console.say(instance, "ann", "hello")
    page = await enter_console(operators, "instances")
    await narrow(page, instance, rows=1)
    change = page.get_by_role("button", name=f"Change {instance}")
    await change.press("Enter")
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("now 6000, from the settings")
    await page.get_by_label("or after a silence of").fill("3600000")
    await page.keyboard.press("Enter")
    refusal = page.get_by_role("dialog").get_by_role("alert")
    await expect(refusal).to_contain_text("quiet_ms would be 3600000")
    await page.get_by_label("or after a silence of").fill("1500")
    await page.get_by_label("Mode").select_option("pass_through")
    await page.get_by_role("button", name="Save").press("Enter")
    await expect(dialog).to_be_hidden()
    await expect(page.locator("#notice")).to_be_empty()
    await expect(page.locator("td.steered")).to_have_text(["pass through", "1.5 s"])
    await expect(change).to_be_focused()

    await change.press("Enter")
    await page.get_by_role("button", name="Take all back").press("Enter")
    await expect(page.locator("td.steered")).to_have_count(0)
    await change.press("Enter")
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()


async def test_partitions_are_shown_with_who_owns_them(
    operators: Visitors, console: ConsoleSite
) -> None:
    """And who works."""
    page = await enter_console(operators, "partitions")
    await expect(page.locator("#sum")).to_have_text("1 worker; 4 partitions; each has an owner.")
    owners = page.get_by_role("table", name="Partitions").locator("td.name")
    worker = page.get_by_role("table", name="Workers").locator("td.name").first
    name = await worker.inner_text()
    await expect(owners).to_have_text([name] * 4)


async def test_views_have_addresses(operators: Visitors, console: ConsoleSite) -> None:
    """One goes on from a figure, comes back, and is where one was after a reload."""
    page = await enter_console(operators)
    await page.get_by_role("link", name="messages not finished").click()
    await expect(page.get_by_role("heading", name="Windows")).to_be_focused()
    await expect(page.locator("#views [aria-current]")).to_have_text("Windows")
    await page.go_back()
    await expect(page.locator("#verdict")).to_be_visible()
    await page.goto("/console#partitions")
    await page.reload()
    await expect(page.get_by_role("heading", name="Partitions")).to_be_visible()
    await page.goto("/console#nothing/of/that%name")
    await expect(page.locator("#verdict")).to_be_visible()


async def test_it_needs_the_token(operators: Visitors, console: ConsoleSite) -> None:
    """A wrong one is told; who is logged out is asked again, and sees nothing meanwhile."""
    operators.announce("status of 401")
    page = await operators.open("/console", DESK)
    await page.locator("#token").fill("a guess")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#notice")).to_have_text("This token is not right.")
    await expect(page.locator("#views")).to_be_hidden()
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#backlog")).to_be_visible()
    await page.reload()
    await expect(page.locator("#backlog")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.locator("#token")).to_be_focused()
    await expect(page.locator("#backlog")).to_have_count(0)


async def test_a_page_that_nobody_sees_is_told_nothing(
    operators: Visitors, console: ConsoleSite
) -> None:
    """Its stream ends, and begins anew when one looks again."""
    page = await enter_console(operators)
    await expect(page.locator("#backlog")).not_to_have_text("–")
    await page.evaluate(
        """() => {
          window.ended = 0;
          const close = EventSource.prototype.close;
          EventSource.prototype.close = function () { window.ended += 1; close.call(this); };
          window.see = (state) => {
            const now = { value: state, configurable: true };
            Object.defineProperty(document, "visibilityState", now);
            document.dispatchEvent(new Event("visibilitychange"));
          };
          window.see("hidden");
        }"""
    )
    assert await page.evaluate("window.ended") == 1
    async with page.expect_request("**/api/v1/console/stream*"):
        await page.evaluate("window.see('visible')")
    await expect(page.locator("#link")).to_have_text("live")


@pytest_asyncio.fixture(loop_scope="session")
async def lone_redis(chromium: Browser, redis_binary: ServerBinary) -> AsyncIterator[RedisServer]:
    """One that a test may stop; not before there is a browser to show it."""
    with RedisServer(redis_binary, on_port=True) as server:
        yield server


async def test_it_says_that_redis_is_away_and_goes_on_by_itself(
    chromium: Browser, lone_redis: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """What is shown is from before; what comes meanwhile is on the disk, and that is said."""
    async with console_site(lone_redis.url, prefix, tmp_path, spool_dir=tmp_path / "s") as site:
        people = Visitors(chromium, site.ingest.url)
        page = await enter_console(people)
        await expect(page.locator("#backlog")).to_have_text("0")
        lone_redis.pause()
        await expect(page.locator("#stale")).to_contain_text("Redis does not answer")
        await expect(page.locator("#link")).to_have_text("no answer, trying again")
        await site.say("shop", "ann", "hello")
        await expect(page.locator("#stale")).to_contain_text(
            "1 message is kept on this service’s disk"
        )
        lone_redis.resume()
        await expect(page.locator("#stale")).to_be_empty(timeout=LATER_MS)
        await expect(page.locator("#link")).to_have_text("live")
        await expect(page.locator("#backlog")).to_have_text("1", timeout=LATER_MS)
        await people.leave()
        assert people.unannounced() == []


async def test_it_says_that_the_service_is_away_and_goes_on_by_itself(
    operators: Visitors, console: ConsoleSite
) -> None:
    """A cable that is pulled, a process that is started anew."""
    operators.announce("ERR_INTERNET_DISCONNECTED")
    page = await enter_console(operators)
    await expect(page.locator("#link")).to_have_text("live")
    await page.context.set_offline(True)
    await expect(page.locator("#stale")).to_contain_text("This service does not answer")
    await page.context.set_offline(False)
    await expect(page.locator("#link")).to_have_text("live")
    await expect(page.locator("#stale")).to_be_empty()
