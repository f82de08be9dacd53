"""What a worker asks of Redis while there is nothing to do."""

from __future__ import annotations

from redis.asyncio import Redis

from tests.support.deployment import deployment
from tests.support.waiting import eventually

PER_PARTITION = ("hgetall", "sscan", "xpending", "evalsha")


async def test_an_audit_of_nothing_asks_no_partition(
    redis_url: str, prefix: str, redis_client: Redis
) -> None:
    """Two commands tell that no partition holds a record or a stream, and that is all."""
    async with (
        deployment(redis_url, prefix, partitions=4, lease_ms=60_000, reclaim_idle_ms=1000) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(4)
        key = shop.keys.worker(worker.worker.id)
        await eventually(lambda: shop.redis.hexists(key, "doing"), "what it has in hand, told")
        before = await calls(redis_client)

        async def has_audited() -> bool:
            return (await calls(redis_client)).get("exists", 0) - before.get("exists", 0) >= 4

        await eventually(has_audited, "two audits")
        after = await calls(redis_client)
        asked = {name: after.get(name, 0) - before.get(name, 0) for name in PER_PARTITION}
        assert asked == dict.fromkeys(PER_PARTITION, 0)


async def calls(client: Redis) -> dict[str, int]:
    """How often each command was run so far."""
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
