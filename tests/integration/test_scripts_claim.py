"""claim: how entries that another worker read come into the hand of who takes over."""

from __future__ import annotations

import pytest

from shared.errors import BrokerRefused
from shared.keys import GROUP
from tests.support.partition_scripts import SHOP, THEM, Scripts, ids, take_over


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


async def test_claim_removes_no_consumer_that_has_something_pending(scripts: Scripts) -> None:
    """Wherever it began: what it has not claimed stays with whoever read it."""
    appended = [str((await scripts.append(name))[1]) for name in "ABC"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    epoch = await take_over(scripts, epoch)
    page = await scripts.them.claim(epoch, SHOP, appended[2].encode(), 10)
    assert (page.cursor, ids(page.entries)) == (b"0-0", appended[2:])
    assert set(await scripts.pending()) == set(appended)


async def test_claim_counts_once_what_another_had_read(scripts: Scripts) -> None:
    """With its first page; nothing of it is ours before that."""
    for name in "ABC":
        await scripts.append(name)
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 10)])
    epoch = await take_over(scripts, epoch)
    first = await scripts.them.claim(epoch, SHOP, b"0-0", 2)
    second = await scripts.them.claim(epoch, SHOP, first.cursor, 2)
    assert (first.foreign, second.foreign) == (3, 0)


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


async def test_claim_rewinds_a_group_that_is_past_entries(scripts: Scripts) -> None:
    """With its last page; what was pending stays so, and comes again with the rest, in order."""
    appended = [str((await scripts.append(name))[1]) for name in "ABCD"]
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 2)])
    await scripts.client.xgroup_setid(scripts.p.stream(SHOP), GROUP, appended[2])
    epoch = await take_over(scripts, epoch)
    assert not (await scripts.them.claim(epoch, SHOP, b"0-0", 10)).rewound, "it is ready"
    (last,) = await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert ids(last.entries) == appended[3:]
    assert await scripts.them.audit(SHOP) == (3, 1)
    first = await scripts.them.claim(epoch, SHOP, b"0-0", 1)
    page = await scripts.them.claim(epoch, SHOP, first.cursor, 10)
    assert (first.rewound, page.rewound) == (False, True)
    assert ids(first.entries) + ids(page.entries) == [*appended[:2], appended[3]]
    assert (await scripts.them.peek()).unread == (SHOP,)
    (got,) = await scripts.read(epoch, [(SHOP, 10)], worker=THEM)
    assert ids(got.entries) == appended
    assert await scripts.pending() == dict.fromkeys(appended, "them")
    assert await scripts.them.audit(SHOP) == (4, 0)


@pytest.mark.parametrize("step", ["appended", "some read", "all read", "one deleted", "finished"])
async def test_what_is_healthy_is_not_rewound(scripts: Scripts, step: str) -> None:
    """Whatever was the last thing that happened."""
    appended = [str((await scripts.append(name))[1]) for name in "AB"]
    epoch = await scripts.acquire()
    if step != "appended":
        await scripts.read(epoch, [(SHOP, 1 if step == "some read" else 10)])
    if step in ("one deleted", "finished"):
        await scripts.client.xdel(scripts.p.stream(SHOP), appended[0])
    if step == "finished":
        await scripts.client.xack(scripts.p.stream(SHOP), GROUP, appended[0])
    assert (await scripts.us.audit(SHOP))[1] == 0
    epoch = await take_over(scripts, epoch)
    assert not (await scripts.them.claim(epoch, SHOP, b"0-0", 10)).rewound


async def test_claim_of_what_is_no_stream_says_so(scripts: Scripts) -> None:
    """Any other error reaches the caller."""
    await scripts.client.set(scripts.p.stream(SHOP), "not a stream")
    epoch = await scripts.acquire(THEM)
    with pytest.raises(BrokerRefused) as caught:
        await scripts.them.claim(epoch, SHOP, b"0-0", 10)
    assert caught.value.code == "WRONGTYPE"


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
