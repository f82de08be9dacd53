"""The policy ``spool`` beside a real cluster of which one master dies, pauses and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.keys import Keys
from shared.redis_binary import ServerBinary
from tests.support.cluster import RedisCluster
from tests.support.redis_server import DURABLE
from tests.support.spooling import INSTANCE, spooling, stored

PARTITIONS = 8
USERS = [f"user-{number}" for number in range(40)]


@pytest.fixture
def cluster(redis_binary: ServerBinary) -> Iterator[RedisCluster]:
    """Two masters alone, whose data outlive a kill."""
    with RedisCluster(redis_binary, masters=2, replicas=0, options=DURABLE) as made:
        yield made


@pytest.mark.parametrize("fault", ["pause", "kill"])
async def test_one_master_away_delays_its_own_partitions_alone(
    fault: str, cluster: RedisCluster, prefix: str, tmp_path: Path
) -> None:
    """Its messages are spooled, the other's are in Redis at once; all are there in their order."""
    keys = Keys(prefix, PARTITIONS)
    gone = cluster.masters[0]

    def is_hit(user: str) -> bool:
        return cluster_owner[keys.of(INSTANCE, user).number] is gone

    cluster_owner = [cluster.master_of(keys.partition(n).ready) for n in range(PARTITIONS)]
    assert {is_hit(user) for user in USERS} == {True, False}, "void: one master has all"
    async with spooling(cluster.url, keys, tmp_path / "spool") as made:
        for user in USERS:
            assert not await made.send(1, user)
        getattr(gone, fault)()
        for number in (2, 3):
            for user in USERS:
                assert await made.send(number, user) is is_hit(user)
        assert made.spool.messages == 2 * sum(map(is_hit, USERS))
        gone.resume() if fault == "pause" else gone.start()
        await made.online()
        for user in USERS:
            assert not await made.send(4, user)
    found = [one.message_id for one in await stored(cluster.url, keys)]
    for user in USERS:
        own = [one for one in found if one.startswith(f"{user}-")]
        assert own == [f"{user}-{number}" for number in (1, 2, 3, 4)]
