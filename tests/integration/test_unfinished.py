"""What is unfinished in a partition, found at the cost of its active streams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from shared import unfinished
from shared.keys import GROUP, Keys
from shared.redis_binary import ServerBinary
from shared.scripts import Script
from shared.unfinished import Unfinished
from tests.support.partition_scripts import SHOP, THEM, US, Scripts, partition_scripts
from tests.support.redis_server import RedisServer

IDLE = [f"idle {number}" for number in range(1000)]
"""More than Redis keeps in a list: of a SET in a table SSCAN gives about as many as asked for."""


@pytest.fixture
def look(scripts: Scripts) -> Unfinished:
    """Of one who looks again and again."""
    return Unfinished(scripts.pipe, scripts.p)


async def have_idle_streams(scripts: Scripts) -> None:
    """Of a thousand instances whose messages are all finished."""
    async with scripts.client.pipeline(transaction=False) as pipe:
        for instance in IDLE:
            stream = scripts.p.stream(instance)
            pipe.xgroup_create(stream, GROUP, "0", mkstream=True)
        pipe.sadd(scripts.p.streams, *IDLE)
        await pipe.execute()


async def count(look: Unfinished, scripts: Scripts) -> int:
    """As a survey does it, which asks for the bell first."""
    messages, oldest_at = await look.count((await scripts.bell()).encode())
    assert (oldest_at is None) == (messages == 0)
    return messages


def streams_of_scripts(scripts: Scripts) -> list[int]:
    """How many streams each script is given from now on, after ``pending``."""
    counts: list[int] = []
    run = scripts.pipe.script

    async def noting(script: Script, keys: Sequence[Any], args: Sequence[Any]) -> Any:
        if script.name == "survey":
            counts.append(len(keys) - 1)
        return await run(script, keys, args)

    scripts.pipe.script = noting  # type: ignore[method-assign]
    return counts


async def test_idle_streams_are_not_looked_at_again(
    scripts: Scripts, look: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a first look a busy partition costs its active streams, and a slice of the others."""
    monkeypatch.setattr(unfinished, "OTHERS_PER_LOOK", 20)
    await have_idle_streams(scripts)
    await scripts.append("A")
    await scripts.append("B", instance="clinic")
    epoch = await scripts.acquire()
    looked_at = streams_of_scripts(scripts)
    assert await count(look, scripts) == 2
    assert sum(looked_at) == len(IDLE) + 2
    for unread in (2, 1, 0):
        looked_at.clear()
        assert await count(look, scripts) == 2
        assert 2 <= sum(looked_at) <= 2 + 5 * 20
        if unread:
            await scripts.read(epoch, [((SHOP, "clinic")[unread - 1], 10)])
    assert (await scripts.us.peek()).unread == ()


async def test_what_was_read_counts_until_it_is_finished(
    scripts: Scripts, look: Unfinished
) -> None:
    """Whoever read it, also when that worker is dead and another has taken over."""
    epoch = await scripts.acquire(THEM)
    await scripts.append("A")
    await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert await named(scripts) == {SHOP}
    await scripts.client.delete(scripts.p.lease)
    epoch = await scripts.acquire(US)
    await scripts.us.claim(epoch, SHOP, b"0-0", 10)
    assert await count(look, scripts) == 1
    assert await named(scripts) == {SHOP}


async def test_finished_stream_is_named_no_more_and_an_append_names_it_again(
    scripts: Scripts, look: Unfinished
) -> None:
    """A look that finds it empty takes it out; then nothing is asked until the bell rings."""
    _, window = await scripts.window_in_hand("A")
    assert await count(look, scripts) == 1
    await scripts.finish(window)
    assert await named(scripts) == {SHOP}
    assert await count(look, scripts) == 0
    assert await named(scripts) == set()
    assert await count(look, scripts) == 0
    looked_at = streams_of_scripts(scripts)
    assert await count(look, scripts) == 0
    assert looked_at == []
    await scripts.append("B")
    assert await count(look, scripts) == 1


async def test_empty_stream_that_is_to_be_read_is_looked_at_each_time(
    scripts: Scripts, look: Unfinished
) -> None:
    """An append to what is in ``ready`` rings nothing."""
    epoch = await scripts.acquire()
    await scripts.append("A")
    await scripts.read(epoch, [(SHOP, 10)])
    await scripts.append("B")
    await scripts.client.xtrim(scripts.p.stream(SHOP), maxlen=0)
    assert await count(look, scripts) == 0
    await scripts.append("C")
    assert await count(look, scripts) == 1
    await scripts.read(epoch, [(SHOP, 10)])
    assert await count(look, scripts) == 1


async def test_stream_that_nothing_names_is_found_in_turn_and_kept_in_sight(
    scripts: Scripts, look: Unfinished, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who adds to a stream, and says it to nobody, is found all the same."""
    monkeypatch.setattr(unfinished, "OTHERS_PER_LOOK", 20)
    await have_idle_streams(scripts)
    await scripts.append("A")
    assert await count(look, scripts) == 1
    await scripts.client.xadd(scripts.p.stream(IDLE[7]), {"m": "x"})
    assert 2 in [await count(look, scripts) for _ in range(2 * len(IDLE) // 20)]
    assert [await count(look, scripts) for _ in range(5)] == [2] * 5
    await scripts.client.xtrim(scripts.p.stream(IDLE[7]), maxlen=0)
    assert await count(look, scripts) == 1


async def test_first_look_finds_what_was_read_before_streams_were_named(
    scripts: Scripts, look: Unfinished
) -> None:
    """A process older than ``pending`` has left entries that nothing names."""
    epoch = await scripts.acquire()
    await have_idle_streams(scripts)
    await scripts.append("A")
    await scripts.read(epoch, [(SHOP, 10)])
    await scripts.client.delete(scripts.p.pending)
    assert [await count(look, scripts) for _ in range(3)] == [1, 1, 1]


async def test_look_that_may_write_nothing_is_as_true(
    redis_binary: ServerBinary, prefix: str
) -> None:
    """A Redis that takes no writes tells what is unfinished; names are taken out afterwards."""
    keys = Keys(prefix, 1).partition(0)
    with RedisServer(redis_binary) as server:
        async with partition_scripts(server.url, keys) as scripts:
            look = Unfinished(scripts.pipe, keys)
            _, window = await scripts.window_in_hand("A")
            await scripts.finish(window)
            await scripts.client.config_set("min-replicas-to-write", 1)
            assert [await count(look, scripts) for _ in range(2)] == [0, 0]
            assert await named(scripts) == {SHOP}
            await scripts.client.config_set("min-replicas-to-write", 0)
            assert await count(look, scripts) == 0
            assert await named(scripts) == set()


async def named(scripts: Scripts) -> set[str]:
    """What ``ready`` and ``pending`` name."""
    names = await scripts.client.zunion([scripts.p.ready, scripts.p.pending])
    return {name.decode() for name in names}
