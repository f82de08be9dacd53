"""``inturn doctor`` on a real cluster that gets worse, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ops.cli import inturn
from shared.redis_binary import ServerBinary
from tests.support.clients import look_now
from tests.support.cluster import RedisCluster, ask
from tests.support.redis_server import DURABLE
from tests.support.waiting import wait_until

PARTITIONS = 16


@pytest.fixture
def cluster(redis_binary: ServerBinary) -> Iterator[RedisCluster]:
    """Three masters with a replica each, with data of sixteen partitions and a worker on all."""
    with RedisCluster(redis_binary, options=DURABLE) as made:
        with look_now(made.url) as client:
            meta = {"partitions": PARTITIONS, "layout": 1, "log_key": "00" * 16}
            client.hset("inturn:meta", mapping=meta)
            client.sadd("inturn:workers", "worker-a")
            client.hset("inturn:worker:worker-a", "state", "up")
            for number in range(PARTITIONS):
                client.hset(f"inturn:{{{number}}}:lease", "owner", "worker-a")
        yield made


def report() -> tuple[int, dict[str, Any], dict[str, dict[str, str]]]:
    """Of ``inturn doctor --json``: its exit code, all of it, and the points by name."""
    result = CliRunner().invoke(inturn, ["doctor", "--json"])
    told = json.loads(result.output)
    return result.exit_code, told, {point["name"]: point for point in told["points"]}


@pytest.mark.timeout(120)
def test_cluster_that_gets_worse(
    cluster: RedisCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    All well; a master that does nothing; one without a replica; one that is gone: each is told by
    its place, and of the other masters what there is to tell.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTURN_REDIS_URL", cluster.url)

    code, told, points = report()
    assert (code, {point["verdict"] for point in points.values()}) == (0, {"ok"})
    assert points["cluster"]["says"].startswith("16 partitions on 3 masters: ")
    assert sorted(n for node in told["nodes"] for n in node["partitions"]) == list(range(16))
    assert len(told["nodes"]) == 3
    with look_now(cluster.url) as client:
        assert not list(client.scan_iter("*doctor*"))

    idle = cluster.add_master()
    code, _, points = report()
    assert (code, points["cluster"]["verdict"]) == (0, "warn")
    assert f"127.0.0.1:{idle.port} does nothing" in points["cluster"]["costs"]

    lost, replica = cluster.masters[0], cluster.replicas[0]
    replica.kill()
    wait_until(lambda: report()[2]["replicas"]["verdict"] == "warn", "a replica that is missed", 30)
    assert report()[2]["replicas"]["says"] == f"no replica follows 127.0.0.1:{lost.port}"

    lost.kill()
    code, told, points = report()
    assert (code, points["reachable"]["verdict"]) == (1, "fail")
    assert f"127.0.0.1:{lost.port}" in points["reachable"]["says"]
    assert points["version"]["verdict"] == "ok"
    assert [node["redis"] is None for node in told["nodes"]].count(True) == 1
    wait_until(lambda: report()[2]["cluster"]["verdict"] == "fail", "slots that are missed", 30)
    assert (
        "slots are served by nobody; in them are the partitions" in report()[2]["cluster"]["says"]
    )
    assert ask(lost, "PING") is None
