"""``DURABILITY`` as the services keep it: what is answered, and whether they start."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis import Redis

from shared.redis_binary import ServerBinary
from tests.support.redis_server import ROOT, RedisServer, free_port
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.service_process import ServiceProcess, environment
from tests.support.waiting import eventually

ANSWER_WITHIN_S = 2.0


async def post(service: ServiceProcess, message_id: str) -> tuple[int, dict[str, Any], float]:
    """One message: status, what was accepted, seconds."""
    body = {"instance": "shop", "user": "ann", "text": "hi", "message_id": message_id}
    began_s = time.monotonic()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{service.url}/api/v1/messages", json=body) as answer,
    ):
        found = await answer.json()
        accepted = found["accepted"][0] if answer.status == 202 else {}
        return answer.status, accepted, time.monotonic() - began_s


async def why_not_ready(service: ServiceProcess) -> str:
    """What ``/readyz`` says of a service that is not."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{service.url}/readyz") as answer,
    ):
        assert answer.status == 503
        return str((await answer.json())["error"]["message"])


@pytest.mark.parametrize("on_outage", ["spool", "reject"])
async def test_a_message_that_no_replica_has_is_kept_elsewhere_or_refused(
    redis_binary: ServerBinary, prefix: str, tmp_path: Path, on_outage: str
) -> None:
    """While the replica stands still: the spool, or 503, within 2 s; afterwards one entry each."""
    with ReplicatedRedis(redis_binary) as made:
        settings = {
            "redis_url": made.url,
            "prefix": prefix,
            "durability": "replicas:1",
            "on_outage": on_outage,
            "spool_dir": tmp_path / "spool",
        }
        async with ServiceProcess("ingest", tmp_path, settings) as ingest:

            async def is_in_redis(message_id: str) -> bool:
                status, accepted, _ = await post(ingest, message_id)
                return status == 202 and not accepted["spooled"]

            # a replica that was kept from the CPU has no say in 0.4 s, and is no fault yet
            await eventually(lambda: is_in_redis("M1"), "an append that a replica has", 20.0)
            made.replicas[0].pause()
            status, accepted, took_s = await post(ingest, "M2")
            assert took_s < ANSWER_WITHIN_S
            assert status == (202 if on_outage == "spool" else 503)
            assert accepted.get("spooled", True)
            if on_outage == "reject":
                assert "replicas" in await why_not_ready(ingest)
            made.replicas[0].resume()
            await eventually(lambda: is_in_redis("M3"), "an append that a replica has", 20.0)
            status, accepted, _ = await post(ingest, "M2")
            assert (status, accepted["duplicate"]) == (202, True)
            with Redis.from_url(made.url, protocol=2) as client:
                streams = list(client.scan_iter(f"{prefix}:*:stream:shop"))
                assert sum(client.xlen(name) for name in streams) == 3


@pytest.mark.parametrize("service", ["ingest", "consumer"])
def test_a_service_does_not_start_where_nothing_is_synced(
    redis_binary: ServerBinary, prefix: str, tmp_path: Path, service: str
) -> None:
    """Exit 2, and the setting is named with what is to be done; whatever ``ON_OUTAGE`` says."""
    with RedisServer(redis_binary) as server:
        env = environment(
            redis_url=server.url,
            prefix=prefix,
            durability="fsync",
            port=free_port(),
            consumer_port=free_port(),
            spool_dir=tmp_path / "spool",
        )
        ended = subprocess.run(
            [sys.executable, "-m", service],
            cwd=ROOT,
            env=env,
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 2
    assert b"INTURN_DURABILITY is fsync, but appendonly is off" in ended.stderr
