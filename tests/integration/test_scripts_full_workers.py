"""A Redis at ``maxmemory``: workers take over, read, finish, bury and replay as ever."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumer.answers import FinishCode, ReadCode, StartCode
from shared.errors import BrokerRefused
from shared.keys import GROUP, Keys
from tests.support.full_redis import fill, scripts_to_fill
from tests.support.partition_scripts import (
    LEASE_MS,
    RETENTION_MS,
    SHOP,
    T1,
    T2,
    T3,
    THEM,
    US,
    Scripts,
    ending,
    request,
    three_in_hand,
)
from tests.support.redis_server import RedisServer


@pytest.fixture
async def scripts(full_server: RedisServer, prefix: str) -> AsyncIterator[Scripts]:
    """One partition's scripts, before the memory runs out."""
    async with scripts_to_fill(full_server.url, Keys(prefix, 1).partition(0)) as found:
        yield found


async def test_many_windows_are_finished_in_one_script(scripts: Scripts) -> None:
    """The first of them is refused, the second fails; the others are finished all the same."""
    ann, bob, cid = await three_in_hand(scripts)
    await scripts.client.hset(scripts.p.running, "shop\0bob", "no record")
    await fill(scripts)
    endings = [
        ending(ann, T3),
        ending(bob, T2),
        ending(cid, T3, "dead", b"letter"),
        ending(ann, T1, "answered", b"hi"),
    ]
    refused, failed, *finished = await scripts.us.finish(endings, RETENTION_MS)
    assert refused is FinishCode.REFUSED
    assert isinstance(failed, BrokerRefused)
    assert finished == [FinishCode.FINISHED] * 2
    client, p = scripts.client, scripts.p
    assert (await client.xlen(p.outbox), await client.xlen(p.dead)) == (1, 1)
    assert list(await scripts.pending()) == [str(bob.entries[0].id)]


async def test_another_worker_takes_over(scripts: Scripts) -> None:
    """Claim, start in a dead worker's place, finish and ring: no lease is lost to a full Redis."""
    epoch, window = await scripts.window_in_hand()
    await scripts.append("B")
    await scripts.read(epoch, [(SHOP, 10)])
    await fill(scripts)
    assert await scripts.release(epoch) == 1
    epoch = await scripts.acquire(THEM)
    page = await scripts.them.claim(epoch, SHOP, b"0-0", 100)
    assert len(page.entries) == 2
    assert await scripts.consumers() == {"them"}
    (answer,) = await scripts.them.start(epoch, [request(window, T3, replaces=T1)])
    assert answer.code is StartCode.STARTED
    ring = await scripts.bell()
    assert await scripts.finish(window, T3) is FinishCode.FINISHED
    assert await scripts.bell() > ring


async def test_lost_group_is_made_again_by_read(scripts: Scripts) -> None:
    """XGROUP CREATE needs memory, and is let through."""
    await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.client.xgroup_destroy(scripts.p.stream(SHOP), GROUP)
    await fill(scripts)
    (lost,) = await scripts.read(epoch, [(SHOP, 10)])
    assert lost.code is ReadCode.NO_GROUP
    (got,) = await scripts.read(epoch, [(SHOP, 10)])
    assert len(got.entries) == 1
    assert await scripts.client.smembers(scripts.p.pending) == {SHOP.encode()}


async def test_lost_group_is_made_again_by_claim(scripts: Scripts) -> None:
    """The takeover's way to the same."""
    await scripts.append("A")
    epoch = await scripts.acquire(THEM)
    await scripts.client.xgroup_destroy(scripts.p.stream(SHOP), GROUP)
    await fill(scripts)
    assert (await scripts.them.claim(epoch, SHOP, b"0-0", 10)).lost_group


async def test_a_group_past_entries_is_rewound_by_claim(scripts: Scripts) -> None:
    """XGROUP SETID is let through, too."""
    appended = [str((await scripts.append(name))[1]) for name in "AB"]
    epoch = await scripts.acquire(THEM)
    await scripts.client.xgroup_setid(scripts.p.stream(SHOP), GROUP, "$")
    await scripts.client.delete(scripts.p.ready)
    await fill(scripts)
    assert await scripts.them.audit(SHOP) == (0, 2)
    assert (await scripts.them.claim(epoch, SHOP, b"0-0", 10)).rewound
    (got,) = await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert [entry_id.decode() for entry_id, _ in got.entries] == appended


async def test_damaged_entry_is_buried(scripts: Scripts) -> None:
    """A dead letter of its own, though Redis is full."""
    _, entry_id = await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    await fill(scripts)
    await scripts.us.bury(epoch, SHOP, str(entry_id).encode(), b"{}")
    assert await scripts.client.xlen(scripts.p.dead) == 1
    assert await scripts.pending() == {}


async def test_dead_letter_is_replayed(scripts: Scripts) -> None:
    """It frees as much as it takes."""
    _, window = await scripts.window_in_hand()
    await scripts.finish(window, outcome="dead", value=b"{}")
    ((letter_id, _),) = await scripts.client.xrange(scripts.p.dead)
    await fill(scripts)
    p = scripts.p
    keys = (p.dead, p.stream(SHOP), p.streams, p.ready, p.bell)
    assert await scripts.run("replay", keys, letter_id, SHOP, b"{}", GROUP)
    assert await scripts.client.xlen(p.stream(SHOP)) == 1


async def test_workers_stay_alive_join_and_drain(scripts: Scripts, prefix: str) -> None:
    """Beat, enlist, look and ring, for a key that is there and for a new one."""
    key, new_key = f"{prefix}:worker:us", f"{prefix}:worker:new"
    await scripts.run("beat", (key,), LEASE_MS, "up", "host")
    await fill(scripts)
    assert await scripts.run("beat", (key,), LEASE_MS, "up", "host") == 1
    assert await scripts.run("beat", (key,), LEASE_MS, "draining", "host") == 1
    assert await scripts.run("look", (key,), LEASE_MS) == b"draining"
    assert await scripts.run("tell", (key,), b"{}") == 1
    assert await scripts.client.hget(key, "doing") == b"{}"
    assert await scripts.run("beat", (new_key,), LEASE_MS, "up", "host") == 0
    assert 0 < await scripts.client.pttl(new_key) <= LEASE_MS
    assert await scripts.run("enlist", (f"{prefix}:workers",), US) == 1
    assert await scripts.run("ring", (f"{prefix}:bell",))
    p = scripts.p
    await scripts.client.config_set("maxmemory", 0)
    await scripts.client.sadd(p.pending, SHOP)
    await fill(scripts)
    assert await scripts.run("survey", (p.pending, p.stream(SHOP)), SHOP) == [0, -1, []]
    assert not await scripts.client.exists(p.pending)
