"""Ingest services that share a spool: what waits in it, and whether they are ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp

from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

PARTITIONS = 4


def sharing_a_spool(redis_url: str, prefix: str, folder: Path) -> dict[str, Any]:
    """The settings of ingest services in ``folder``."""
    return {
        "redis_url": redis_url,
        "prefix": prefix,
        "partitions": PARTITIONS,
        "spool_dir": folder / "spool",
    }


def spooled_files(spool: Path) -> list[Path]:
    """What waits on the disk, of any process."""
    return list(spool.glob("*/*.spool"))


async def drained(ingests: list[ServiceProcess], spool: Path) -> None:
    """Wait until every spool is empty."""

    async def is_so() -> bool:
        left = [await ingest.metric("spool_messages") for ingest in ingests]
        return not any(left) and not spooled_files(spool)

    await eventually(is_so, "empty spools", 30.0)


async def ready_status(ingest: ServiceProcess) -> tuple[int, str]:
    """What ``/readyz`` says."""
    status, body = await ask_ready(ingest)
    return status, body["status"]


async def ask_ready(ingest: ServiceProcess) -> tuple[int, Any]:
    """What ``/readyz`` says, all of it."""
    url = f"{ingest.url}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()
