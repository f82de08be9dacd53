"""What was deleted leaves Redis's memory, too, where it would stay for long."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.connect import Pipe
from shared.forget.partition import REWRITE_BYTES, REWRITE_ENTRIES
from shared.keys import GROUP, Keys
from shared.redis_binary import ServerBinary
from shared.scripts import load_script
from tests.support.everywhere import ANA, BEN, forget, leave_everywhere
from tests.support.journey import INSTANCE, Journey, begin_journey
from tests.support.pipes import running_pipe
from tests.support.raw_contents import raw_contents
from tests.support.redis_server import RedisServer


async def test_no_byte_is_left_in_redis_memory(redis_binary: ServerBinary) -> None:
    """Nor in a snapshot: what XDEL deletes stays in its stream's page by itself."""
    with RedisServer(redis_binary, options={"rdbcompression": "no"}) as server:
        keys = Keys("inturn", 1)
        async with running_pipe(server.url) as pipe, Redis.from_url(server.url) as client:
            ben = await begin_journey(pipe, keys, BEN)
            await leave_everywhere(ben)
            await finish_all(ben)
            journey = ben.of(ANA)
            await leave_everywhere(journey)
            before = await raw_contents(client, keys.prefix)
            assert any(f'"{ANA}"'.encode() in dump for dump in await dumps(client))

            await forget(pipe, keys)

            named = [dump for dump in await dumps(client) if f'"{ANA}"'.encode() in dump]
            assert named == []
            after = await raw_contents(client, keys.prefix)
            p = keys.partition(0)
            for key in (p.outbox, p.dead):
                assert 0 < len(after[key]) < len(before[key])
                [row] = (await pipe.call("XREVRANGE", key, "+", "-", "COUNT", 1)) or [None]
                info = await client.xinfo_stream(key)
                assert info["last-generated-id"] > row[0]


async def finish_all(journey: Journey) -> None:
    """The user has no message left in the stream."""
    record = (await journey.store.running())[0][(INSTANCE, journey.user)]
    await journey.start_again()
    await journey.be_silent()
    assert journey.window is not None
    assert record.ids == tuple(entry.id for entry in journey.window.entries)
    await journey.start(1)
    await journey.be_silent()


async def dumps(client: Redis) -> list[bytes]:
    """Every key as Redis would write it down."""
    return [await client.dump(key) or b"" async for key in client.scan_iter(count=1000)]


@pytest.mark.parametrize("entries, size", [(1001, 1), (3, 1 << 20)])
async def test_a_large_stream_is_not_written_anew(
    journey: Journey, pipe: Pipe, keys: Keys, entries: int, size: int
) -> None:
    """Redis would answer nobody meanwhile; it is left as it is."""
    dead = keys.of(INSTANCE, ANA).dead
    for number in range(entries):
        await pipe.call("XADD", dead, f"1-{number + 1}", "m", "x" * size)
    assert await rewrite(pipe, dead) == 0
    assert await pipe.call("XLEN", dead) == entries


async def test_a_stream_that_a_group_reads_is_not_written_anew(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """Its pending entries would be nobody's."""
    await journey.say("a")
    await journey.read()
    stream = keys.of(INSTANCE, ANA).stream(INSTANCE)
    assert await rewrite(pipe, stream) == 0
    assert await rewrite(pipe, "test-nowhere") == 0
    assert (await pipe.call("XPENDING", stream, GROUP))[0] == 1


@pytest.mark.parametrize("entries", [19, 20, 21, 40, 45])
async def test_what_is_written_anew_is_as_it_was(pipe: Pipe, keys: Keys, entries: int) -> None:
    """Others' replies and dead letters, however many: each under its id, with all its fields."""
    dead = keys.partition(0).dead
    for number in range(entries):
        await pipe.call("XADD", dead, f"{number + 1}-0", "m", f"{number}", "more", "x")
    before = await pipe.call("XRANGE", dead, "-", "+")
    assert await rewrite(pipe, dead) == 1
    assert await pipe.call("XRANGE", dead, "-", "+") == before


async def test_ids_are_never_given_twice(pipe: Pipe, keys: Keys) -> None:
    """Also where the last entry was deleted, or every one: the last id is remembered."""
    dead = keys.partition(0).dead
    for entry_id in ("5-1", "9999999999999-7"):
        await pipe.call("XADD", dead, entry_id, "m", "x")
    for left in (["5-1"], []):
        await pipe.call("XDEL", dead, "9999999999999-7" if left else "5-1")
        assert await rewrite(pipe, dead) == 1
        assert [row[0].decode() for row in await pipe.call("XRANGE", dead, "-", "+")] == left
    assert await pipe.call("XADD", dead, "*", "m", "x") == b"9999999999999-8"


async def rewrite(pipe: Pipe, key: str) -> int:
    """The script, with the bounds that it is called with."""
    args = (REWRITE_ENTRIES, REWRITE_BYTES)
    return int(await pipe.script(load_script("forget_rewrite"), (key,), args))
