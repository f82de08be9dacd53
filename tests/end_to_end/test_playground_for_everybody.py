"""The playground for names that mean harm, for strangers, and for those who see little."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Route, expect

from shared.model import ClosedBy
from shared.trace.whereabouts import ReplyState, State, WindowState
from tests.support.browser import DESK, PHONE, TOKEN, Visitors, examine
from tests.support.playground import IMAGE, enter, write

pytestmark = pytest.mark.asyncio(loop_scope="session")

ELEMENTS_OF_OTHERS = "document.querySelectorAll('img, b, iframe, script:not([src])').length"


async def test_texts_that_mean_harm_are_shown_as_they_are(players: Visitors) -> None:
    """What one writes, what the handler answers, and why it refused: text, and nothing else."""
    page = await enter(players)
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
async def test_answers_that_mean_harm_are_no_markup_either(players: Visitors, state: str) -> None:
    """Should a proxy, or a bug of ours, put markup into every field of every answer."""
    context = await players.come(DESK)
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


async def test_it_needs_the_token(players: Visitors) -> None:
    """A wrong one is told; with the right one the page opens, and stays open after a reload."""
    players.announce("status of 401")
    page = await players.open("/playground", DESK)
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


async def test_every_reason_and_state_has_its_words(players: Visitors) -> None:
    """The page knows all that the service may tell of windows and replies."""
    page = await enter(players)
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


async def test_a_window_that_was_started_in_between_takes_no_other_message(
    players: Visitors,
) -> None:
    """Windows were looked up before the start, messages after the end: the third waits for more."""
    page = await enter(players)
    found = await page.evaluate(
        """async () => {
          const { addMessage, isSettled, membersOf, newConversation, takeFace } =
            await import("/static/playground/state.js");
          const conversation = newConversation("somebody");
          for (const id of ["a", "b", "c"]) addMessage(conversation, id, id, 1);
          const ended = { state: "handled", window_id: "W", opened_at: 1, at: 9 };
          takeFace(conversation, {
            windows: [{ window_id: "W", state: "closed", messages: 2, opened_at: 1 }],
            messages: [
              { ...ended, entry_id: "1-0", message_id: "a" },
              { ...ended, entry_id: "2-0", message_id: "b" },
              { state: "waiting", entry_id: "3-0", message_id: "c" },
            ],
            replies: [],
          });
          const members = membersOf(conversation, conversation.windows[0]);
          return [members.map(({ id }) => id), isSettled(conversation)];
        }"""
    )
    assert found == [["a", "b"], False]


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_in_the_way_of_those_who_see_little_or_nothing(
    players: Visitors, size: tuple[int, int], scheme: str
) -> None:
    """No rule of axe finds anything, contrast among them, and nothing is wider than the screen."""
    page = await players.open("/playground", size, color_scheme=scheme)
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
