"""A user is forgotten by the services as they run: two machines' disks, a worker, one request."""

from __future__ import annotations

from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Spooled, encode_spooled
from shared.keys import Keys
from tests.support.everywhere import ANA
from tests.support.raw_contents import raw_contents
from tests.support.service_process import ServiceProcess
from tests.support.spooling import INSTANCE, message
from tests.support.waiting import eventually


async def test_one_request_reaches_every_disk(
    redis_url: str, prefix: str, tmp_path: Path, redis_client: Redis
) -> None:
    """Both ingest processes have erased what theirs held, and no line of a log names the user."""
    folders = [tmp_path / "one", tmp_path / "two"]
    records = [set_aside(folder, prefix) for folder in folders]
    heeded = Keys(prefix, 1).heeded
    settings = {"redis_url": redis_url, "prefix": prefix, "max_wait_ms": 60_000}
    async with (
        ServiceProcess("ingest", folders[0], settings) as ingest,
        ServiceProcess("ingest", folders[1], settings) as other,
        ServiceProcess("consumer", tmp_path, settings) as consumer,
        aiohttp.ClientSession() as session,
    ):
        services = (ingest, other, consumer)

        async def have_asked() -> bool:
            return await redis_client.hlen(heeded) == 2

        await eventually(have_asked, "two ingest processes that ask")
        url = f"http://127.0.0.1:{ingest.port}/api/v1"
        message = {"instance": INSTANCE, "user": ANA, "text": "secret"}
        async with session.post(f"{url}/messages", json=message) as answer:
            assert answer.status == 202
        whose = {"instance": INSTANCE, "user": ANA}
        async with session.post(f"{url}/forget", json=whose) as answer:
            told = await answer.json()
        assert told["forgotten"]["messages"] == 1
        assert told["ingest"] == {"heeded": 2, "awaited": [], "silent": []}
        assert [b"secret" in record.read_bytes() for record in records] == [False, False]
        found = await raw_contents(redis_client, prefix)
        assert [key for key, raw in found.items() if ANA.encode() in raw or b"secret" in raw] == []
        assert [await service.stop() for service in services] == [0, 0, 0]
        assert not any(ANA in service.log.read_text() for service in services)
        assert await redis_client.exists(heeded) == 0


def set_aside(folder: Path, prefix: str) -> Path:
    """A message that Redis refused for its own sake once, in a dead process's folder."""
    root = folder / "spool"
    root.mkdir(parents=True)
    held = HeldFolder.create(root, prefix)
    held.set_aside(encode_spooled(Spooled(message=message(1, ANA, "secret"), at=1)))
    held.release()
    return held.path / "refused"
