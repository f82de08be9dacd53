"""Where a cluster's pipe sends commands when slots move and nodes go."""

from __future__ import annotations

import asyncio

import pytest

from shared.broker_errors import NO_CLUSTER, is_outage
from shared.cluster import looks as pauses
from shared.cluster.slots import slot_of
from shared.connect import Pipe, blocking_pipe_to
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.service import in_background
from tests.support.fake_cluster import (
    DOWN,
    TRY_AGAIN,
    FakeNode,
    ask,
    fake_cluster,
    get,
    give,
    keys_of_halves,
    moved,
    pipe_of,
    share,
    url_of,
)
from tests.support.waiting import eventually

QUICK_MS = 1000
"""Where a test waits for a pipe to give up."""


async def test_moved_is_followed_and_remembered() -> None:
    """The command runs on the node that was named, and the next one goes there at once."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        a.says(b"x", moved(b, "x"))
        assert await pipe.call("GET", "x") == b"OK"
        assert a.keys == b.keys == [b"x"]
        give([a, b], b)
        await pipe.call("GET", "x")
        assert b.keys == [b"x", b"x"]


async def test_moved_without_a_host_means_the_one_that_says_so() -> None:
    """A node that does not know its own address names a port alone."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        a.says(b"x", moved(b, "x", host=""))
        await pipe.call("GET", "x")
        assert b.keys == [b"x"]


async def test_a_node_without_slots_is_left() -> None:
    """Its connection is closed once nothing is on its way there."""
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        a, b = nodes
        await pipe.call("GET", "x")
        await eventually(lambda: a.connections == 1, "the pipe's connection alone")
        give(nodes, b)
        a.says(b"x", moved(b, "x"))
        await pipe.call("GET", "x")
        await eventually(lambda: a.connections == 0, "no connection to the old node")
        assert await pipe.call("GET", "x") == b"OK"


@pytest.mark.parametrize("code", ["TRYAGAIN", "MOVED", "ASK"])
async def test_what_does_not_end_is_an_outage(code: str) -> None:
    """Told when an answer would have been given up; certainly not executed."""
    async with fake_cluster(1) as (a,), pipe_of(a, timeout_ms=QUICK_MS) as pipe:
        told = {"TRYAGAIN": TRY_AGAIN, "MOVED": moved(a, "x"), "ASK": ask(a, "x")}[code]
        a.says(b"x", *[told] * 1000)
        with pytest.raises(BrokerRefused) as refused:
            await pipe.call("GET", "x")
        assert refused.value.code == code
        assert is_outage(refused.value)
        assert await pipe.call("GET", "{x}y") == b"OK"


async def test_cluster_down_is_told_at_once_and_the_map_asked_anew() -> None:
    """Waiting is the caller's; who has which slot may have changed."""
    async with fake_cluster(2) as (a, b), pipe_of(a, b) as pipe:
        await pipe.call("GET", "x")
        looks = a.looks + b.looks
        a.says(b"x", DOWN)
        give([a, b], b)
        with pytest.raises(BrokerRefused, match="not served"):
            await pipe.call("GET", "x")
        await eventually(lambda: a.looks + b.looks > looks, "a look")
        await eventually(lambda: _goes_to(pipe, b), "a command at the new node")


async def _goes_to(pipe: Pipe, node: FakeNode) -> bool:
    await pipe.call("GET", "x")
    return b"x" in node.keys


async def test_a_node_that_is_gone_concerns_its_slots_alone() -> None:
    """Nothing was sent to it; what another has is answered; its slots are found again elsewhere."""
    async with fake_cluster(3) as nodes, pipe_of(*nodes) as pipe:
        a, b, c = nodes
        share(nodes)
        mine, others = keys_of_halves()
        await asyncio.gather(pipe.call("GET", mine), pipe.call("GET", others))
        await a.close()
        with pytest.raises(BrokerUnavailable):
            await pipe.call("GET", mine)
        with pytest.raises(NotConnected):
            await pipe.call("GET", mine)
        assert await pipe.call("GET", others) == b"OK"
        give([b, c], c)

        async def is_found() -> bool:
            try:
                await pipe.call("GET", mine)
            except NotConnected:
                return False
            return mine.encode() in c.keys

        await eventually(is_found, "the slot at another node")


async def test_what_is_beside_a_key_goes_with_its_slots() -> None:
    """All that one node has, or that nobody is known to have; it follows what is found out."""
    mine, others = keys_of_halves()
    keys = [mine, others]
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        share(nodes)
        assert pipe.beside(mine, keys) == keys, "who has what was not asked yet"
        await pipe.call("GET", mine)
        assert pipe.beside(mine, keys) == [mine]
        assert pipe.beside(others, keys) == [others]
        nodes[1].says(others.encode(), moved(nodes[0], others))
        await pipe.call("GET", others)
        assert pipe.beside(mine, keys) == keys


async def test_nodes_are_not_stormed_for_who_has_which_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many commands fail, the next look comes after a pause."""
    monkeypatch.setattr(pauses, "LOOK_S", 600.0)
    async with fake_cluster(2) as (a, b), pipe_of(a, b) as pipe:
        await pipe.call("GET", "x")
        looks = a.looks + b.looks
        await a.close()
        for _ in range(20):
            failed = await asyncio.gather(
                *(pipe.call("GET", f"k{number}") for number in range(10)), return_exceptions=True
            )
            assert all(isinstance(each, BrokerUnavailable) for each in failed)
        assert a.looks + b.looks == looks


async def test_what_was_sent_without_an_answer_may_have_run() -> None:
    """A node that hangs: not that nothing was sent."""
    async with fake_cluster(1) as (a,), pipe_of(a, timeout_ms=QUICK_MS) as pipe:
        await pipe.call("GET", "x")
        a.hold()
        with pytest.raises(BrokerUnavailable) as told:
            await pipe.call("GET", "x")
        assert not isinstance(told.value, NotConnected)


async def test_a_slot_that_nobody_has_is_told() -> None:
    """An outage; nothing was sent."""
    async with fake_cluster(1) as (a,), pipe_of(a) as pipe:
        give([a])
        with pytest.raises(BrokerRefused) as refused:
            await pipe.call("GET", "x")
        assert refused.value.code == "CLUSTERDOWN"
        assert a.got == []


async def test_a_cluster_that_has_no_slots_yet_has_no_servers_to_ask() -> None:
    """Else a service would start with nothing checked; when it is made, it is found."""
    async with fake_cluster(1) as (a,), pipe_of(a) as pipe:
        give([a])
        for _ in range(2):
            with pytest.raises(BrokerRefused) as refused:
                await pipe.servers()
            assert refused.value.code == "CLUSTERDOWN"
        give([a], a)
        assert list(await pipe.servers()) == [f"127.0.0.1:{a.port}"]


async def test_no_node_answers() -> None:
    """Nothing was sent, said within the time of an answer; later it works."""
    async with fake_cluster(1) as (a,):
        await a.close()
        async with pipe_of(a) as pipe:
            with pytest.raises(NotConnected):
                await pipe.call("GET", "x")
            with pytest.raises(NotConnected):
                await pipe.servers()
            await a.open()

            async def is_answered() -> bool:
                try:
                    return bool(await pipe.call("GET", "x") == b"OK")
                except NotConnected:
                    return False

            await eventually(is_answered, "an answer")


async def test_a_server_that_is_no_cluster_says_so() -> None:
    """A code of its own: waiting does not mend it."""
    async with fake_cluster(1) as (a,), pipe_of(a) as pipe:
        a.refusal = b"-ERR This instance has cluster support disabled\r\n"
        with pytest.raises(BrokerRefused) as refused:
            await pipe.call("GET", "x")
        assert refused.value.code == NO_CLUSTER


async def test_what_cannot_be_routed_is_a_mistake_that_is_named() -> None:
    """Nothing is sent of it."""
    async with fake_cluster(1) as (a,), pipe_of(a) as pipe:
        with pytest.raises(ValueError, match="FLUSHALL"):
            await pipe.call("FLUSHALL")
        with pytest.raises(ValueError, match="EXISTS names keys of several slots"):
            await pipe.call("EXISTS", "x", "y")
        with pytest.raises(ValueError, match="EVAL names no key"):
            await pipe.call("EVAL", "return 1", 0)
        assert a.got == []


async def test_reads_that_block_do_not_wait_for_each_other() -> None:
    """A connection of its own for each slot, to the same node."""
    async with fake_cluster(1) as (a,):
        pipe = blocking_pipe_to(url_of([a]), name="bell")
        async with in_background(bell=pipe.run()):
            a.hold()
            first = get(pipe, "x")
            await eventually(lambda: a.keys == [b"x"], "the first read")
            second = get(pipe, "y")
            await eventually(lambda: a.keys == [b"x", b"y"], "both reads")
            a.release()
            await asyncio.gather(first, second)


async def test_a_connection_for_one_slot_goes_with_it() -> None:
    """To another node, though the old one still has other slots."""
    async with fake_cluster(2) as nodes:
        a, b = nodes
        pipe = blocking_pipe_to(url_of(nodes), name="bell")
        async with in_background(bell=pipe.run()):
            await pipe.call("GET", "x")
            await eventually(lambda: a.connections + b.connections == 1, "the slot's connection")
            share(nodes, first=slot_of("x"))
            a.says(b"x", moved(b, "x"))
            await pipe.call("GET", "x")
            await eventually(
                lambda: (a.connections, b.connections) == (0, 1), "one at the new node"
            )


async def test_a_connection_for_one_slot_is_left() -> None:
    """With a read that blocks on it; another slot's stays, and the next read has a new one."""
    async with fake_cluster(1) as (a,):
        pipe = blocking_pipe_to(url_of([a]), name="bell")
        async with in_background(bell=pipe.run()):
            await pipe.call("GET", "y")
            a.hold()
            blocking = get(pipe, "x")
            await eventually(lambda: a.keys[-1:] == [b"x"], "the read")
            await eventually(lambda: a.connections == 2, "two connections")
            blocking.cancel()
            pipe.leave("x")
            await eventually(lambda: a.connections == 1, "the other slot's connection")
            a.release()
            assert await pipe.call("GET", "x") == b"OK"


async def test_what_names_no_key_is_asked_of_the_nodes() -> None:
    """Of each that has slots, or of the one that has a key."""
    async with fake_cluster(3) as nodes, pipe_of(*nodes) as pipe:
        a, b, c = nodes
        share(nodes)
        assert await pipe.call_everywhere("PING") == [b"OK", b"OK"]
        assert sorted(await pipe.servers()) == sorted(f"127.0.0.1:{n.port}" for n in (a, b))
        _, others = keys_of_halves()
        await pipe.call_at(others, "TIME")
        assert b.got[-1] == [b"TIME"]
        assert c.got == []
        assert pipe.together(["{x}1", "y", "{x}2"]) == [["{x}1", "{x}2"], ["y"]]


async def test_batches_are_told_of_every_node() -> None:
    """To whoever listens now."""
    sizes: list[int] = []
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        share(nodes)
        await pipe.call("GET", "x")
        pipe.on_batch = sizes.append
        await pipe.call_each([("GET", key) for key in keys_of_halves()])
        assert sizes == [1, 1]
