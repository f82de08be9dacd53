"""What an ingest process says of itself while it keeps messages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ingest.forgets import Forgets
from ingest.keeping import keeping_in_spool
from shared.connect import open_pipe
from shared.errors import SpoolUnavailable
from shared.keys import Keys
from shared.metrics import IngestMetrics, InstanceLabels
from shared.preflight import Prepared
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.disk_spool import files_limited_to
from tests.support.redis_server import RedisServer
from tests.support.spooling import message


async def test_where_neither_redis_nor_the_disk_keeps_anything_both_are_told(
    redis_binary: ServerBinary, keys: Keys, tmp_path: Path
) -> None:
    """What ``/readyz`` says has why the spool, too, takes nothing."""
    settings, metrics = Settings(spool_dir=tmp_path), IngestMetrics(InstanceLabels(1))
    found: asyncio.Future[Prepared] = asyncio.get_running_loop().create_future()
    with RedisServer(redis_binary, options={"maxmemory": "1"}) as server:
        async with open_pipe(server.url, timeout_ms=5000, name="test") as pipe:
            forgets = Forgets(pipe, keys, tmp_path)

            async def check() -> str | None:
                return pytest.fail("the appender knows what is wrong")

            async with keeping_in_spool(
                settings, server.url, keys, metrics, check, found, forgets
            ) as (appender, health, instead):
                full = "command not allowed when used memory > 'maxmemory'"
                assert await health() == f"{full}."
                assert instead() == "messages are kept in the spool"
                with files_limited_to(64 * 1024), pytest.raises(SpoolUnavailable):
                    await appender.append([message(1, text="x" * 70_000)])
                assert await health() == f"{full}; the spool cannot be written: File too large"
                assert instead() is None
