"""read, bury: how entries come into an owner's hand."""

from __future__ import annotations

import pytest

from consumer.answers import ReadCode
from shared.errors import BrokerRefused, Fenced
from shared.keys import GROUP
from tests.support.partition_scripts import SHOP, T1, Scripts, ids, take_over


async def test_read_takes_entries_into_our_pending_list(scripts: Scripts) -> None:
    """In order, as many as asked for; a full page is not drained, a short one is."""
    appended = [str((await scripts.append(name))[1]) for name in "ABC"]
    epoch = await scripts.acquire()
    (first,) = await scripts.read(epoch, [(SHOP, 2)])
    assert (first.code, ids(first.entries), first.drained) == (ReadCode.MORE, appended[:2], False)
    assert (await scripts.us.peek()).unread == (SHOP,)
    assert not await scripts.client.exists(scripts.p.pending)
    (second,) = await scripts.read(epoch, [(SHOP, 2)])
    assert (ids(second.entries), second.drained) == (appended[2:], True)
    assert (await scripts.us.peek()).unread == ()
    assert await scripts.client.smembers(scripts.p.pending) == {SHOP.encode()}
    assert await scripts.pending() == dict.fromkeys(appended, "us")


async def test_read_may_say_what_is_unread_then(scripts: Scripts) -> None:
    """As a peek after it would: its time, the stream with more, the one that was not asked for."""
    _, entry_id = await scripts.append("A")
    for name, instance in (("B", SHOP), ("C", "clinic"), ("D", "bakery")):
        await scripts.append(name, instance=instance)
    await scripts.client.xadd(scripts.p.outbox, {"m": "reply"}, id="7-1")
    epoch = await scripts.acquire()
    wanted = [(SHOP, 1), ("clinic", 10)]
    told = await scripts.us.read(epoch, wanted, peeks=True)
    peek = await scripts.us.peek()
    assert told.peek is not None
    assert sorted(told.peek.unread) == sorted(peek.unread) == ["bakery", SHOP]
    assert entry_id.ms <= told.peek.now_ms <= peek.now_ms
    assert told.peek.last_reply == peek.last_reply == b"7-1"
    assert [len(stream.entries) for stream in told.streams] == [1, 1]
    assert (await scripts.us.read(epoch, wanted)).peek is None


async def test_read_of_several_streams_answers_each(scripts: Scripts) -> None:
    """One that is missing or broken takes nothing from the others."""
    await scripts.append("A")
    await scripts.append("B", instance="clinic")
    await scripts.append("C", instance="gone")
    p, client = scripts.p, scripts.client
    await client.delete(p.stream("gone"))
    await client.set(p.stream("broken"), "not a stream")
    await client.zadd(p.ready, {"broken": 1})
    epoch = await scripts.acquire()
    wanted = [(SHOP, 10), ("gone", 10), ("broken", 10), ("clinic", 10)]
    shop, gone, broken, clinic = await scripts.read(epoch, wanted)
    assert [len(shop.entries), len(clinic.entries)] == [1, 1]
    assert (gone.code, gone.drained) == (ReadCode.NO_STREAM, True)
    assert (broken.code, broken.drained) == (ReadCode.FAILED, False)
    assert "WRONGTYPE" in broken.error
    assert await client.zrange(p.ready, 0, -1) == [b"broken"]


async def test_entries_of_another_form_come_as_they_are(scripts: Scripts) -> None:
    """What is more than the one field m, or another, keeps its fields: it is told from ours."""
    await scripts.append("A")
    client, stream = scripts.client, scripts.p.stream(SHOP)
    for fields in ({"m": "{}"}, {"m": "{}", "n": "1"}, {"other": "{}"}):
        await client.xadd(stream, fields)
    (got,) = await scripts.read(await scripts.acquire(), [(SHOP, 10)])
    assert ids(got.entries) == [raw_id.decode() for raw_id, _ in await client.xrange(stream)]
    assert [values for _, values in got.entries][1:] == [
        b"{}",
        [b"m", b"{}", b"n", b"1"],
        [b"other", b"{}"],
    ]


async def test_lost_group_is_there_again_from_the_beginning(scripts: Scripts) -> None:
    """Nothing that stands in the stream is skipped: the next read gives all of it."""
    appended = [str((await scripts.append(name))[1]) for name in "AB"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 1)])
    await scripts.client.xgroup_destroy(scripts.p.stream(SHOP), GROUP)
    (lost,) = await scripts.read(epoch, [(SHOP, 10)])
    assert (lost.code, lost.entries, lost.drained) == (ReadCode.NO_GROUP, [], False)
    assert (await scripts.us.peek()).unread == (SHOP,)
    (again,) = await scripts.read(epoch, [(SHOP, 10)])
    assert ids(again.entries) == appended


async def test_lost_group_makes_a_stream_ready_that_nobody_thought_unread(scripts: Scripts) -> None:
    """What was read before the loss is pending nowhere: without a name nobody would read it."""
    appended = str((await scripts.append("A"))[1])
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    assert (await scripts.us.peek()).unread == ()
    await scripts.client.xgroup_destroy(scripts.p.stream(SHOP), GROUP)
    lost = await scripts.us.read(epoch, [(SHOP, 10)], peeks=True)
    assert lost.streams[0].code is ReadCode.NO_GROUP
    assert lost.peek is not None
    assert lost.peek.unread == (SHOP,)
    (again,) = await scripts.read(epoch, [(SHOP, 10)])
    assert ids(again.entries) == [appended]


@pytest.mark.parametrize("how", ["worker", "old epoch", "expired", "other owner"])
async def test_without_the_lease_nothing_is_read(scripts: Scripts, how: str) -> None:
    """No entry can hide in a sleeper's pending list."""
    await scripts.append("A")
    epoch = await scripts.acquire()
    store = scripts.them if how == "worker" else scripts.us
    if how == "old epoch":
        await scripts.acquire()
    elif how == "expired":
        await scripts.client.delete(scripts.p.lease)
    elif how == "other owner":
        await take_over(scripts, epoch)
    before = await scripts.snapshot()
    with pytest.raises(Fenced):
        await store.read(epoch, [(SHOP, 10)])
    with pytest.raises(Fenced):
        await store.claim(epoch, SHOP, b"0-0", 10)
    with pytest.raises(Fenced):
        await store.bury(epoch, SHOP, b"1-0", b"{}")
    assert await scripts.snapshot() == before


async def test_bury_moves_one_entry_to_the_dead_letters(scripts: Scripts) -> None:
    """Neighbours stay; a second call finds nothing to do."""
    appended = [(await scripts.append(name))[1] for name in "ABC"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    raw_id = str(appended[1]).encode()
    for _ in range(2):
        await scripts.us.bury(epoch, SHOP, raw_id, b"the letter")
    dead = await scripts.client.xrange(scripts.p.dead)
    assert [values for _, values in dead] == [{b"m": b"the letter"}]
    left = [str(appended[0]), str(appended[2])]
    assert list(await scripts.pending()) == left
    rows = await scripts.us.entries([(SHOP, entry_id) for entry_id in appended])
    assert ids([row for row in rows if row is not None]) == left


async def test_bury_keeps_what_cannot_be_written_down(scripts: Scripts) -> None:
    """The dead letter comes first: when that is refused, the entry stays in hand."""
    _, entry_id = await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    await scripts.client.set(scripts.p.dead, "in the way")
    before = await scripts.snapshot()
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await scripts.us.bury(epoch, SHOP, str(entry_id).encode(), b"the letter")
    assert await scripts.snapshot() == before


async def test_drop_deletes_a_record_as_it_stands_there_alone(scripts: Scripts) -> None:
    """Not what came in its place meanwhile, and nothing without the lease."""
    field, running = b"shop\0ann", scripts.p.running
    await scripts.client.hset(running, field, "damaged")
    old = await scripts.acquire()
    epoch = await scripts.acquire()
    for store, of_epoch in ((scripts.us, old), (scripts.them, epoch)):
        with pytest.raises(Fenced):
            await store.drop(of_epoch, field, b"damaged")
    await scripts.us.drop(epoch, field, b"another")
    assert await scripts.client.hget(running, field) == b"damaged"
    await scripts.us.drop(epoch, field, b"damaged")
    assert not await scripts.client.exists(running)


async def test_what_is_asked_of_a_partition_is_answered(scripts: Scripts) -> None:
    """Pending entries, streams and records, as the takeover and the audit ask for them."""
    _, window = await scripts.window_in_hand("A", "B")
    await scripts.append("C", instance="clinic")
    assert await scripts.us.audit(SHOP) == (2, 0)
    assert await scripts.us.pending_ids(SHOP, 1) == [window.entries[0].id]
    assert sorted(await scripts.us.streams()) == ["clinic", SHOP]
    cursor, some = await scripts.us.some_streams(0, 100)
    assert (cursor, sorted(some)) == (0, ["clinic", SHOP])
    records, _ = await scripts.us.running()
    assert [record.token for record in records.values()] == [T1]
    assert await scripts.us.records([window.conversation, (SHOP, "bob")]) == [
        records[window.conversation],
        None,
    ]


async def test_a_read_ends_after_so_many_bytes(scripts: Scripts) -> None:
    """However large entries are, one answer is about what was asked for, and nothing is lost."""
    big = "x" * 10_000
    appended = [str((await scripts.append(f"{n}", text=big))[1]) for n in range(40)]
    epoch = await scripts.acquire()
    got: list[str] = []
    for most in (1, 2, 3):
        (page,) = await scripts.read(epoch, [(SHOP, 100)], max_bytes=10_000 * most)
        assert page.code is ReadCode.MORE
        assert most <= len(page.entries) < most + 2
        got += ids(page.entries)
    (page,) = await scripts.read(epoch, [(SHOP, 100)], max_bytes=10**9)
    assert (page.code, page.drained) == (ReadCode.READ, True)
    assert got + ids(page.entries) == appended
