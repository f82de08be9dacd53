"""The report on real data: ``inturn doctor --json`` and ``GET /api/v1/report`` say the same."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

import jsonschema_rs
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from consumer.membership import Membership
from consumer.memory import Memory
from consumer.takeover import rebuild_memory
from ingest.openapi_report import REPORT
from ingest.report import PATH, ReportApi
from ops.cli import inturn
from shared.connect import Pipe
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import WorkerId
from shared.settings import Settings
from shared.window import rules_for
from tests.support.ingest_server import serving
from tests.support.partition_scripts import ANN, SHOP, THEM, Scripts
from tests.support.pipes import running_pipe
from tests.support.redis_users import as_user

METRICS = ConsumerMetrics()
TOKEN = "a-token"


@pytest.fixture
async def meta(redis_client: Redis, keys: Keys) -> None:
    """Some service has created the data."""
    fields = {"partitions": keys.partitions, "layout": 1, "log_key": "00" * 16}
    await redis_client.hset(keys.meta, mapping=fields)  # type: ignore[arg-type]


def new_memory() -> Memory:
    """What a takeover fills."""
    return Memory(partial(rules_for, Settings()), 1_000_000)


async def live(client: Redis, keys: Keys, worker: str) -> None:
    """A worker's key, as its beats keep it."""
    await client.sadd(keys.workers, worker)
    await client.hset(keys.worker(worker), "state", "up")


async def ask(redis_url: str, keys: Keys, sent: str = TOKEN) -> tuple[int, Any]:
    """The report, as the user that ingest has."""
    settings = Settings(prefix=keys.prefix, partitions=keys.partitions, api_token=TOKEN)
    async with (
        running_pipe(as_user(redis_url, "ingest")) as reads,
        serving(settings, routes=ReportApi(reads, settings).routes()) as server,
    ):
        answer = await server.request("GET", PATH, headers={"Authorization": f"Bearer {sent}"})
        return answer.status, answer.json


async def data_of(redis_url: str, keys: Keys) -> dict[str, Any]:
    """What a valid report says of the data."""
    status, report = await ask(redis_url, keys)
    assert status == 200
    jsonschema_rs.validator_for(REPORT).validate(report)
    found: dict[str, Any] = report["data"]
    return found


@pytest.mark.usefixtures("meta")
async def test_backlog_is_told_by_instance(scripts: Scripts, redis_url: str, keys: Keys) -> None:
    """The instance with the most to do first, each with its oldest message."""
    first = (await scripts.append("A"))[1]
    await scripts.append("B")
    await scripts.append("C", instance="clinic")
    data = await data_of(redis_url, keys)
    assert [(one["instance"], one["messages"]) for one in data["instances"]] == [
        (SHOP, 2),
        ("clinic", 1),
    ]
    assert data["instances"][0]["oldest_at"] == first.ms
    assert (data["backlog_messages"], data["instances_left_out"]) == (3, 0)


@pytest.mark.usefixtures("meta")
async def test_orphans_are_found_and_then_reclaimed(
    scripts: Scripts, redis_client: Redis, redis_url: str, keys: Keys
) -> None:
    """What a dead worker has read is an orphan until another takes it over, and counted then."""
    await live(redis_client, keys, "us")
    for name in "ABC":
        await scripts.append(name)
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 2)])
    assert (await data_of(redis_url, keys))["orphans_found"] == 0
    await redis_client.delete(keys.worker("us"))
    data = await data_of(redis_url, keys)
    assert (data["orphans_found"], data["orphans_reclaimed"]) == (2, 0)
    assert data["instances"][0]["orphans"] == 2

    await live(redis_client, keys, "them")
    await scripts.release(epoch)
    epoch = await scripts.acquire(THEM)
    memory = new_memory()
    await rebuild_memory(scripts.them, epoch, memory, METRICS)
    data = await data_of(redis_url, keys)
    assert (data["orphans_found"], data["orphans_reclaimed"]) == (0, 2)
    await rebuild_memory(scripts.them, epoch, new_memory(), METRICS)
    assert (await data_of(redis_url, keys))["orphans_reclaimed"] == 2


@pytest.mark.usefixtures("meta")
async def test_dead_workers_are_counted_once(
    scripts: Scripts, pipe: Pipe, redis_client: Redis, redis_url: str, keys: Keys
) -> None:
    """Whoever strikes one off the list notes it; there is nothing left to note for the next."""
    await redis_client.sadd(keys.workers, "worker-gone", "worker-lost")
    for name in ("worker-a", "worker-b"):
        membership = Membership(pipe, keys, WorkerId(name), lease_ms=6000)
        await membership.beat()
        await membership.survey()
    data = await data_of(redis_url, keys)
    assert data["dead_workers_removed"] == 2
    assert [one["worker"] for one in data["workers"]] == ["worker-a", "worker-b"]


@pytest.mark.usefixtures("meta")
async def test_partitions_name_their_owners(scripts: Scripts, redis_url: str, keys: Keys) -> None:
    """And say so where there is none."""
    (nobody,) = (await data_of(redis_url, keys))["partitions"]
    assert (nobody["owner"], nobody["epoch"]) == (None, None)
    epoch = await scripts.acquire(THEM)
    (owned,) = (await data_of(redis_url, keys))["partitions"]
    assert (owned["partition"], owned["owner"], owned["epoch"]) == (0, "them", epoch)


@pytest.mark.usefixtures("meta")
async def test_api_and_command_say_the_same(
    scripts: Scripts, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what only the command tries: whether Redis is found, and the rights."""
    await scripts.append("A", text="please call me")
    monkeypatch.setenv("INTURN_REDIS_URL", as_user(redis_url, "operator"))
    monkeypatch.setenv("INTURN_PREFIX", keys.prefix)
    monkeypatch.setenv("INTURN_PARTITIONS", str(keys.partitions))
    told = await asyncio.to_thread(CliRunner().invoke, inturn, ["doctor", "--json"])
    assert f'"{ANN}"' not in told.output
    assert "call me" not in told.output
    printed = json.loads(told.output)
    _, answered = await ask(redis_url, keys)
    jsonschema_rs.validator_for(REPORT).validate(printed)
    names = [point["name"] for point in printed["points"]]
    assert names == ["reachable", "rights", *(one["name"] for one in answered["points"])]
    for report in (printed, answered):
        for changing in ("at", "oldest_unfinished_s"):
            report["data"].pop(changing)
    assert printed["data"] == answered["data"]
    assert printed["redis"]["version"] == answered["redis"]["version"]
    assert printed["redis"]["eviction_policy"] == "noeviction"


@pytest.mark.usefixtures("meta")
async def test_the_report_needs_the_token(scripts: Scripts, redis_url: str, keys: Keys) -> None:
    """It names instances: nobody else is told."""
    status, _ = await ask(redis_url, keys, sent="guess")
    assert status == 401


async def test_without_data_the_report_says_so(redis_url: str, keys: Keys) -> None:
    """Before the first start there is nothing to tell, and that is no error."""
    status, report = await ask(redis_url, keys)
    assert (status, report["data"]) == (200, None)
    assert report["redis"]["version"].startswith(("Redis", "Valkey"))
