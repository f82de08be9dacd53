"""A cluster of real servers: slots that move, users, replicas, and what is published."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from consumer.bells import Bells, bells_on
from shared.cluster.slots import slot_of
from shared.connect import Pipe, blocking_pipe_to, open_pipe
from shared.durability import Durability
from shared.errors import NotDurable, StartRefused
from shared.notices import Notices
from shared.preflight import prepare
from shared.redis_binary import ServerBinary
from shared.scripts import Script
from shared.service import in_background
from shared.settings import Settings
from tests.support.cluster import RedisCluster, ask
from tests.support.pipes import running_pipe
from tests.support.redis_server import RedisServer
from tests.support.redis_users import write_users
from tests.support.slot_moves import SlotMove, move_slot_of
from tests.support.waiting import eventually

BOTH = Script("both", "return redis.call('MGET', KEYS[1], KEYS[2])", "0" * 40)
"""Names two keys; under a hash that no server knows."""


@pytest.fixture(scope="module")
def cluster(
    redis_binary: ServerBinary, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisCluster]:
    """With the shipped users; the last test kills one of its nodes."""
    users = write_users(tmp_path_factory.mktemp("users"), redis_binary.version)
    with RedisCluster(redis_binary, options={"aclfile": str(users)}) as made:
        yield made


@pytest.fixture
async def pipe(cluster: RedisCluster) -> AsyncIterator[Pipe]:
    """A way to it."""
    async with running_pipe(cluster.url) as running:
        yield running


def move_of(cluster: RedisCluster, key: str) -> SlotMove:
    """The slot of ``key``, about to go to another master."""
    source = cluster.master_of(key)
    target = next(server for server in cluster.masters if server is not source)
    return SlotMove(cluster, slot_of(key), target)


def count_of(cluster: RedisCluster, code: str) -> int:
    """How often the masters have refused a command with ``code``."""
    said = [ask(server, "INFO", "errorstats").decode() for server in cluster.masters]
    found = [re.search(rf"errorstat_{code}:count=(\d+)", text) for text in said]
    return sum(int(match[1]) for match in found if match)


async def test_a_slot_that_has_moved_is_found(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """By the first command that meets its old node; in the order of the calls."""
    key = f"{{{prefix}}}:n"
    await pipe.call("INCR", key)
    await asyncio.to_thread(move_slot_of, cluster, key, move_of(cluster, key).target)
    assert await asyncio.gather(*(pipe.call("INCR", key) for _ in range(100))) == [*range(2, 102)]


async def test_what_is_sent_while_a_slot_moves_keeps_its_order(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """There and back again, with commands under way all the time: none is lost, twice or late."""
    key = f"{{{prefix}}}:list"
    await pipe.call("RPUSH", key, 0)
    moved_before = count_of(cluster, "MOVED")
    ends = [cluster.master_of(key), move_of(cluster, key).target]
    calls: list[asyncio.Future[int]] = []

    def move_about() -> None:
        for number in range(1, 7):
            move_slot_of(cluster, key, ends[number % 2])

    moving = asyncio.create_task(asyncio.to_thread(move_about))
    while not moving.done():
        number = len(calls) + 1
        calls.append(asyncio.ensure_future(pipe.call("RPUSH", key, number)))
        await asyncio.sleep(0 if number % 20 else 0.001)
    await moving
    assert await asyncio.gather(*calls) == [number + 2 for number in range(len(calls))]
    kept = await pipe.call("LRANGE", key, 0, -1)
    assert [int(value) for value in kept] == [*range(len(calls) + 1)]
    assert count_of(cluster, "MOVED") > moved_before, "void: nothing was sent elsewhere"


async def test_a_slot_on_its_way_is_asked_at_both_ends(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """What has gone over, or is new, is at the target; the rest where it was."""
    gone, stays = (f"{{{prefix}}}:{name}" for name in ("gone", "stays"))

    async def count_all() -> list[int]:
        counting = (pipe.call("INCR", key) for key in (gone, stays, f"{{{prefix}}}:new"))
        return list(await asyncio.gather(*counting))

    await asyncio.gather(pipe.call("SET", gone, 1), pipe.call("SET", stays, 1))
    move = move_of(cluster, gone)
    move.begin()
    move.keys([gone])
    assert await count_all() == [2, 2, 1]
    there = ask(move.source, "CLUSTER", "GETKEYSINSLOT", move.slot, 10)
    assert there == [stays.encode()]
    move.end()
    assert await count_all() == [3, 3, 2]


async def test_a_script_waits_for_keys_that_are_on_their_way(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """Its keys are on two nodes, and neither runs it; once they are together it has its answer."""
    one, other = f"{{{prefix}}}:1", f"{{{prefix}}}:2"
    await asyncio.gather(pipe.call("SET", one, "a"), pipe.call("SET", other, "b"))
    move = move_of(cluster, one)
    move.begin()
    move.keys([one])
    before = count_of(cluster, "TRYAGAIN")
    waiting = asyncio.ensure_future(pipe.script(BOTH, (one, other), ()))
    await eventually(lambda: count_of(cluster, "TRYAGAIN") > before, "a script turned away")
    await asyncio.to_thread(move.end)
    assert await waiting == [b"a", b"b"]


async def test_a_bell_is_heard_where_its_slot_has_gone(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """A read blocks on the old node while the slot moves; nothing of ours stays there."""
    bell = f"{{{prefix}}}:bell"
    await pipe.call("XADD", bell, "*", "r", 1)
    move = move_of(cluster, bell)

    def blocked_on(server: RedisServer) -> int:
        return _clients(server).count("inturn-moving")

    blocking = blocking_pipe_to(cluster.url, name="moving")
    async with in_background(bell=blocking.run()), asyncio.TaskGroup() as group:
        bells = bells_on(blocking, group)
        assert await bells.wait([bell]) == {bell: None}
        hearing = group.create_task(_until_rung(bells, bell))
        await eventually(lambda: blocked_on(move.source) == 1, "a read that blocks")
        await asyncio.to_thread(move_slot_of, cluster, bell, move.target)
        await pipe.call("XADD", bell, "*", "instance", "shop")
        assert await hearing == "shop"
        await eventually(lambda: blocked_on(move.source) == 0, "no connection to the old node")


async def _until_rung(bells: Bells, bell: str) -> str | None:
    while not (rung := await bells.wait([bell])):
        pass
    return rung[bell]


def _clients(server: RedisServer) -> list[str]:
    return re.findall(r" name=(\S+)", ask(server, "CLIENT", "LIST").decode())


async def test_a_service_finds_a_cluster_fit(cluster: RedisCluster, prefix: str) -> None:
    """By user and password, at every durability that all masters can keep."""
    url = f"{cluster.url}?username=ingest&password=ingest"
    async with running_pipe(url) as pipe:
        found = await prepare(pipe, Settings(prefix=prefix, durability="replicas:1"))
        assert found.keys.partitions == Settings().partitions
        with pytest.raises(StartRefused) as refused:
            await prepare(pipe, Settings(prefix=prefix, durability="fsync"))
    assert len(refused.value.problems) == 3, "each master is named"
    async with running_pipe(f"{cluster.url}?username=ingest&password=wrong") as pipe:
        with pytest.raises(StartRefused, match="invalid username-password"):
            await prepare(pipe, Settings(prefix=prefix))


async def test_one_node_is_not_taken_for_the_whole(cluster: RedisCluster, prefix: str) -> None:
    """The URL of a node is refused with the form that is right."""
    async with running_pipe(cluster.masters[0].url) as pipe:
        with pytest.raises(StartRefused, match=r"redis\+cluster://"):
            await prepare(pipe, Settings(prefix=prefix))


async def test_one_server_is_not_taken_for_a_cluster(
    redis_binary: ServerBinary, prefix: str
) -> None:
    """Waiting does not make it one."""
    with RedisServer(redis_binary, on_port=True) as alone:
        async with running_pipe(f"redis+cluster://127.0.0.1:{alone.port}") as pipe:
            with pytest.raises(StartRefused, match="no node of a Redis Cluster"):
                await prepare(pipe, Settings(prefix=prefix))


async def test_replicas_are_waited_for_on_each_node(cluster: RedisCluster, prefix: str) -> None:
    """WAIT speaks of the writes of its own node: one whose replica is silent promises nothing."""
    keys = [f"{prefix}:{number}" for number in range(30)]
    masters = {key: cluster.master_of(key) for key in keys}
    assert len(set(masters.values())) == 3
    durability = Durability.parse("replicas:1")
    async with open_pipe(cluster.url, timeout_ms=4000, name="test", durability=durability) as pipe:
        assert await asyncio.gather(*(pipe.call("SET", key, 1) for key in keys)) == [b"OK"] * 30
        alone = masters[keys[0]]
        (silent,) = cluster.replicas_of(alone)
        silent.pause()
        try:
            calls = [pipe.call("SET", key, 2) for key in keys]
            answers = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            silent.resume()
    for key, answer in zip(keys, answers, strict=True):
        is_durable = answer == b"OK"
        assert is_durable or isinstance(answer, NotDurable)
        assert is_durable == (masters[key] is not alone)
    await asyncio.to_thread(cluster.wait_until_whole)


async def test_what_is_published_is_heard_though_a_node_goes(
    cluster: RedisCluster, pipe: Pipe, prefix: str
) -> None:
    """From whichever node: the listener goes to another one, and looks again."""
    channel, wanted = f"{prefix}:tickets", asyncio.Event()
    heard: list[bytes] = []
    begun: list[int] = []
    wanted.set()
    notices = Notices(
        cluster.url,
        channel,
        timeout_ms=2000,
        name="notices",
        wanted=wanted,
        on_notice=heard.append,
        on_begin=lambda: begun.append(1),
    )

    def listening() -> list[RedisServer]:
        return [s for s in cluster.nodes if s.is_running() and _listens(s, channel)]

    async with in_background(notices=notices.run()):
        await eventually(lambda: begun, "a listener")
        ask(cluster.masters[0], "PUBLISH", channel, "a")
        ask(cluster.masters[1], "PUBLISH", channel, "b")
        await eventually(lambda: sorted(heard) == [b"a", b"b"], "what two nodes published")
        (server,) = listening()
        server.kill()
        await eventually(lambda: len(begun) > 1, "a listener at another node")
        other = next(s for s in cluster.masters if s.is_running())
        ask(other, "PUBLISH", channel, "c")
        await eventually(lambda: b"c" in heard, "what was published since")


def _listens(server: RedisServer, channel: str) -> bool:
    return bool(ask(server, "PUBSUB", "NUMSUB", channel)[1])
