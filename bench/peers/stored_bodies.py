"""What the programs of the Python peers have in common."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from redis.asyncio import Redis

STREAM, GROUP = "messages", "workers"


def arguments() -> tuple[str, list[bytes]]:
    """The Redis to use, and the bodies to store there: the lines of a file."""
    url, path = sys.argv[1:]
    return url, Path(path).read_bytes().splitlines()


async def acknowledged(client: Redis) -> None:
    """Wait for the last acknowledgement, which comes after the last handler's end."""
    while (await client.xpending(STREAM, GROUP))["pending"]:  # noqa: ASYNC110  Redis has it
        await asyncio.sleep(0.001)


def tell(handled: int, began_s: float) -> None:
    """Say how many were handled, and in how many seconds."""
    sys.stdout.write(f"handled {handled} in {time.perf_counter() - began_s:.6f} s\n")
