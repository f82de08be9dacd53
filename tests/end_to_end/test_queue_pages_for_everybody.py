"""The queue's pages with a keyboard, a screen reader, in Arabic, and for names that mean harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from shared.tickets import Status
from tests.support.browser import DESK, PHONE, TOKEN, WALL, Clinic, Visitors, examine, log_in

pytestmark = pytest.mark.asyncio(loop_scope="session")

IMAGE = "<img src=x onerror=alert(1)>"
HOSTILE = [
    f"\"'>{IMAGE}<script>alert(1)</script> javascript:alert(1) {0}",
    "\u202etxt.exe\u2066 a/b?c#d \u05d0 %00&lt;b&gt;",
]
ELEMENTS_OF_OTHERS = "document.querySelectorAll('img, b, iframe, script:not([src])').length"


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_name_that_means_harm_is_shown_as_it_is(
    visitors: Visitors, open_clinic: Callable[..., Clinic], name: str
) -> None:
    """As clinic and as user, on every page: text, and nothing else."""
    clinic = open_clinic(name)
    await clinic.enter(name)
    phone = await visitors.open(clinic.path)
    kept = json.dumps({"user": name, "number": None, "key": None})
    await phone.evaluate(
        "([name, kept]) => localStorage.setItem(name, kept)", [f"inturn.queue.{name}", kept]
    )
    await phone.reload()
    await expect(phone.locator("[data-number]:visible")).to_have_text("1")
    desk = await visitors.open(f"{clinic.path}/desk", DESK)
    await log_in(desk)
    await desk.locator("#call").click()
    wall = await visitors.open(f"{clinic.path}/screen", WALL)
    for page in (phone, desk, wall):
        await expect(page.locator("#serving")).to_have_text("1")
        assert await page.locator("#clinic").text_content() == name
        assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0
    assert name in await wall.title()
    await desk.get_by_role("link", name="Page for the wall").click()
    await expect(desk.locator("#clinic")).to_have_text(name)


async def test_answers_that_mean_harm_are_no_markup_either(
    visitors: Visitors, clinic: Clinic
) -> None:
    """Should a proxy, or a bug of ours, put markup into every field of every answer."""
    visitors.announce("status of 400")
    hostile = dict.fromkeys(
        ("clinic", "serving", "last", "waiting", "average_service_s", "estimated_wait_s"), IMAGE
    )
    event = {**hostile, "waiting": 3, "last": 5, "type": IMAGE, "id": IMAGE, "next": [IMAGE]}
    frame = f"event: CONNECTED\nid: {IMAGE}\ndata: {json.dumps(event)}\n\n"

    async def answer(route: Route) -> None:
        if "events" in route.request.url:
            await route.fulfill(content_type="text/event-stream", body=frame)
        elif route.request.method == "POST":
            error = {"error": {"code": IMAGE, "message": IMAGE}}
            await route.fulfill(status=400, json=error)
        else:
            user = {"number": IMAGE, "ahead": IMAGE, "state": IMAGE}
            await route.fulfill(json={**event, "user": user, "logged_in": True})

    for path, size in (("", PHONE), ("/screen", WALL), ("/desk", DESK)):
        context = await visitors.come(size)
        await context.route("**/api/**", answer)
        await context.route("**/session", answer)
        page = await context.new_page()
        await page.goto(f"{clinic.path}{path}")
        await expect(page.locator("#serving")).to_have_text("NaN")
        if path == "/desk":
            await page.locator("#call").click()
            await expect(page.locator("#notice")).to_have_text(
                "That did not work. Please try again."
            )
        assert await page.evaluate(ELEMENTS_OF_OTHERS) == 0


async def test_everything_can_be_done_with_the_keyboard(visitors: Visitors, clinic: Clinic) -> None:
    """Take a number, log in, call, think twice about beginning anew, and do it."""
    phone = await visitors.open(clinic.path)
    await expect(phone.locator("#take")).to_be_visible()
    await tab_to(phone, "take")
    await phone.keyboard.press("Enter")
    await expect(phone.locator("[data-number]:visible")).to_have_text("1")

    desk = await visitors.open(f"{clinic.path}/desk", DESK)
    await expect(desk.locator("#token")).to_be_visible()
    await tab_to(desk, "token")
    await desk.keyboard.type(TOKEN)
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#call")).to_be_focused()
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#serving")).to_have_text("1")
    await expect(desk.locator("#call")).to_be_focused()

    await tab_to(desk, "reset")
    await desk.keyboard.press("Enter")
    await expect(desk.get_by_role("dialog")).to_be_visible()
    await expect(desk.get_by_role("button", name="Go on as before")).to_be_focused()
    await desk.keyboard.press("Escape")
    await expect(desk.get_by_role("dialog")).to_be_hidden()
    await expect(desk.locator("#reset")).to_be_focused()
    assert (await clinic.status())["last"] == 1
    await desk.keyboard.press("Enter")
    await desk.keyboard.press("Tab")
    await desk.keyboard.press("Enter")
    await expect(desk.locator("#notice")).to_have_text("Numbers begin again at 1.")
    await expect(desk.locator("#last")).to_have_text("0")
    await clinic.enter("ann")
    await expect(desk.locator("#last")).to_have_text("1")
    begun_anew: list[str] = []
    desk.on("request", lambda request: begun_anew.append(request.url))
    await desk.locator("#reset").click()
    await desk.keyboard.press("Escape")
    await expect(desk.get_by_role("dialog")).to_be_hidden()
    await clinic.enter("bob")
    await expect(desk.locator("#last")).to_have_text("2")
    assert begun_anew == []
    await expect(phone.locator("#take")).to_be_visible()


async def tab_to(page: Page, part: str) -> None:
    """Press the key until the focus is there, as people do."""
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == part:
            return
    raise AssertionError(f"{part} is not reached")


async def test_arabic_is_written_from_the_right(visitors: Visitors, clinic: Clinic) -> None:
    """By the browser's language, or by the switch, which is remembered; with the same figures."""
    for user in ("ann", "bob", "cleo"):
        await clinic.enter(user)
    page = await visitors.open(clinic.path, (320, 640), "ar-EG")
    root = page.locator("html")
    await expect(root).to_have_attribute("dir", "rtl")
    await expect(root).to_have_attribute("lang", "ar")
    await expect(page.locator("#before")).to_have_text("3 أشخاص في الانتظار.")
    await page.get_by_role("button", name="خذ رقمًا").click()
    await expect(page.locator("[data-number]:visible")).to_have_text("4")
    clinic_name, switch = page.locator("#clinic"), page.get_by_role("button", name="English")
    left, right = await switch.bounding_box(), await clinic_name.bounding_box()
    assert left is not None
    assert right is not None
    assert left["x"] < right["x"]

    await switch.click()
    await expect(root).to_have_attribute("dir", "ltr")
    await expect(page.locator("#ahead")).to_have_text("3 people ahead of you")
    await page.reload()
    await expect(root).to_have_attribute("lang", "en")
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not await page.evaluate(wide)


async def test_both_languages_have_the_same_texts(visitors: Visitors, clinic: Clinic) -> None:
    """None is missing in one, and every plural that a language has is written."""
    page = await visitors.open(clinic.path)
    missing = await page.evaluate(
        """async () => {
          const { TEXTS } = await import("/static/queue/texts.js");
          const missing = [];
          const names = new Set(Object.values(TEXTS).flatMap(Object.keys));
          for (const [language, texts] of Object.entries(TEXTS)) {
            const { pluralCategories } = new Intl.PluralRules(language).resolvedOptions();
            for (const name of names) {
              const text = texts[name];
              if (!text) missing.push(`${language} ${name}`);
              if (typeof text !== "object") continue;
              // Nobody has a text of its own, whatever the language calls it.
              for (const form of pluralCategories.filter((one) => one !== "zero")) {
                if (!(form in text)) missing.push(`${language} ${name} ${form}`);
              }
            }
          }
          return [names.size, missing];
        }"""
    )
    assert missing[0] > 40
    assert missing[1] == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_nothing_is_in_the_way_of_those_who_see_little_or_nothing(
    visitors: Visitors, clinic: Clinic, dark: bool
) -> None:
    """No rule of axe finds anything on any page in any state, contrast among them."""
    scheme = "dark" if dark else "light"
    phone = await visitors.open(clinic.path, color_scheme=scheme)
    await expect(phone.locator("#take")).to_be_visible()
    await examine(phone, "before")
    await phone.locator("#take").click()
    await expect(phone.locator("#ahead")).to_be_visible()
    await examine(phone, "waiting")
    desk = await visitors.open(f"{clinic.path}/desk", DESK, color_scheme=scheme)
    await expect(desk.locator("#token")).to_be_visible()
    await examine(desk, "log-in")
    await log_in(desk)
    await clinic.enter("bob")
    await expect(desk.locator("#next li")).to_have_count(2)
    await examine(desk, "desk")
    await desk.locator("#reset").click()
    await examine(desk, "dialog")
    await clinic.done()
    wall = await visitors.open(f"{clinic.path}/screen", WALL, color_scheme=scheme)
    await expect(wall.locator("#serving")).to_have_text("1")
    await examine(wall, "wall")
    await expect(phone.get_by_role("heading", name="It is your turn")).to_be_visible()
    await expect(phone.get_by_role("status")).to_contain_text("It is your turn, number 1.")
    await examine(phone, "turn")
    await clinic.done()
    await expect(phone.locator("#again")).to_be_visible()
    await examine(phone, "served")


async def test_pages_reckon_as_the_service_does(visitors: Visitors, clinic: Clinic) -> None:
    """Place, next numbers and expected wait of every small queue are those of the service."""
    page = await visitors.open(clinic.path)
    cases: list[dict[str, Any]] = []
    for last, called, is_serving, number in product(range(6), range(6), (0, 1), range(1, 7)):
        if called > last or (is_serving and not called):
            continue
        status = Status.of("c", (last, called, called * is_serving, called, called * 90_000))
        place = status.place_of(number)
        cases.append(
            {
                "state": status.face(),
                "number": number,
                "view": "gone" if number > last else place.state.value,
                "ahead": 0 if number > last else place.ahead,
                "next": status.upcoming(3),
                "wait_s": status.estimated_wait_s,
            }
        )
    wrong = await page.evaluate(
        """async (cases) => {
          const { expectedWait_s, nextNumbers, placeOf } = await import("/static/queue/state.js");
          return cases.filter(({ state, number, ...expected }) => {
            const found = {
              ...placeOf(state, number),
              next: nextNumbers(state, 3),
              wait_s: expectedWait_s(state, state.waiting),
            };
            return Object.entries(expected).some(
              ([name, value]) => JSON.stringify(found[name]) !== JSON.stringify(value),
            );
          });
        }""",
        cases,
    )
    assert len(cases) > 150
    assert wrong == []
