"""Where a cluster's pipe sends commands when slots move and nodes go, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.broker_errors import NO_CLUSTER, is_outage
from shared.cluster import cluster_pipe
from shared.cluster.cluster_pipe import ClusterPipe
from shared.cluster.slots import slot_of
from shared.connect import Pipe, blocking_pipe_to, open_pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.node_pipe import BATCH_MAX
from shared.service import in_background
from tests.support.fake_cluster import (
    DOWN,
    TRY_AGAIN,
    FakeNode,
    ask,
    fake_cluster,
    give,
    moved,
    share,
    url_of,
)
from tests.support.waiting import eventually

QUICK_MS = 100
"""Where a test waits for a pipe to give up."""


@asynccontextmanager
async def pipe_of(*nodes: FakeNode, timeout_ms: int = 10_000) -> AsyncIterator[Pipe]:
    """A pipe to these."""
    async with open_pipe(url_of(nodes), timeout_ms=timeout_ms, name="test") as pipe:
        yield pipe


def get(pipe: Pipe, key: str) -> asyncio.Future[bytes]:
    """A call that is on its way."""
    return asyncio.ensure_future(pipe.call("GET", key))


def is_held(pipe: Pipe, key: str) -> bool:
    """Whether what comes for the slot of a key waits."""
    assert isinstance(pipe, ClusterPipe)
    return pipe._lanes[slot_of(key)]._is_held


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


async def test_commands_of_a_slot_that_moves_keep_their_order() -> None:
    """What came later waits until all that was sent before it is settled, and follows it."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        await pipe.call("GET", "{x}0")
        a.says(b"{x}1", moved(b, "x"))
        a.says(b"{x}2", moved(b, "x"))
        a.hold()
        calls = [get(pipe, f"{{x}}{number}") for number in (1, 2)]
        await eventually(lambda: len(a.keys) == 3, "both at the old node")
        a.release(1)
        await eventually(lambda: is_held(pipe, "x"), "the first to be sent elsewhere")
        calls.append(get(pipe, "{x}3"))
        a.release()
        assert await asyncio.gather(*calls) == [b"OK"] * 3
        assert b.keys == [b"{x}1", b"{x}2", b"{x}3"]


async def test_one_that_was_executed_is_not_sent_again() -> None:
    """The slot was back when the second came: it has its answer; the third waits for the first."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        await pipe.call("GET", "{x}0")
        a.says(b"{x}1", moved(b, "x"))
        a.hold()
        calls = [get(pipe, f"{{x}}{number}") for number in (1, 2)]
        await eventually(lambda: len(a.keys) == 3, "both at the old node")
        b.hold()
        a.release()
        await eventually(lambda: b.keys == [b"{x}1"], "the first at the new node")
        calls.append(get(pipe, "{x}3"))
        assert await calls[1] == b"OK"
        assert b.keys == [b"{x}1"]
        b.release()
        assert await asyncio.gather(*calls) == [b"OK"] * 3
        assert a.keys == [b"{x}0", b"{x}1", b"{x}2"]
        assert b.keys == [b"{x}1", b"{x}3"]


async def test_other_slots_are_not_held() -> None:
    """Only the slot that has a command under way waits."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        a.says(b"x", moved(b, "x"))
        b.hold()
        waiting = get(pipe, "x")
        await eventually(lambda: b.keys == [b"x"], "the command at the new node")
        assert slot_of("x") != slot_of("y")
        assert await pipe.call("GET", "y") == b"OK"
        b.release()
        await waiting


async def test_ask_is_followed_once() -> None:
    """With ASKING right before it; the next command goes where the slot still is."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        a.says(b"x", ask(b, "x"))
        assert await pipe.call("GET", "x") == b"OK"
        assert b.got == [[b"ASKING"], [b"GET", b"x"]]
        await pipe.call("GET", "x")
        assert len(b.got) == 2
        assert a.keys == [b"x", b"x"]


async def test_ask_is_for_one_time() -> None:
    """Turned away by the node that gets the slot, a command begins where the slot still is."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        a.says(b"x", ask(b, "x"))
        b.says(b"x", TRY_AGAIN)
        await pipe.call("GET", "x")
        assert a.keys == [b"x", b"x"]
        assert b.keys == [b"x"]


async def test_nobody_asks_for_who_was_cancelled() -> None:
    """ASKING would let through what follows it instead."""
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        a, b = nodes
        share(nodes)
        mine, others = _keys_of_halves()
        a.says(mine.encode(), ask(b, mine))
        a.hold()
        waiting = get(pipe, mine)
        await eventually(lambda: a.keys == [mine.encode()], "the command at the old node")
        waiting.cancel()
        a.release()
        await pipe.call("GET", mine)
        await pipe.call("GET", others)
        assert b.got == [[b"GET", others.encode()]]


async def test_no_batch_ends_between_asking_and_what_it_is_for() -> None:
    """Were the connection lost there, the node would refuse what follows."""
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        a, b = nodes
        share(nodes)
        mine, others = _keys_of_halves()
        b.hold()
        calls = [get(pipe, others)]
        await eventually(lambda: len(b.got) == 1, "a batch on its way")
        calls += [get(pipe, others) for _ in range(BATCH_MAX - 1)]
        a.says(mine.encode(), ask(b, mine))
        await asyncio.gather(*(pipe.call("GET", f"{{{mine}}}{n}") for n in range(3)))
        calls.append(get(pipe, mine))
        await eventually(lambda: is_held(pipe, mine), "the command to be sent elsewhere")
        b.release(1)
        await eventually(lambda: len(b.got) > 1, "the next batch")
        await eventually(lambda: b.keys[-1:] == [mine.encode()], "all of that batch")
        b.release()
        await asyncio.gather(*calls)
        assert b.got[-2:] == [[b"ASKING"], [b"GET", mine.encode()]]


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


async def test_try_again_is_repeated_with_what_is_behind_it_held() -> None:
    """A slot on its way refuses what names keys of both nodes, until it has arrived."""
    async with fake_cluster(1) as (a,), pipe_of(a) as pipe:
        a.says(b"{x}1", *[TRY_AGAIN] * 3)
        await asyncio.gather(pipe.call("GET", "{x}1"), pipe.call("GET", "{x}2"))
        # the two left together; what comes while the first is repeated waits for it
        assert a.keys == [b"{x}1", b"{x}2", b"{x}1", b"{x}1", b"{x}1"]
        a.says(b"{x}1", TRY_AGAIN)
        a.hold()
        first = get(pipe, "{x}1")
        await eventually(lambda: len(a.keys) == 6, "the first")
        a.release(1)
        await eventually(lambda: len(a.keys) == 7, "the first once more")
        second = get(pipe, "{x}3")
        a.release()
        assert [await first, await second] == [b"OK", b"OK"]
        assert a.keys[5:] == [b"{x}1", b"{x}1", b"{x}3"]


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
        mine, others = _keys_of_halves()
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


async def test_nodes_are_not_stormed_for_who_has_which_slot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many commands fail, the next look comes after a pause."""
    monkeypatch.setattr(cluster_pipe, "LOOK_S", 600.0)
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


def _keys_of_halves() -> tuple[str, str]:
    """A key of the first half of the slots, and one of the second."""
    names = [f"k{number}" for number in range(100)]
    first = next(name for name in names if slot_of(name) < 8192)
    return first, next(name for name in names if slot_of(name) >= 8192)


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
        give([a], None)
        with pytest.raises(BrokerRefused) as refused:
            await pipe.call("GET", "x")
        assert refused.value.code == "CLUSTERDOWN"
        assert a.got == []


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


async def test_who_was_cancelled_holds_nothing_up() -> None:
    """A command that was dropped before it left is no command under way."""
    async with fake_cluster(2) as (a, b), pipe_of(a) as pipe:
        await pipe.call("GET", "x")
        waiting = get(pipe, "{x}dropped")
        await asyncio.sleep(0)
        waiting.cancel()
        a.says(b"x", moved(b, "x"))
        assert await pipe.call("GET", "x") == b"OK"
        assert b"{x}dropped" not in a.keys + b.keys


async def test_what_is_held_when_the_pipe_ends_is_told() -> None:
    """Also what waits for a node to be found, and who waits for the servers."""
    async with fake_cluster(2) as (a, b):
        async with pipe_of(a) as pipe:
            a.says(b"{x}1", moved(b, "x"))
            b.hold()
            held = [get(pipe, "{x}1")]
            await eventually(lambda: b.keys == [b"{x}1"], "the first at the new node")
            held += [get(pipe, "{x}2")]
            await asyncio.sleep(0)
        for each in held:
            with pytest.raises(BrokerUnavailable):
                await each
        with pytest.raises(BrokerUnavailable):
            await pipe.call("GET", "x")
        with pytest.raises(BrokerUnavailable):
            await pipe.servers()
        assert b.keys == [b"{x}1"]


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


async def test_what_names_no_key_is_asked_of_the_nodes() -> None:
    """Of each that has slots, or of the one that has a key."""
    async with fake_cluster(3) as nodes, pipe_of(*nodes) as pipe:
        a, b, c = nodes
        share(nodes)
        assert await pipe.call_everywhere("PING") == [b"OK", b"OK"]
        assert sorted(await pipe.servers()) == sorted(f"127.0.0.1:{n.port}" for n in (a, b))
        _, others = _keys_of_halves()
        await pipe.call_at(others, "TIME")
        assert b.got[-1] == [b"TIME"]
        assert c.got == []
        assert pipe.together(["{x}1", "y", "{x}2"]) == [["{x}1", "{x}2"], ["y"]]
