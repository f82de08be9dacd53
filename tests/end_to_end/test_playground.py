"""The playground in a real browser, through the real services and a handler over HTTP."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from shared.model import ClosedBy
from shared.trace.whereabouts import ReplyState, State, WindowState
from tests.support.browser import DESK, PHONE, TOKEN, Visitors
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.service_process import ServiceProcess

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_WAIT_MS = 8000
SLOW_MS = 3 * MAX_WAIT_MS
LEASE_MS = 2000
IMAGE = "<img src=x onerror=alert(1)>"
ELEMENTS_OF_OTHERS = "document.querySelectorAll('img, b, iframe, script:not([src])').length"
FIRST_BURST = ["hi", "are you open?", "on friday I mean"]


def answer(call: HandlerCall) -> Answer:
    """Markup for who asks for it, a refusal of the window, or how many messages there were."""
    if "refuse" in call.json["text"]:
        return Answer(status=422, body=IMAGE.encode())
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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def playground(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Playground]:
    """Both services with a token and the playground switched on; each visitor is a user."""
    folder = tmp_path_factory.mktemp("playground")
    async with HandlerServer(answer) as handler:
        settings = {
            "redis_url": redis_url,
            "prefix": f"test-play-{uuid.uuid4().hex[:8]}",
            "api_token": TOKEN,
            "playground": "true",
            "handler": handler.url,
            "max_wait_ms": MAX_WAIT_MS,
            "lease_ms": LEASE_MS,
        }
        async with (
            ServiceProcess("ingest", folder, settings) as ingest,
            ServiceProcess("consumer", folder, settings) as consumer,
        ):
            await consumer.owns(16)
            yield Playground(url=ingest.url, handler=handler, consumer=consumer)


@pytest_asyncio.fixture(loop_scope="session")
async def visitors(chromium: Browser, playground: Playground) -> AsyncIterator[Visitors]:
    """People who come to the playground; no browser may complain of it."""
    people = Visitors(chromium, playground.url)
    yield people
    await people.leave()
    assert people.unannounced() == []


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


async def test_a_burst_is_seen_to_become_one_window_and_one_reply(
    visitors: Visitors, playground: Playground
) -> None:
    """One click: messages gather in a window that counts down, closes, and gets one reply."""
    page = await enter(visitors)
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


async def test_the_fifth_message_closes_the_window_at_once(visitors: Visitors) -> None:
    """Nobody waits for the time where there is enough; the next message opens another window."""
    page = await enter(visitors)
    for number in range(1, 7):
        await write(page, f"quickly {number}")
    await expect(page.locator(".theirs p")).to_have_text(["5 in one"])
    await expect(page.locator(".window").first.locator(".foot")).to_contain_text("with message 5")
    await expect(page.locator(".window")).to_have_count(2)
    await expect(page.locator(".window").last.locator(".mine p")).to_have_text(["quickly 6"])
    await expect(page.locator(".window").last).to_have_attribute("data-state", "open")


async def test_what_is_delivered_again_is_kept_once_and_a_reload_forgets_nothing(
    visitors: Visitors, playground: Playground
) -> None:
    """The same id again is one message; the page comes back to the window that is still open."""
    page = await enter(visitors)
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
    visitors: Visitors, playground: Playground
) -> None:
    """Kept, and the browser was not told: it sends again, and nothing is doubled."""
    visitors.announce("ERR_FAILED")
    page = await enter(visitors)
    tried = 0

    async def drop_once(route: Route) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/messages", drop_once)
    text = f"lost {uuid.uuid4().hex[:8]}"
    await write(page, text)
    await expect(page.locator(".window .mine p")).to_have_text([text])
    await expect(page.locator(".mine small").first).to_have_text("delivered twice, kept once")
    assert tried == 2
    await fill_up(page)
    (call,) = playground.calls_with(text)
    assert len(call["messages"]) == 5


async def test_a_worker_that_is_killed_costs_neither_window_nor_reply(
    visitors: Visitors, playground: Playground
) -> None:
    """It dies with the window open: another one has the same window, and the page sees it end."""
    page = await enter(visitors)
    text = f"survive {uuid.uuid4().hex[:8]}"
    await write(page, text)
    await expect(page.locator(".window")).to_have_attribute("data-state", "open")
    playground.consumer.kill()
    await playground.consumer.start()
    await expect(page.locator(".theirs p")).to_have_text(["1 in one"], timeout=SLOW_MS)
    await expect(page.locator(".window")).to_have_count(1)
    assert len(playground.calls_with(text)) == 1


async def test_what_waits_on_disk_is_told_and_found_once_redis_is_back(visitors: Visitors) -> None:
    """Spooled, while Redis is away: the page says so, goes on asking, and shows the window."""
    visitors.announce("status of (503|404)")
    page = await enter(visitors)
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


async def test_texts_that_mean_harm_are_shown_as_they_are(visitors: Visitors) -> None:
    """What one writes, what the handler answers, and why it refused: text, and nothing else."""
    page = await enter(visitors)
    markup = f"markup {IMAGE}<script>alert(1)</script>"
    texts = [markup, "\u202etxt.exe &lt;b&gt; <b>", "3", "4", "5"]
    for text in texts:
        await write(page, text)
    await expect(page.locator(".mine p")).to_have_text(texts)
    await expect(page.locator(".theirs p")).to_have_text([IMAGE])
    for number in range(5):
        await write(page, f"refuse {number} {IMAGE}")
    dead = page.locator(".window").last
    await expect(dead).to_have_attribute("data-outcome", "dead")
    await expect(dead.locator("strong")).to_have_text("Given up, and kept")
    await expect(dead.locator(".foot")).to_contain_text("422")
    await expect(page.locator("#story code").last).to_have_text("window.dead")
    assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0


@pytest.mark.parametrize("state", sorted({*map(str, WindowState), *map(str, State)}))
async def test_answers_that_mean_harm_are_no_markup_either(visitors: Visitors, state: str) -> None:
    """Should a proxy, or a bug of ours, put markup into every field of every answer."""
    context = await visitors.come(DESK)
    rules = {"instance": IMAGE, "quiet_ms": 5, "max_wait_ms": IMAGE, "max_messages": IMAGE}

    async def give(route: Route) -> None:
        url = route.request.url
        if "/api/v1/playground" in url:
            await route.fulfill(json={**rules, "pass_through": False, "handler": IMAGE})
        elif "/api/v1/messages" in url:
            kept = {"message_id": IMAGE, "entry_id": "1-0", "duplicate": False, "spooled": False}
            await route.fulfill(json={"accepted": [kept]})
        elif "/conversations/" in url:
            await route.fulfill(json=hostile_face(state))
        else:
            await route.fulfill(json={"logged_in": True})

    await context.route("**/api/**", give)
    await context.route("**/session", give)
    page = await context.new_page()
    await page.goto("/playground")
    await write(page, IMAGE)
    await expect(page.locator(".mine p")).to_have_text([IMAGE])
    await expect(page.locator("#rules")).to_contain_text(IMAGE)
    await expect(page.locator(".window")).to_have_count(1)
    assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0


def hostile_face(state: str) -> dict[str, Any]:
    """A conversation whose window or message is in this state, and all else is markup."""
    names = ("closed_by", "error", "attempt", "dead_letter_id", "message_id", "opened_at", "due_at")
    markup = dict.fromkeys((*names, "closed_at", "started_at", "at", "retry_at", "messages"), IMAGE)
    failures = [{"attempt": IMAGE, "error": IMAGE, "at": IMAGE}]
    message_state = state if state in set(State) else State.IN_WINDOW
    window = {**markup, "window_id": IMAGE, "state": state if state in set(WindowState) else "open"}
    reply = {**markup, "reply_id": IMAGE, "window_id": IMAGE, "state": IMAGE, "texts": [IMAGE]}
    message = {**markup, "state": message_state, "entry_id": "1-0", "window_id": IMAGE}
    return {
        "messages": [{**message, "failures": failures}],
        "windows": [{**window, "messages": 1}],
        "replies": [reply],
        "dead": [],
    }


async def test_it_needs_the_token(visitors: Visitors) -> None:
    """A wrong one is told; with the right one the page opens, and stays open after a reload."""
    visitors.announce("status of 401")
    page = await visitors.open("/playground", DESK)
    await page.locator("#token").fill("a guess")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#notice")).to_have_text("This token is not right.")
    await expect(page.locator("#composer")).to_be_hidden()
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#text")).to_be_focused()
    await expect(page.locator("#notice")).to_be_empty()
    await page.reload()
    await expect(page.locator("#composer")).to_be_visible()
    assert TOKEN not in json.dumps(await page.context.storage_state())

    await page.context.clear_cookies()
    await write(page, "am I still in?")
    await expect(page.locator("#token")).to_be_focused()


async def test_every_reason_and_state_has_its_words(visitors: Visitors) -> None:
    """The page knows all that the service may tell of windows and replies."""
    page = await enter(visitors)
    known = await page.evaluate(
        """async ([reasons, moves]) => {
          const { reasonText } = await import("/static/playground/story.js");
          const { isSettled } = await import("/static/playground/state.js");
          const window = (state) => ({ state: "ended", replies: [{ state }] });
          return [
            reasons.filter((reason) => reasonText(reason) === reason),
            moves.filter((state) => isSettled({ windows: [window(state)], messages: [] })),
          ];
        }""",
        [[str(one) for one in ClosedBy], [str(one) for one in ReplyState]],
    )
    assert known[0] == []
    assert set(known[1]) == set(ReplyState) - {"waiting", "sending", "retrying"}


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_in_the_way_of_those_who_see_little_or_nothing(
    visitors: Visitors, size: tuple[int, int], scheme: str
) -> None:
    """No rule of axe finds anything, contrast among them, and nothing is wider than the screen."""
    page = await visitors.open("/playground", size, color_scheme=scheme)
    await expect(page.locator("#token")).to_be_visible()
    await examine(page, "log-in")
    await page.locator("#token").fill(TOKEN)
    await page.locator("#token").press("Enter")
    await expect(page.locator("#first-burst")).to_be_visible()
    await examine(page, "empty")
    await write(page, f"one {'x' * 80}")
    await expect(page.locator(".window")).to_have_attribute("data-state", "open")
    await examine(page, "open")
    for text in ("two", "three", "four", "five"):
        await write(page, text)
    await expect(page.get_by_role("status")).to_have_text("One reply: 5 in one")
    await examine(page, "answered")


async def examine(page: Page, what: str) -> None:
    """By axe's rules, once nothing moves any more."""
    await page.evaluate(
        "() => Promise.allSettled(document.getAnimations().map((moving) => moving.finished))"
    )
    found = await Axe().run(page)
    assert found.violations_count == 0, f"{what}: {found.generate_report()}"
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide), what
