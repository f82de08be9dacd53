"""read, claim, bury: how entries come into an owner's hand."""

from __future__ import annotations

import pytest

from consumer.answers import ReadCode
from shared.errors import BrokerRefused, Fenced
from shared.keys import GROUP
from tests.support.partition_scripts import SHOP, T1, THEM, Scripts


def ids(entries: object) -> list[str]:
    """The ids of raw entries."""
    assert isinstance(entries, list)
    return [raw_id.decode() for raw_id, _ in entries]


async def take_over(scripts: Scripts, epoch: int) -> int:
    """Them, after our lease was given back."""
    await scripts.release(epoch)
    return await scripts.acquire(THEM)


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


async def claim_all(scripts: Scripts, epoch: int, count: int) -> tuple[list[list[str]], int]:
    """Page by page: the ids of each page, and how many were missing."""
    pages, missing, cursor = [], 0, b"0-0"
    while True:
        page = await scripts.them.claim(epoch, SHOP, cursor, count)
        pages.append(ids(page.entries))
        missing += page.missing
        cursor = page.cursor
        if cursor == b"0-0":
            return pages, missing


async def test_claim_takes_every_pending_entry_in_pages(scripts: Scripts) -> None:
    """Whoever read it and however lately; in order, and what is unread stays unread."""
    appended = [str((await scripts.append(str(number)))[1]) for number in range(7)]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 5)])
    epoch = await take_over(scripts, epoch)
    pages, missing = await claim_all(scripts, epoch, 2)
    assert [entry_id for page in pages for entry_id in page] == appended[:5]
    assert max(map(len, pages)) == 2
    assert missing == 0
    assert await scripts.pending() == dict.fromkeys(appended[:5], "them")
    (rest,) = await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert ids(rest.entries) == appended[5:]


@pytest.mark.parametrize("count", [1, 2, 100])
async def test_claim_acknowledges_and_counts_entries_that_were_deleted(
    scripts: Scripts, count: int
) -> None:
    """Both forms of Redis's answer: never an empty message, never pending for ever."""
    appended = [str((await scripts.append(str(number)))[1]) for number in range(6)]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    gone = {appended[0], appended[2], appended[3], appended[5]}
    await scripts.client.xdel(scripts.p.stream(SHOP), *gone)
    epoch = await take_over(scripts, epoch)
    pages, missing = await claim_all(scripts, epoch, count)
    left = [appended[1], appended[4]]
    assert [entry_id for page in pages for entry_id in page] == left
    assert missing == 4
    assert await scripts.pending() == dict.fromkeys(left, "them")
    assert (await claim_all(scripts, epoch, count))[1] == 0


async def test_claim_removes_consumers_that_have_nothing_pending(scripts: Scripts) -> None:
    """And ourselves not; dead workers' names do not pile up."""
    await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    stream = scripts.p.stream(SHOP)
    await scripts.client.xgroup_createconsumer(stream, GROUP, "idle")
    epoch = await take_over(scripts, epoch)
    await scripts.them.claim(epoch, SHOP, b"0-0", 10)
    assert await scripts.consumers() == {"them"}


async def test_claim_keeps_consumers_until_the_last_page(scripts: Scripts) -> None:
    """Removing one that has entries pending would lose them."""
    appended = [str((await scripts.append(name))[1]) for name in "ABC"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    epoch = await take_over(scripts, epoch)
    page = await scripts.them.claim(epoch, SHOP, b"0-0", 2)
    assert page.cursor != b"0-0"
    assert await scripts.consumers() == {"us", "them"}
    assert set(await scripts.pending()) == set(appended)


async def test_claim_twice_gives_the_same_again(scripts: Scripts) -> None:
    """After a lost answer the takeover begins anew."""
    await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    epoch = await take_over(scripts, epoch)
    first = await claim_all(scripts, epoch, 10)
    assert await claim_all(scripts, epoch, 10) == first


async def test_claim_without_a_stream_is_empty(scripts: Scripts) -> None:
    """The index may name an instance whose stream is gone."""
    epoch = await scripts.acquire(THEM)
    page = await scripts.them.claim(epoch, "nobody", b"0-0", 10)
    assert (page.cursor, list(page.entries), page.missing) == (b"0-0", [], 0)
    assert not page.lost_group


async def test_claim_without_a_group_makes_it_again_and_ready(scripts: Scripts) -> None:
    """What was pending in the lost group is read again from the stream."""
    appended = [str((await scripts.append(name))[1]) for name in "AB"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    await scripts.client.xgroup_destroy(scripts.p.stream(SHOP), GROUP)
    epoch = await take_over(scripts, epoch)
    page = await scripts.them.claim(epoch, SHOP, b"0-0", 10)
    assert page.lost_group
    assert (await scripts.them.peek()).unread == (SHOP,)
    (got,) = await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert ids(got.entries) == appended


async def test_claim_of_what_is_no_stream_says_so(scripts: Scripts) -> None:
    """Any other error reaches the caller."""
    await scripts.client.set(scripts.p.stream(SHOP), "not a stream")
    epoch = await scripts.acquire(THEM)
    with pytest.raises(BrokerRefused) as caught:
        await scripts.them.claim(epoch, SHOP, b"0-0", 10)
    assert caught.value.code == "WRONGTYPE"


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


async def test_what_is_asked_of_a_partition_is_answered(scripts: Scripts) -> None:
    """Pending entries, streams and records, as the takeover and the audit ask for them."""
    _, window = await scripts.window_in_hand("A", "B")
    await scripts.append("C", instance="clinic")
    assert await scripts.us.pending_count(SHOP) == 2
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


async def test_a_claim_ends_after_so_many_bytes(scripts: Scripts) -> None:
    """A takeover of large entries comes page by page, each of them once."""
    big = "x" * 10_000
    appended = [str((await scripts.append(f"{n}", text=big))[1]) for n in range(40)]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 100)], max_bytes=10**9)
    epoch = await take_over(scripts, epoch)
    cursor, got, pages = b"0-0", list[str](), 0
    while pages == 0 or cursor != b"0-0":
        page = await scripts.them.claim(epoch, SHOP, cursor, 100, max_bytes=30_000)
        assert len(page.entries) <= 3
        cursor, pages = page.cursor, pages + 1
        got += ids(page.entries)
    assert got == appended


async def test_pages_stay_small_however_many_there_are(scripts: Scripts) -> None:
    """An answer is too large by sixteen entries at most: nobody knows how large they are."""
    size, limit = 1000, 70_000
    for number in range(150):
        await scripts.append(f"{number}", text="x" * size)
    epoch = await scripts.acquire()
    (read,) = await scripts.read(epoch, [(SHOP, 1000)], max_bytes=limit)
    await scripts.read(epoch, [(SHOP, 1000)], max_bytes=10**9)
    epoch = await take_over(scripts, epoch)
    claimed = await scripts.them.claim(epoch, SHOP, b"0-0", 1000, max_bytes=limit)
    for page in (read, claimed):
        assert limit / 1100 < len(page.entries) <= limit / size + 16
