"""The way to a primary through real Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis import Redis

from shared.errors import BrokerUnavailable, NotConnected
from shared.redis_binary import ServerBinary
from shared.sentinel import PrimaryView, choose_primary
from tests.support.pipes import running_pipe
from tests.support.redis_server import free_port
from tests.support.sentinel import NAME, SentinelDeployment
from tests.support.waiting import eventually

SECRET = "s3cr3t-of-the-servers"


@pytest.fixture(scope="module")
def deployed(redis_binary: ServerBinary) -> Iterator[SentinelDeployment]:
    """One primary, one replica, three Sentinels; nobody fails over here but the last test."""
    with SentinelDeployment(redis_binary, replicas=1) as made:
        yield made


async def port_of(url: str) -> int:
    """The server that a pipe of ``url`` reaches."""
    async with running_pipe(url, timeout_ms=2000) as pipe:
        _, port = await pipe.call("CONFIG", "GET", "port")
    return int(port)


async def test_the_primary_is_found(deployed: SentinelDeployment) -> None:
    """By its name, in the database of the path."""
    assert await port_of(deployed.url) == deployed.primary.port
    async with running_pipe(f"{deployed.url}/2") as pipe:
        assert b" db=2 " in await pipe.call("CLIENT", "LIST")


async def test_sentinels_that_are_gone_or_silent_hold_nobody_up(
    deployed: SentinelDeployment,
) -> None:
    """One that refuses, one that does not answer and one that does: the primary is found."""
    silent, living = deployed.sentinels[:2]
    places = f"127.0.0.1:{free_port()},127.0.0.1:{silent.port},127.0.0.1:{living.port}"
    primary = deployed.primary
    silent.pause()
    try:
        assert await port_of(f"redis+sentinel://{places}/{NAME}") == primary.port
    finally:
        silent.resume()


async def test_a_name_that_no_sentinel_knows_is_told(deployed: SentinelDeployment) -> None:
    """With the name, and with no password."""
    url = deployed.url.replace("://", f"://me:{SECRET}@").replace(NAME, "nobody")
    async with running_pipe(url, timeout_ms=2000) as pipe:
        with pytest.raises(NotConnected) as caught:
            await pipe.call("PING")
    assert "no primary nobody" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_no_sentinel_answers() -> None:
    """Said within the time of a connection, and nothing was sent."""
    async with running_pipe(f"redis+sentinel://127.0.0.1:{free_port()}/{NAME}") as pipe:
        with pytest.raises(NotConnected):
            await pipe.call("PING")


async def test_what_says_of_itself_that_it_is_a_replica_is_not_used(
    deployed: SentinelDeployment,
) -> None:
    """Sentinels name a primary of yesterday for a while: it would throw away what it takes."""
    primary = deployed.primary
    other = next(s for s in (deployed.servers.primary, *deployed.servers.replicas) if s != primary)
    with Redis.from_url(primary.url, protocol=2) as client:
        async with running_pipe(deployed.url, timeout_ms=2000) as pipe:
            client.replicaof("127.0.0.1", other.port)
            try:
                with pytest.raises(NotConnected, match="is a replica"):
                    await pipe.call("PING")
            finally:
                client.replicaof("NO", "ONE")


async def test_a_primary_of_yesterday_is_left_as_soon_as_one_pipe_knows(
    redis_binary: ServerBinary,
) -> None:
    """One that the Sentinels cannot tell so goes on as a primary, and answers whom it knows."""
    with SentinelDeployment(redis_binary) as deployed:
        old = deployed.primary
        async with running_pipe(deployed.url, timeout_ms=60_000) as early:
            await early.call("CONFIG", "SET", "maxclients", 1)  # no Sentinel can come back
            old.pause()
            await asyncio.to_thread(deployed.wait_for_failover, old)
            old.resume()
            assert await early.call("CONFIG", "GET", "port") == [b"port", b"%d" % old.port]
            assert (await early.call("ROLE"))[0] == b"master", "void: it was told"

            new = await port_of(deployed.url)
            assert new != old.port
            with pytest.raises(NotConnected, match="another server"):
                await early.call("SET", "lost", 1)
            assert await early.call("CONFIG", "GET", "port") == [b"port", b"%d" % new]


async def test_a_pipe_follows_a_failover(deployed: SentinelDeployment) -> None:
    """The primary is killed: the pipe reaches the next one by itself, and it takes writes."""
    old = deployed.primary
    async with running_pipe(deployed.url, timeout_ms=1000) as pipe:
        await pipe.call("SET", "before", 1)
        old.kill()
        deployed.wait_for_failover(old)

        async def is_written() -> bool:
            try:
                return bool(await pipe.call("SET", "after", 1) == b"OK")
            except BrokerUnavailable:
                return False

        await eventually(is_written, "a write on the new primary", 20.0)
        _, port = await pipe.call("CONFIG", "GET", "port")
    assert int(port) != old.port


def view(port: int, config_epoch: int, *, is_down: bool = False) -> PrimaryView:
    """What some Sentinel says."""
    return PrimaryView(host="h", port=port, config_epoch=config_epoch, is_down=is_down)


@pytest.mark.parametrize(
    "views, port",
    [
        ([], None),
        ([view(1, 0)], 1),
        ([view(1, 4), view(2, 5), view(1, 4)], 2),
        ([view(1, 4), view(2, 5, is_down=True)], None),
        ([view(2, 5, is_down=True), view(2, 5)], 2),
    ],
)
def test_the_newest_configuration_is_followed(views: list[PrimaryView], port: int | None) -> None:
    """A Sentinel that was cut off names the old primary, and is not believed."""
    found = choose_primary(views)

    assert (found.port if found else None) == port
