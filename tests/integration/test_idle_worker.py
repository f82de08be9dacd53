"""What a worker asks of Redis while there is nothing to do."""

from __future__ import annotations

from redis.asyncio import Redis

from shared.connect import Pipe
from shared.keys import conversation_field
from shared.mutes import Mutes
from tests.support.deployment import deployment
from tests.support.waiting import eventually

PER_PARTITION = ("hgetall", "sscan", "xpending", "evalsha")


async def test_an_audit_of_nothing_asks_no_partition(
    redis_url: str, prefix: str, redis_client: Redis
) -> None:
    """Three commands tell that no partition holds anything, and that is all."""
    async with (
        deployment(redis_url, prefix, partitions=4, lease_ms=60_000, reclaim_idle_ms=1000) as shop,
        shop.worker() as worker,
    ):
        await worker.owns(4)
        key = shop.keys.worker(worker.worker.id)
        await eventually(lambda: shop.redis.hexists(key, "doing"), "what it has in hand, told")
        before = await calls(redis_client)

        async def has_audited() -> bool:
            return (await calls(redis_client)).get("exists", 0) - before.get("exists", 0) >= 6

        await eventually(has_audited, "two audits")
        after = await calls(redis_client)
        asked = {name: after.get(name, 0) - before.get(name, 0) for name in PER_PARTITION}
        assert asked == dict.fromkeys(PER_PARTITION, 0)


async def test_what_is_over_goes_where_nothing_comes_any_more(
    redis_url: str, prefix: str, pipe: Pipe
) -> None:
    """Old rows of the journal, and who was muted; what is within its time stays."""
    async with deployment(redis_url, prefix, partitions=1, reclaim_idle_ms=80) as shop:
        keys, mutes = shop.keys.partition(0), Mutes(pipe, shop.keys)
        await shop.redis.xadd(keys.journal, {"what": "old"}, id="1-1")
        await shop.redis.xadd(keys.journal, {"what": "new"})
        await mutes.mute("shop", "ann", 60_000)
        await mutes.mute("shop", "bob", 1)

        async def is_trimmed() -> bool:
            rows = [row["what"] for row in await shop.journal()]
            muted = await shop.redis.zrange(keys.muted, 0, -1)
            return (rows, muted) == (["new"], [conversation_field("shop", "ann")])

        assert not await is_trimmed()
        async with shop.worker():
            await eventually(is_trimmed, "what is over to be gone")


async def calls(client: Redis) -> dict[str, int]:
    """How often each command was run so far."""
    stats = await client.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}
