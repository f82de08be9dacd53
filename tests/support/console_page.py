"""The console in the browser of somebody who has the token, and a service that it is of."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Page
from redis import Redis

from shared.keys import Keys
from tests.support.browser import DESK, TOKEN, Visitors
from tests.support.clients import look_now
from tests.support.console import enter_console
from tests.support.service_process import ServiceProcess
from tests.support.undecided import bury, hold

PARTITIONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """An ingest without a worker: what is decided is seen, and stays as it is."""

    url: str
    visitors: Visitors
    client: Redis
    keys: Keys

    def bury(self, error: str, user: str, **more: str) -> str:
        """A dead letter; its id."""
        return bury(self.client, self.keys, error, user, **more)

    def hold(self, why: str, user: str, **more: str) -> str:
        """A reply that waits for a person; its id."""
        return hold(self.client, self.keys, why, user, **more)

    def lengths(self, part: str) -> int:
        """How many entries there are of a kind, over all partitions."""
        numbers = range(self.keys.partitions)
        return sum(self.client.xlen(getattr(self.keys.partition(n), part)) for n in numbers)

    def handed_over(self, instance: str = "shop") -> int:
        """Windows that wait in the instance's streams."""
        numbers = range(self.keys.partitions)
        return sum(self.client.xlen(self.keys.partition(n).stream(instance)) for n in numbers)

    async def enter(self, view: str, size: tuple[int, int] = DESK, **options: str) -> Page:
        """Somebody opens a view and logs in."""
        return await enter_console(self.visitors, view, size, **options)


@asynccontextmanager
async def console_of(browser: Browser, redis_url: str, folder: Path) -> AsyncIterator[Console]:
    """A service with data of its own; no browser may complain of its pages."""
    prefix = f"test-console-{uuid.uuid4().hex[:8]}"
    settings = {
        "redis_url": redis_url,
        "prefix": prefix,
        "partitions": PARTITIONS,
        "api_token": TOKEN,
    }
    async with ServiceProcess("ingest", folder, settings) as ingest:
        visitors = Visitors(browser, ingest.url)
        with look_now(redis_url) as client:
            yield Console(
                url=ingest.url, visitors=visitors, client=client, keys=Keys(prefix, PARTITIONS)
            )
        await visitors.leave()
        assert visitors.unannounced() == []
