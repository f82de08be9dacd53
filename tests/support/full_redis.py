"""A partition's scripts on a Redis whose memory a test uses up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import OutOfMemoryError

from shared.keys import PartitionKeys
from tests.support.partition_scripts import Scripts, partition_scripts


@asynccontextmanager
async def scripts_to_fill(url: str, p: PartitionKeys) -> AsyncIterator[Scripts]:
    """Before the memory runs out; there is some again afterwards."""
    async with partition_scripts(url, p) as found:
        yield found
        await found.client.config_set("maxmemory", 0)


async def fill(scripts: Scripts) -> None:
    """From here on, Redis refuses whatever may need memory."""
    await scripts.client.config_set("maxmemory", 1)
    with pytest.raises(OutOfMemoryError):
        await scripts.client.set("anything", "x")
