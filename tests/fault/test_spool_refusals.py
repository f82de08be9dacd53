"""F10 with real ingest services: full disks and other data refuse, and nothing spooled is left."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared.keys import Keys
from tests.support.redis_server import RedisServer
from tests.support.senders import INSTANCE, Senders, assert_kept, found
from tests.support.service_process import ServiceProcess
from tests.support.shared_spool import PARTITIONS, ask_ready, drained
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(120)


async def test_ingest_of_other_data_refuses_and_keeps(
    durable_redis: RedisServer, spool_settings: dict[str, Any], prefix: str, tmp_path: Path
) -> None:
    """Messages of a service with a wrong number of partitions wait for the right one."""
    async with ServiceProcess("ingest", tmp_path, spool_settings):
        pass
    durable_redis.kill()
    wrong = ServiceProcess("ingest", tmp_path, {**spool_settings, "partitions": PARTITIONS + 1})
    async with wrong:
        senders = Senders()
        senders.start([wrong])
        await eventually(lambda: senders.spooled > 50, "a spool that fills")
        durable_redis.start()
        assert await wrong.ended() == 2
        assert "INTURN_PARTITIONS" in wrong.log.read_text()
        async with ServiceProcess("ingest", tmp_path, spool_settings) as right:
            wrong.port, wrong.url = right.port, right.url
            await senders.end()
            await drained([right], tmp_path / "spool")
    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)


async def test_messages_in_the_spool_are_told_where_nobody_replays(
    durable_redis: RedisServer, spool_settings: dict[str, Any], tmp_path: Path
) -> None:
    """After a change to ``reject`` the start says that something is left, and how to replay it."""
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        durable_redis.kill()
        senders = Senders()
        senders.start([ingest])
        await eventually(lambda: senders.spooled > 10, "a spool that fills")
        await senders.end()
    durable_redis.start()
    async with ServiceProcess(
        "ingest", tmp_path, {**spool_settings, "on_outage": "reject"}
    ) as rejecting:
        assert '"event":"spool.left"' in rejecting.log.read_text()
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        await drained([ingest], tmp_path / "spool")


def limit_files(ingest: ServiceProcess, size_bytes: int) -> None:
    """No file of the process may grow beyond: EFBIG, where a full disk says ENOSPC."""
    _, hard = resource.prlimit(ingest.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(ingest.pid, resource.RLIMIT_FSIZE, (size_bytes, hard))


async def test_full_disks_refuse_and_resume_by_themselves(
    durable_redis: RedisServer, spool_settings: dict[str, Any], prefix: str, tmp_path: Path
) -> None:
    """F10: with Redis away and the spool's disk full 503, and 2xx again when there is room."""
    async with ServiceProcess("ingest", tmp_path, spool_settings) as ingest:
        senders = Senders()
        senders.start([ingest])
        await eventually(lambda: senders.accepted > 50, "messages in health")
        limit_files(ingest, 0)
        accepted = senders.accepted
        await eventually(lambda: senders.accepted > accepted + 50, "Redis needs no spool")
        durable_redis.kill()
        await eventually(lambda: senders.refused > 50, "refusals")
        status, body = await ask_ready(ingest)
        assert (status, body["status"]) == (503, "unavailable")
        assert "no answer from Redis" in body["error"]["message"]
        assert "the spool cannot be written" in body["error"]["message"]
        limit_files(ingest, resource.RLIM_INFINITY)
        await eventually(lambda: senders.spooled > 100, "a spool that fills")
        limit_files(ingest, 0)
        durable_redis.start()
        accepted = senders.accepted
        await eventually(lambda: senders.accepted > accepted + 50, "messages in health")
        await senders.end()
        await drained([ingest], tmp_path / "spool")
    assert_kept(await found(durable_redis.url, Keys(prefix, PARTITIONS)), senders.sent)


async def test_what_people_wrote_is_nowhere_but_in_the_spool(
    durable_redis: RedisServer, spool_settings: dict[str, Any], tmp_path: Path
) -> None:
    """Phone numbers, texts and names of users: not in logs, metrics or names of files."""
    secrets = ("4915112345678", "my pin is 7391", "Mallory")
    async with ServiceProcess(
        "ingest", tmp_path, {**spool_settings, "log_level": "debug"}
    ) as ingest:
        durable_redis.kill()
        async with aiohttp.ClientSession() as session:
            body = {"instance": INSTANCE, "user": secrets[0], "text": secrets[1]}
            body["message_id"] = secrets[2]
            async with session.post(f"{ingest.url}/api/v1/messages", json=body) as answer:
                assert (await answer.json())["accepted"][0]["spooled"]
            async with session.get(f"{ingest.url}/metrics") as answer:
                metrics = await answer.text()
        [file] = (tmp_path / "spool").glob("*/*.spool")
        assert all(secret.encode() in file.read_bytes() for secret in secrets)
        names = " ".join(str(path) for path in (tmp_path / "spool").rglob("*"))
        for place in (metrics, names, ingest.log.read_text()):
            assert not [secret for secret in secrets if secret in place]
