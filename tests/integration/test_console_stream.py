"""``/api/v1/console/stream``: who is told what, how often Redis is asked, and when not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import create_autospec

import aiohttp
import pytest

from ingest.console.collector import LOOK, STALE, Asked, Collector, pause_s
from ingest.console.collector import Look as Looks
from ingest.console.stream import PAGES_MAX, PATH, ConsoleStream
from ingest.listener import Listener
from shared.errors import BrokerUnavailable
from shared.settings import Settings
from tests.support.console_stream import TOKEN, listening, url_of
from tests.support.ingest_server import IngestServer, serving
from tests.support.waiting import eventually


@dataclass(slots=True)
class Counted:
    """A look that counts how often it is made, and fails while it is told to."""

    made: int = 0
    fails: bool = False
    breaks: bool = False

    async def look(self, asked: Asked) -> dict[str, Any]:
        """One more."""
        self.made += 1
        if self.fails:
            raise BrokerUnavailable("no answer")
        if self.breaks:
            raise TypeError("somebody else wrote there")
        return {"made": self.made, "instance": asked.instance}


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """A server whose views are counted looks."""

    server: IngestServer
    looks: Counted
    collector: Collector


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    """With one view, ``now``, which is looked at as often as can be."""
    counted = Counted()
    async with asyncio.TaskGroup() as group:
        looks = {"now": Looks(look=counted.look, interval_s=0.01)}
        collector = Collector(looks, group, away=lambda: {"spool_messages": 7})
        routes = ConsoleStream(collector).routes()
        async with serving(Settings(api_token="s3cret"), routes=routes) as server:
            yield Console(server=server, looks=counted, collector=collector)
            collector.close()


def test_looks_that_cost_much_are_made_seldom() -> None:
    """Not because a single one had to wait; and never so seldom that the page seems dead."""
    assert pause_s(0.5, [0.01, 0.02, 0.01]) == 0.5
    assert pause_s(0.5, [0.01, 3.0, 2.0]) == 0.5
    assert pause_s(0.5, [0.2, 0.25, 0.2]) == 1.6
    assert pause_s(0.5, [9.0, 9.0, 9.0]) == 5.0


async def test_nothing_is_looked_at_while_no_page_is_open(console: Console) -> None:
    """Not before the first one, and not after the last one has gone."""
    assert console.looks.made == 0
    async with listening(console.server, view="now") as stream:
        await stream.next(LOOK)
        await stream.next(LOOK)
    await eventually(lambda: len(console.collector) == 0, "the page to be gone")
    made = console.looks.made
    async with listening(console.server, view="now") as stream:
        first = await stream.next(LOOK)
    assert first.data["made"] == made + 1


async def test_who_comes_as_the_last_one_leaves_has_no_more_looks_made() -> None:
    """A page that is loaded anew is told as often as any, not as fast as Redis answers."""
    made, may_answer = 0, asyncio.Event()

    async def look(_asked: Asked) -> dict[str, Any]:
        nonlocal made
        made += 1
        await may_answer.wait()
        await asyncio.sleep(0)
        return {}

    async with asyncio.TaskGroup() as group:
        collector = Collector({"now": Looks(look=look, interval_s=60.0)}, group)
        old, new = create_autospec(Listener), create_autospec(Listener)
        view = collector.enter(Asked(view="now"), old)
        await eventually(lambda: made == 1, "a look")
        collector.leave(view, old)
        assert collector.enter(Asked(view="now"), new) is view
        may_answer.set()
        await eventually(lambda: new.send.called, "what was seen")
        for _ in range(10):
            await asyncio.sleep(0)
        collector.leave(view, new)
        assert made == 1


async def test_pages_share_their_looks(console: Console) -> None:
    """The second one is told at once what the first one was, and each look is told to both."""
    async with (
        listening(console.server, view="now") as one,
        listening(console.server, view="now") as other,
    ):
        also = [(await other.next(LOOK)).data["made"] for _ in range(20)]
        seen = [0]
        while seen[-1] < also[-1]:
            seen.append((await one.next(LOOK)).data["made"])
    assert len({*seen} & {*also}) >= 15


async def test_what_one_page_narrows_is_not_narrowed_for_another(console: Console) -> None:
    """Each is told what it has asked for."""
    async with (
        listening(console.server, view="now", instance="shop") as one,
        listening(console.server, view="now") as other,
    ):
        assert (await one.next(LOOK)).data["instance"] == "shop"
        assert (await other.next(LOOK)).data["instance"] == ""


@pytest.mark.parametrize("fault", ["fails", "breaks"])
async def test_an_outage_is_told_and_its_end(console: Console, fault: str) -> None:
    """The stream stays open, says what is known meanwhile, and goes on by itself."""
    async with listening(console.server, view="now") as stream:
        await stream.next(LOOK)
        setattr(console.looks, fault, True)
        stale = await stream.next(STALE)
        assert stale.data == {"view": "now", "stale": True, "spool_messages": 7}
        setattr(console.looks, fault, False)
        assert (await stream.next(LOOK)).data["stale"] is False
    logged = [line["event"] for line in console.server.logs if "view" in line]
    assert logged == ["console.unreadable"]


async def test_streams_end_with_the_service(console: Console) -> None:
    """At once, and none begins any more."""
    async with listening(console.server, view="now") as stream:
        await stream.next(LOOK)
        console.collector.close()
        await stream.rest()
    answer = await console.server.request("GET", f"{PATH}?view=now", headers=TOKEN)
    assert (answer.status, answer.error.partition(":")[0]) == (503, "too_many_listeners")


@pytest.mark.parametrize("query", ["", "view=", "view=else", "view=now&view=now"])
async def test_there_is_one_view_that_must_be_named(console: Console, query: str) -> None:
    """What there is is said."""
    answer = await console.server.request("GET", f"{PATH}?{query}", headers=TOKEN)
    assert (answer.status, answer.error) == (400, "invalid_field: view must be one of: now")


async def test_it_needs_the_token(console: Console) -> None:
    """Nobody else is told anything."""
    answer = await console.server.request("GET", f"{PATH}?view=now")
    assert answer.status == 401
    assert console.looks.made == 0


async def test_pages_leave_room_for_webhooks(console: Console) -> None:
    """Beyond so many none is opened."""
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        url = f"{url_of(console.server)}?view=now"
        pages = [await session.get(url) for _ in range(PAGES_MAX)]
        answer = await console.server.request("GET", f"{PATH}?view=now", headers=TOKEN)
        assert answer.status == 503
        for page in pages:
            page.close()
