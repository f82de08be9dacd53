"""The console for names that mean harm, and for those who see little or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from tests.support.browser import DESK, PHONE, WALL, Visitors, examine
from tests.support.console import (
    ELEMENTS_OF_OTHERS,
    MARKUP,
    ConsoleSite,
    enter_console,
    tell_always,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

VIEWS = ("now", "windows", "instances", "partitions")
AT = 1_700_000_000_000

NUMBERS = {
    "accepted": 1, "finished": 1, "late_p50_ms": 1, "late_p99_ms": 1, "backlog": 1, "oldest_s": 1,
    "longest_wait_s": 1, "workers": 1, "retrying": 1, "dead": 1, "replies": 1, "open": 1,
    "running": 1, "slots": 1, "undecided": 1, "spool_messages": 1,
}  # fmt: skip
CODES = (
    "no_worker", "without_owner", "paused", "unavailable", "failing", "busy", "with_handler",
    "overdue", MARKUP,
)  # fmt: skip
REASON = {
    "error": MARKUP, "instances": [MARKUP], "more": 2, "messages": MARKUP, "partitions": MARKUP,
    "windows": 2, "since_s": 1, "slots": 1,
}  # fmt: skip
SETTING = {"value": MARKUP, "from": "run_time", "since": AT, "configured": MARKUP}
HOSTILE: dict[str, dict[str, Any]] = {
    "now": {
        **NUMBERS,
        "history": [[1, 2, 3], [2, 1, 3]],
        "why": [{**REASON, "code": code} for code in CODES],
    },
    "windows": {
        "counts": {MARKUP: 1, "open": 1},
        "is_whole": False,
        "windows": [
            {
                "window_id": MARKUP, "instance": MARKUP, "state": MARKUP, "messages": 1,
                "opened_at": AT, "due_at": AT, "closed_by": MARKUP, "attempt": 1, "behind": False,
                "started_at": AT, "worker": MARKUP, "partition": 1, "user": MARKUP,
            }
        ],
    },
    "instances": {
        "total": 1,
        "instances": [
            {
                "instance": MARKUP, "provider": MARKUP, "handler": MARKUP, "mode": MARKUP,
                "max_wait_ms": 1, "max_messages": 1, "quiet_ms": 1, "paused": True, "messages": 1,
                "oldest_at": AT,
                "settings": dict.fromkeys(
                    ("mode", "max_wait_ms", "max_messages", "quiet_ms", "grace_ms", "paused"),
                    SETTING,
                ),
            }
        ],
    },
    "partitions": {
        "partitions": [
            {
                "number": 1, "owner": MARKUP, "epoch": AT, "lease_ms": 1, "messages": 1,
                "oldest_at": AT, "in_hand": 1, "replies": 1, "dead": 1,
            }
        ],
        "workers": [
            {
                "id": MARKUP, "state": MARKUP, "host": MARKUP, "lease_ms": 1, "partitions": 1,
                "open": 1, "running": 1, "slots": 1, "undecided": 1,
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
async def test_what_means_harm_is_no_markup(operators: Visitors, view: str) -> None:
    """Should every name, error, host and provider be one: it is shown as it is."""
    page = await enter_console(operators, "partitions" if view == "now" else "now")
    await tell_always(page, {"view": view, "at": AT, **HOSTILE[view]})
    await page.goto(f"/console#{view}")
    await expect(page.locator("#root")).to_contain_text(MARKUP)
    if view == "instances":
        await page.get_by_role("button", name=f"Change {MARKUP}").click()
        await expect(page.get_by_role("dialog")).to_contain_text(MARKUP)
    assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0


async def test_replies_that_wait_for_a_person_are_told_first(operators: Visitors) -> None:
    """Their users were not answered, though no message waits and nothing fails."""
    page = await enter_console(operators, "partitions")
    quiet = {**dict.fromkeys(NUMBERS, 0), "why": [], "history": []}
    await tell_always(page, {"view": "now", "at": AT, **quiet, "undecided": 2})
    await page.goto("/console#now")
    await expect(page.locator("#verdict")).to_have_text("2 replies wait for a person.")
    await expect(page.locator(".why")).to_have_attribute("data-tone", "bad")


async def test_names_that_mean_harm_come_through_as_they_are(
    operators: Visitors, console: ConsoleSite
) -> None:
    """From a message's fields to the page and into an address, and back out of it."""
    user, instance = f"{MARKUP}/#?&%41\u202e", f"{MARKUP} {{}}%2F\u202e"
    await console.say(instance, user, MARKUP)
    page = await enter_console(operators, "windows")
    await page.get_by_label("Show users").check()
    row = page.get_by_role("row").filter(has_text=MARKUP)
    await expect(row.locator("td.user")).to_have_text(user)
    await expect(row.locator("td.name").first).to_have_text(instance)
    await page.goto("/console#instances")
    await page.locator("#filter").fill(instance)
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("td.state")).to_have_text("paused")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.locator("td.state")).to_have_text("on")
    assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0


@pytest.mark.parametrize("size", [PHONE, DESK, WALL], ids=["phone", "desk", "wall"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_is_in_the_way_of_those_who_see_little_or_nothing(
    operators: Visitors, console: ConsoleSite, size: tuple[int, int], scheme: str
) -> None:
    """No rule of axe finds anything, contrast among them, and nothing is wider than the screen."""
    await console.say(f"an instance of {scheme} and a very long name {'x' * 60}", "ann", "hello")
    page = await operators.open("/console", size, color_scheme=scheme)
    await expect(page.locator("#token")).to_be_visible()
    await examine(page, "log-in")
    page = await enter_console(operators, "now", size, color_scheme=scheme)
    for view in VIEWS:
        await page.goto(f"/console#{view}")
        await expect(page.locator(f"#root.{view} :is(#sum, #verdict)")).not_to_be_empty()
        await examine(page, view)
    await page.goto("/console#instances")
    await page.get_by_role("button", name="Change").first.click()
    await expect(page.get_by_role("dialog")).to_be_visible()
    await examine(page, "change")


async def test_nothing_moves_for_who_does_not_want_it(operators: Visitors) -> None:
    """No animation and no transition runs where less motion is asked for."""
    page = await enter_console(operators, reduced_motion="reduce")
    await expect(page.locator("#verdict")).not_to_be_empty()
    assert await page.evaluate("document.getAnimations().length") == 0
