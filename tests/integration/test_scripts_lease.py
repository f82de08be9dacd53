"""acquire, renew, release, beat, look, enlist, ring: who owns what, and who is alive."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.partition_scripts import LEASE_MS, THEM, US, Scripts
from tests.support.waiting import eventually

HELD = LOST = 0
SOON_MS = pytest.approx(LEASE_MS, abs=2000)


async def test_free_lease_is_taken_under_a_new_epoch(scripts: Scripts) -> None:
    """Owner, epoch and TTL stand there; the epoch's source never expires."""
    epoch = await scripts.acquire()
    lease = await scripts.client.hgetall(scripts.p.lease)
    assert lease == {b"owner": b"us", b"epoch": str(epoch).encode()}
    assert await scripts.client.get(scripts.p.epoch) == str(epoch).encode()
    assert await scripts.client.pttl(scripts.p.lease) == SOON_MS
    assert await scripts.client.pttl(scripts.p.epoch) == -1


async def test_held_lease_is_not_taken(scripts: Scripts) -> None:
    """Another's lease stays as it is, and no epoch is used up."""
    await scripts.acquire()
    before = await scripts.snapshot()
    assert await scripts.acquire(THEM) == HELD
    assert await scripts.snapshot() == before


async def test_our_own_lease_is_taken_again_under_a_new_epoch(scripts: Scripts) -> None:
    """What an old connection of ours still carries is refused from then on."""
    first = await scripts.acquire()
    second = await scripts.acquire()
    assert second > first
    assert await scripts.renew(first) == LOST
    assert await scripts.renew(second) == 1


async def test_epoch_grows_over_owners_and_lost_leases(scripts: Scripts) -> None:
    """Also when the lease has expired or was given back in between."""
    epochs = [await scripts.acquire()]
    await scripts.release(epochs[-1])
    epochs.append(await scripts.acquire(THEM))
    await scripts.client.delete(scripts.p.lease)
    epochs.append(await scripts.acquire())
    assert epochs[0] < epochs[1] < epochs[2]


async def test_epoch_grows_though_the_last_one_is_gone(scripts: Scripts) -> None:
    """FLUSHALL: what still runs under an epoch from before must not be taken for ours."""
    before = await scripts.acquire()
    await scripts.client.delete(scripts.p.lease, scripts.p.epoch)
    await eventually(lambda: time.time_ns() // 1_000_000 > before, "the next millisecond")
    after = await scripts.acquire()
    assert after > before
    assert await scripts.release(before) == LOST


async def test_epoch_grows_though_the_clock_goes_back(scripts: Scripts) -> None:
    """An epoch given by a clock that was ahead is followed by the next number."""
    ahead = (time.time_ns() // 1_000_000) + 3_600_000
    await scripts.client.set(scripts.p.epoch, ahead)
    assert await scripts.acquire() == ahead + 1
    assert await scripts.renew(ahead + 1) == 1


async def test_of_many_who_want_it_one_gets_it(scripts: Scripts) -> None:
    """Under any order of arrival."""
    names = [f"worker-{number}" for number in range(20)]
    epochs = await asyncio.gather(*(scripts.acquire(name) for name in names))  # type: ignore[arg-type]
    assert sum(epoch > 0 for epoch in epochs) == 1


@pytest.mark.parametrize("ttl_ms", [None, 10 * LEASE_MS])
async def test_lease_that_outlives_its_span_is_clipped(
    scripts: Scripts, ttl_ms: int | None
) -> None:
    """Only a step of Redis's clock makes such a TTL: nobody waits for it to run out."""
    await scripts.acquire()
    if ttl_ms is None:
        await scripts.client.persist(scripts.p.lease)
    else:
        await scripts.client.pexpire(scripts.p.lease, ttl_ms)
    assert await scripts.acquire(THEM) == HELD
    assert await scripts.client.pttl(scripts.p.lease) == SOON_MS


async def test_renewal_lengthens_only_our_lease_of_this_epoch(scripts: Scripts) -> None:
    """Wrong worker, wrong epoch, no lease: lost, and nothing is changed."""
    epoch = await scripts.acquire(lease_ms=5000)
    assert await scripts.renew(epoch, THEM) == LOST
    assert await scripts.renew(epoch + 1) == LOST
    assert await scripts.client.pttl(scripts.p.lease) <= 5000
    assert await scripts.renew(epoch) == 1
    assert await scripts.client.pttl(scripts.p.lease) == SOON_MS
    await scripts.client.delete(scripts.p.lease)
    assert await scripts.renew(epoch) == LOST
    assert not await scripts.client.exists(scripts.p.lease)


async def test_each_of_many_leases_is_renewed_or_lost_by_itself(scripts: Scripts) -> None:
    """One that is another's, of another epoch, gone or no hash changes nothing for the others."""
    epoch = await scripts.acquire(lease_ms=5000)
    theirs, older, gone, broken, ours = (f"{scripts.p.lease}:{n}" for n in range(5))
    held = {theirs: ("them", epoch), older: ("us", epoch - 1), ours: ("us", 7)}
    for lease, (owner, of_epoch) in held.items():
        await scripts.client.hset(lease, mapping={"owner": owner, "epoch": of_epoch})
        await scripts.client.pexpire(lease, 5000)
    await scripts.client.set(broken, "us")
    leases = (theirs, scripts.p.lease, older, gone, broken, ours)
    epochs = (epoch, epoch, epoch, epoch, epoch, 7)
    assert await scripts.run("renew", leases, US, LEASE_MS, *epochs) == [0, 1, 0, 0, 0, 1]
    lasting = [await scripts.client.pttl(lease) > 5000 for lease in leases]
    assert lasting == [False, True, False, False, False, True]
    assert await scripts.client.get(broken) == b"us"


async def test_expired_lease_is_lost_and_free(scripts: Scripts) -> None:
    """A dead owner is waited for no longer than its lease."""
    epoch = await scripts.acquire(lease_ms=30)
    await eventually(lambda: scripts.acquire(THEM), "the lease to expire")
    assert await scripts.renew(epoch) == LOST
    assert await scripts.release(epoch) == LOST


async def test_release_gives_back_only_our_lease_of_this_epoch(scripts: Scripts) -> None:
    """An old epoch's release, arriving late, takes nothing from the new one."""
    old = await scripts.acquire()
    new = await scripts.acquire()
    assert await scripts.release(old) == LOST
    assert await scripts.release(new, THEM) == LOST
    assert await scripts.release(new) == 1
    assert await scripts.release(new) == LOST
    assert await scripts.acquire(THEM) > new


async def test_beat_makes_a_worker_key_and_keeps_it(scripts: Scripts, prefix: str) -> None:
    """The first beat joins, the next ones keep; a changed state is written."""
    key = f"{prefix}:worker:us"
    assert await scripts.run("beat", (key,), LEASE_MS, "up", "host-1") == 0
    assert await scripts.client.hgetall(key) == {b"state": b"up", b"host": b"host-1"}
    assert await scripts.run("beat", (key,), LEASE_MS, "up", "host-1") == 1
    assert await scripts.run("beat", (key,), LEASE_MS, "draining", "host-1") == 1
    assert await scripts.client.hget(key, "state") == b"draining"
    assert await scripts.client.pttl(key) == SOON_MS


async def test_look_tells_the_state_and_clips_the_ttl(scripts: Scripts, prefix: str) -> None:
    """Nothing for a worker that is gone; a TTL that is too long or none cannot stay."""
    key = f"{prefix}:worker:them"
    assert await scripts.run("look", (key,), LEASE_MS) is None
    await scripts.run("beat", (key,), LEASE_MS, "up", "")
    assert await scripts.run("look", (key,), LEASE_MS) == b"up"
    for spoil in (scripts.client.persist(key), scripts.client.pexpire(key, 10 * LEASE_MS)):
        await spoil
        await scripts.run("look", (key,), LEASE_MS)
        assert await scripts.client.pttl(key) == SOON_MS
    await scripts.client.pexpire(key, 5000)
    await scripts.run("look", (key,), LEASE_MS)
    assert await scripts.client.pttl(key) <= 5000


async def test_tell_neither_makes_a_worker_key_nor_lengthens_its_life(
    scripts: Scripts, prefix: str
) -> None:
    """What a worker says of itself is no sign of life: only beats are."""
    key = f"{prefix}:worker:us"
    assert await scripts.run("tell", (key,), b"{}") == 0
    assert not await scripts.client.exists(key)
    await scripts.run("beat", (key,), 5000, "up", "host-1")
    assert await scripts.run("tell", (key,), b'{"open":1}') == 1
    assert await scripts.client.hget(key, "doing") == b'{"open":1}'
    assert 0 < await scripts.client.pttl(key) <= 5000


async def test_enlist_adds_a_worker_once(scripts: Scripts, prefix: str) -> None:
    """The list names every worker that may be alive."""
    key = f"{prefix}:workers"
    assert [await scripts.run("enlist", (key,), US) for _ in range(2)] == [1, 0]
    assert await scripts.client.smembers(key) == {b"us"}


async def test_ring_leaves_one_entry_with_a_new_id(scripts: Scripts) -> None:
    """Whoever blocks with the last id wakes up, and the bell never grows."""
    rings = [await scripts.run("ring", (scripts.p.bell,)) for _ in range(3)]
    assert rings == sorted(set(rings))
    assert await scripts.client.xlen(scripts.p.bell) == 1


async def test_survey_counts_entries_and_finds_the_oldest(scripts: Scripts) -> None:
    """Over all streams named; -1 where there is none."""
    p = scripts.p
    keys = (p.pending, p.stream("shop"), p.stream("clinic"), p.stream("nobody"))
    assert await scripts.run("survey", keys, "shop") == [0, -1, []]
    _, oldest = await scripts.append("A")
    await scripts.append("B")
    await scripts.append("C", instance="clinic")
    assert await scripts.run("survey", keys, "shop") == [3, oldest.ms, [2]]
