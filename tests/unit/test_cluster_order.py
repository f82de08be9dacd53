"""The order of a slot's commands while it moves, and how a node that gets it is asked."""

from __future__ import annotations

import asyncio

import pytest

from shared.cluster.cluster_pipe import ClusterPipe
from shared.cluster.slots import slot_of
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.node_pipe import BATCH_MAX
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
)
from tests.support.waiting import eventually

QUICK_MS = 1000
"""Where a test waits for a pipe to give up."""


def is_held(pipe: Pipe, key: str) -> bool:
    """Whether what comes for the slot of a key waits."""
    assert isinstance(pipe, ClusterPipe)
    return pipe._lanes[slot_of(key)]._is_held


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


async def look_again(pipe: Pipe, node: FakeNode, key: str) -> None:
    """Have the pipe ask who has which slot, by a command on a key of ``node``."""
    assert isinstance(pipe, ClusterPipe)
    before = pipe._map
    node.says(key.encode(), DOWN)
    with pytest.raises(BrokerRefused):
        await pipe.call("GET", key)
    await eventually(lambda: pipe._map is not before, "a look")


async def test_what_is_on_its_way_to_the_old_node_goes_first() -> None:
    """Another slot's command made the pipe look: what it found overtakes nothing."""
    async with fake_cluster(2) as nodes, pipe_of(*nodes) as pipe:
        a, b = nodes
        mine, others = keys_of_halves()
        share(nodes)
        a.says(b"{%s}1" % mine.encode(), moved(b, mine))
        a.hold()
        first = get(pipe, f"{{{mine}}}1")
        await eventually(lambda: len(a.keys) == 1, "the first at the old node")
        share(nodes, first=1)
        await look_again(pipe, b, others)
        second = get(pipe, f"{{{mine}}}2")
        await pipe.call("GET", others)
        assert set(b.keys) == {others.encode()}
        a.release()
        await asyncio.gather(first, second)
        assert b.keys[-2:] == [b"{%s}%d" % (mine.encode(), number) for number in (1, 2)]


async def test_a_node_that_is_none_any_more_holds_nothing_up() -> None:
    """It hangs, and another has its slots: what it was asked may have run, and nobody waits."""
    async with fake_cluster(2) as nodes, pipe_of(*nodes, timeout_ms=60_000) as pipe:
        a, b = nodes
        mine, others = keys_of_halves()
        share(nodes)
        a.hold()
        first = get(pipe, mine)
        await eventually(lambda: len(a.keys) == 1, "the first at the old node")
        give(nodes, b)
        await look_again(pipe, b, others)
        second = get(pipe, mine)
        await eventually(first.done, "no more waiting for the old node")
        with pytest.raises(BrokerUnavailable) as told:
            await first
        assert not isinstance(told.value, NotConnected)
        assert await second == b"OK"
        assert b.keys[-1] == mine.encode()


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
        mine, others = keys_of_halves()
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
        mine, others = keys_of_halves()
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


async def test_what_waits_behind_does_not_begin_to_wait_when_the_first_gives_up() -> None:
    """Its own time has run meanwhile: it is tried, and told."""
    async with fake_cluster(1) as (a,), pipe_of(a, timeout_ms=QUICK_MS) as pipe:
        for key in (b"{x}1", b"{x}2"):
            a.says(key, *[TRY_AGAIN] * 1000)
        first = get(pipe, "{x}1")
        await eventually(lambda: a.keys != [], "the first")
        await eventually(lambda: is_held(pipe, "x"), "the first to be turned away")
        second = get(pipe, "{x}2")
        for call in (first, second):
            with pytest.raises(BrokerRefused, match="during rehashing"):
                await call
        assert 1 <= a.keys.count(b"{x}2") < a.keys.count(b"{x}1") / 2


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
