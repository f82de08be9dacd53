"""What the tests of the scripts share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.keys import Keys
from tests.support.partition_scripts import Scripts, partition_scripts


@pytest.fixture
async def scripts(redis_url: str, prefix: str) -> AsyncIterator[Scripts]:
    """One partition's scripts on the shared server, under a prefix of the test's own."""
    async with partition_scripts(redis_url, Keys(prefix, 1).partition(0)) as found:
        yield found
