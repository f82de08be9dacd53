"""``/api/v1/console/stream``: what its views tell of real data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from ingest.console.collector import LOOK
from ingest.console.serving import serving_console
from ingest.part_routes import PartRoutes
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.console_stream import listening
from tests.support.deployment import QUICK, deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.ingest_server import IngestServer, serving
from tests.support.pipes import running_pipe
from tests.support.streams import Stream

HOUR_MS = 3_600_000
MARKUP = "<img src=x onerror=alert(1)>"


async def until(stream: Stream, **wanted: Any) -> dict[str, Any]:
    """What is told once it says so."""
    while True:
        told = (await stream.next(LOOK)).data
        if all(told[name] == value for name, value in wanted.items()):
            return told


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
