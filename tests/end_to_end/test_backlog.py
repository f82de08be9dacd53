"""``BACKLOG_LIMIT`` on a running ingest: refused while nobody works, taken when somebody does."""

from __future__ import annotations

from pathlib import Path

import aiohttp

from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

LIMIT = 10


async def test_a_backlog_refuses_and_a_consumer_ends_it(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """503 ``backlog_full`` with ``Retry-After`` from the limit on; 202 once it was worked off."""
    settings = {
        "redis_url": redis_url,
        "prefix": prefix,
        "backlog_limit": LIMIT,
        "max_wait_ms": 50,
        "partitions": 2,
    }
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        aiohttp.ClientSession() as session,
    ):

        async def send() -> int:
            body = {"instance": "shop", "user": "ann", "text": "hi"}
            async with session.post(f"{ingest.url}/api/v1/messages", json=body) as answer:
                if answer.status == 503:
                    assert (await answer.json())["error"]["code"] == "backlog_full"
                    assert int(answer.headers["Retry-After"]) > 0
                return answer.status

        assert [await send() for _ in range(LIMIT + 2)] == [202] * LIMIT + [503] * 2
        assert await ingest.metric("requests_refused_total", reason="backlog_full") == 2
        async with ServiceProcess("consumer", tmp_path, settings):

            async def is_taken() -> bool:
                return await send() == 202

            await eventually(is_taken, "a message that is taken", 20.0)
