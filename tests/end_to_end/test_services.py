"""``inturn ingest`` and ``inturn consumer``, each alone."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.service_process import ServiceProcess


async def test_each_service_says_that_it_runs_and_ends_in_order(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """Its log begins with where it listens, or who it is; SIGTERM ends it with exit code 0."""
    settings = {"redis_url": redis_url, "prefix": prefix}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        ServiceProcess("consumer", tmp_path, settings) as consumer,
    ):
        ingest_line, consumer_line = (
            json.loads(service.log.read_text().splitlines()[0]) for service in (ingest, consumer)
        )
        assert (ingest_line["event"], ingest_line["port"]) == ("ingest.started", ingest.port)
        assert consumer_line["event"] == "worker.started"
        assert (await ingest.stop(), await consumer.stop()) == (0, 0)
