"""``/api/v1/console/stream``: who is told what, how often Redis is asked, and when not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from ingest.console.collector import LOOK, STALE, Asked, Collector, pause_s
from ingest.console.collector import Look as Looks
from ingest.console.serving import serving_console
from ingest.console.stream import PAGES_MAX, PATH, ConsoleStream
from ingest.part_routes import PartRoutes
from shared.errors import BrokerUnavailable
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.deployment import QUICK, deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.ingest_server import IngestServer, serving
from tests.support.pipes import running_pipe
from tests.support.streams import Stream
from tests.support.waiting import eventually

TOKEN = {"Authorization": "Bearer s3cret"}
HOUR_MS = 3_600_000
MARKUP = "<img src=x onerror=alert(1)>"


def url_of(server: IngestServer) -> str:
    """Of the stream."""
    return f"http://{server.host}:{server.port}{PATH}"


@asynccontextmanager
async def listening(server: IngestServer, **query: str) -> AsyncIterator[Stream]:
    """A page that is open on a view."""
    async with (
        aiohttp.ClientSession(headers=TOKEN) as session,
        session.get(url_of(server), params=query) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Stream(answer)


async def until(stream: Stream, **wanted: Any) -> dict[str, Any]:
    """What is told once it says so."""
    while True:
        told = (await stream.next(LOOK)).data
        if all(told[name] == value for name, value in wanted.items()):
            return told


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


# On real data


@asynccontextmanager
async def real_console(redis_url: str, settings: Settings) -> AsyncIterator[IngestServer]:
    """The console's part of ingest over real data."""
    keys = Keys(settings.prefix, settings.partitions)
    metrics = IngestMetrics(InstanceLabels(10))
    async with (
        running_pipe(redis_url) as pipe,
        serving_console(settings, pipe, keys, metrics) as console,
        open_console(settings, console) as server,
    ):
        yield server
        console.end_streams()


@asynccontextmanager
async def open_console(settings: Settings, console: PartRoutes) -> AsyncIterator[IngestServer]:
    """A server with its routes and a token."""
    settings = settings.model_copy(update={"api_token": Settings(api_token="s3cret").api_token})
    async with serving(settings, routes=console.staff, open_routes=console.open) as server:
        yield server


async def test_now_follows_a_message_on_its_way(redis_url: str, prefix: str) -> None:
    """It gathers, a handler has it, it is finished; and how late its window began."""
    async with (
        HandlerServer([Answer(body=b"yes", content_type="text/plain", stalls=True)]) as handler,
        deployment(
            redis_url, prefix, handler=handler.url, max_wait_ms=HOUR_MS, max_messages=2
        ) as shop,
        shop.worker(),
        real_console(redis_url, shop.settings) as server,
        listening(server, view="now") as stream,
    ):
        calm = await until(stream, workers=1, without_owner=0)
        assert (calm["backlog"], calm["why"]) == (0, [])
        await shop.say("alice", "hello")
        await until(stream, backlog=1, open=1)
        await shop.say("alice", "are you open?")
        await until(stream, backlog=2, running=1)
        handler.release()
        done = await until(stream, backlog=0, replies=1)
        assert done["late_p99_ms"] is not None
        assert done["finished"] is not None


async def test_partitions_are_told_with_their_owners(redis_url: str, prefix: str) -> None:
    """All of a worker's, with its epochs; and what waits in each."""
    async with (
        deployment(redis_url, prefix, max_wait_ms=HOUR_MS) as shop,
        shop.worker() as worker,
        real_console(redis_url, shop.settings) as server,
        listening(server, view="partitions") as stream,
    ):
        await worker.owns(QUICK["partitions"])
        await shop.say("alice", "hello")
        while True:
            told = (await stream.next(LOOK)).data
            if sum(part["messages"] for part in told["partitions"]) == 1:
                break
        assert {part["owner"] for part in told["partitions"]} == {worker.worker.id}
        assert all(0 < told["at"] - part["epoch"] < HOUR_MS for part in told["partitions"])
        (row,) = told["workers"]
        assert (row["id"], row["state"], row["partitions"]) == (worker.worker.id, "up", 4)
        assert 0 < row["lease_ms"] <= shop.settings.lease_ms


async def test_users_are_named_only_to_who_asks(
    redis_url: str, prefix: str, redis_client: Redis
) -> None:
    """And no text is, at all."""
    async with (
        deployment(redis_url, prefix, max_wait_ms=HOUR_MS) as shop,
        real_console(redis_url, shop.settings) as server,
        listening(server, view="windows") as hidden,
        listening(server, view="windows", users="1") as named,
    ):
        await shop.say("+5511999990000", "a secret text")
        told = await until(hidden, counts={"open": 1, "closed": 0, "running": 0, "retrying": 0})
        (window,) = told["windows"]
        assert "user" not in window
        assert "5511999990000" not in str(told)
        asked = await until(named, counts=told["counts"])
        assert asked["windows"][0]["user"] == "+5511999990000"
        assert "secret text" not in f"{told}{asked}"
        assert await redis_client.exists(shop.keys.of("shop", "+5511999990000").streams)


async def test_instances_are_found_by_a_part_of_their_name(redis_url: str, prefix: str) -> None:
    """The largest backlog first; those that the settings name are there, too."""
    async with (
        deployment(
            redis_url, prefix, max_wait_ms=HOUR_MS, instances={"quiet one": {"max_messages": 3}}
        ) as shop,
        real_console(redis_url, shop.settings) as server,
    ):
        await shop.say("ann", "1", "2", instance="Bakery")
        await shop.say("ann", "1", instance=MARKUP)
        async with listening(server, view="instances") as stream:
            told = await until(stream, total=3)
            names = [one["instance"] for one in told["instances"]]
            assert names == ["Bakery", MARKUP, "quiet one"]
            assert [one["messages"] for one in told["instances"]] == [2, 1, 0]
            assert told["instances"][2]["settings"]["max_messages"]["value"] == 3
        async with listening(server, view="instances", instance="bak") as stream:
            assert [one["instance"] for one in (await until(stream, total=1))["instances"]] == [
                "Bakery"
            ]
