"""What a service settles with a real Redis before it begins."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis as Client
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, StartRefused
from shared.preflight import prepare
from shared.redis_binary import ServerBinary
from shared.settings import Settings
from tests.support.cluster import free_pair
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer


async def test_first_start_writes_meta_down(
    pipe: Pipe, redis_client: Redis, prefix: str, redis_binary: ServerBinary
) -> None:
    """The number of partitions, the layout and a log key are kept for all who come later."""
    prepared = await prepare(pipe, Settings(prefix=prefix, partitions=4))
    assert prepared.keys.partitions == 4
    assert prepared.version == redis_binary.version
    assert len(prepared.log_key) == 16
    meta = await redis_client.hgetall(f"{prefix}:meta")
    assert meta == {
        b"partitions": b"4",
        b"layout": b"1",
        b"log_key": prepared.log_key.hex().encode(),
        b"created_at": prepared.created_at.encode(),
    }
    assert await redis_client.ttl(f"{prefix}:meta") == -1


async def test_a_user_who_is_not_let_in_is_told_where_it_is_set(own_redis: RedisServer) -> None:
    """A wrong password names the setting, a missing right the file that has them all."""
    with Client.from_url(own_redis.url) as client:
        client.acl_setuser("few", enabled=True, passwords="+few", commands=["+ping", "+client"])
    for user, password, said in (
        ("few", "wrong", "^INTURN_REDIS_URL: .*invalid username-password"),
        ("few", "few", r"refuses what inturn needs: .* \(deploy/redis/users.acl"),
    ):
        url = f"unix://{own_redis.socket}?username={user}&password={password}"
        async with running_pipe(url) as pipe:
            with pytest.raises(StartRefused, match=said):
                await prepare(pipe, Settings())


async def test_all_who_start_at_once_agree(redis_url: str, prefix: str) -> None:
    """Processes that create the meta at the same moment have one log key."""

    async def start() -> bytes:
        async with running_pipe(redis_url) as pipe:
            return (await prepare(pipe, Settings(prefix=prefix))).log_key

    assert len(set(await asyncio.gather(*(start() for _ in range(5))))) == 1


async def test_other_number_of_partitions_is_refused(pipe: Pipe, prefix: str) -> None:
    """A process that would look for messages where they are not does not start."""
    await prepare(pipe, Settings(prefix=prefix, partitions=4))
    with pytest.raises(StartRefused, match=r"INTURN_PARTITIONS is 8, .* has 4 partitions"):
        await prepare(pipe, Settings(prefix=prefix, partitions=8))


async def test_every_problem_of_the_meta_is_told_at_once(
    pipe: Pipe, redis_client: Redis, prefix: str
) -> None:
    """Layout, partitions and a damaged key are three lines of one refusal."""
    key = f"{prefix}:meta"
    await redis_client.hset(key, mapping={"partitions": "x", "layout": "2", "log_key": "zz"})
    with pytest.raises(StartRefused) as refusal:
        await prepare(pipe, Settings(prefix=prefix))
    assert len(refusal.value.problems) == 3
    assert "reads layout 1" in str(refusal.value)


async def test_key_of_another_type_is_refused(pipe: Pipe, redis_client: Redis, prefix: str) -> None:
    """Where the prefix belongs to another program, waiting would not help."""
    await redis_client.set(f"{prefix}:meta", "theirs")
    with pytest.raises(StartRefused, match="wrong kind of value"):
        await prepare(pipe, Settings(prefix=prefix))


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_evicting_policy_is_refused(own_redis: RedisServer, policy: str) -> None:
    """No service starts where Redis may delete messages or leases, and it leaves no trace."""
    client = Redis.from_url(own_redis.url)
    await client.config_set("maxmemory-policy", policy)
    async with running_pipe(own_redis.url) as pipe:
        with pytest.raises(StartRefused, match=f"maxmemory-policy {policy}"):
            await prepare(pipe, Settings())
    assert await client.dbsize() == 0
    await client.aclose()


async def test_cluster_is_refused(redis_binary: ServerBinary) -> None:
    """A node of a cluster is told apart at once, not by the first MOVED."""
    options = {"cluster-enabled": "yes"}
    with RedisServer(redis_binary, port=free_pair(), options=options) as server:
        async with running_pipe(server.url) as pipe:
            with pytest.raises(StartRefused, match=r"redis\+cluster://"):
                await prepare(pipe, Settings())


async def test_missing_right_is_refused_by_name(own_redis: RedisServer) -> None:
    """A user who may not ask INFO is told so, instead of waiting for ever."""
    client = Redis.from_url(own_redis.url)
    await client.acl_setuser(
        "narrow", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"]
    )
    async with running_pipe(f"{own_redis.url}?username=narrow&password=x") as pipe:
        with pytest.raises(StartRefused, match="info"):
            await prepare(pipe, Settings())
    await client.aclose()


async def test_full_redis_is_no_reason_not_to_start_again(own_redis: RedisServer) -> None:
    """A worker that is to drain a full Redis starts; the first start there has to wait."""
    client = Redis.from_url(own_redis.url)
    async with running_pipe(own_redis.url) as pipe:
        first = await prepare(pipe, Settings())
        await client.config_set("maxmemory", "1")
        assert (await prepare(pipe, Settings())).log_key == first.log_key
        with pytest.raises(BrokerRefused) as refusal:
            await prepare(pipe, Settings(prefix="other"))
        assert refusal.value.code == "OOM"
    await client.aclose()


async def test_unreachable_redis_is_for_the_caller_to_try_again(own_redis: RedisServer) -> None:
    """No answer is no refusal: the service waits and tries again."""
    own_redis.kill()
    async with running_pipe(own_redis.url) as pipe:
        with pytest.raises(BrokerUnavailable):
            await prepare(pipe, Settings())
