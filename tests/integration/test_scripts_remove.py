"""remove_stream: how a stream goes that nothing can still refer to."""

from __future__ import annotations

import pytest

from shared.errors import BrokerRefused
from tests.support.partition_scripts import AT_ONCE_MS, DEDUPE_MS, SHOP, Scripts


async def test_removes_an_old_empty_stream_and_its_index_entry(scripts: Scripts) -> None:
    """Nothing of an idle instance stays."""
    _, window = await scripts.window_in_hand()
    await scripts.finish(window)
    assert await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)
    assert not await scripts.client.exists(scripts.p.stream(SHOP), scripts.p.streams)
    assert await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS), "calling again is safe"


async def test_keeps_one_with_entries_that_nobody_has_read(scripts: Scripts) -> None:
    """Unread entries are unfinished messages."""
    await scripts.append("A")
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)


async def test_keeps_one_with_entries_that_nobody_knows_of(scripts: Scripts) -> None:
    """Not ready, and in nobody's hand, as where a group was lost: unfinished all the same."""
    await scripts.append("A")
    await scripts.client.delete(scripts.p.ready)
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)


async def test_keeps_what_is_no_stream(scripts: Scripts) -> None:
    """Somebody else put it there: it is not ours to delete."""
    await scripts.client.set(scripts.p.stream(SHOP), "in the way")
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)
    assert await scripts.client.get(scripts.p.stream(SHOP)) == b"in the way"


async def test_keeps_one_with_entries_in_hand(scripts: Scripts) -> None:
    """So are those that were read and are not finished."""
    await scripts.window_in_hand()
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)


async def test_keeps_one_whose_pending_entries_were_deleted(scripts: Scripts) -> None:
    """The reclaim still has to count them."""
    _, window = await scripts.window_in_hand()
    await scripts.client.xdel(scripts.p.stream(SHOP), str(window.entries[0].id))
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)


async def test_keeps_one_that_is_ready(scripts: Scripts) -> None:
    """Its owner has not looked yet."""
    _, entry_id = await scripts.append("A")
    await scripts.client.xdel(scripts.p.stream(SHOP), str(entry_id))
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=AT_ONCE_MS)


async def test_keeps_one_that_was_used_within_dedupe_ms(scripts: Scripts) -> None:
    """Its ids may still be given as those of duplicates."""
    _, window = await scripts.window_in_hand()
    await scripts.finish(window)
    assert not await scripts.us.remove_stream(SHOP, dedupe_ms=DEDUPE_MS)


async def test_forgets_an_index_entry_without_a_stream(scripts: Scripts) -> None:
    """Somebody deleted the stream by hand."""
    await scripts.append("A")
    await scripts.client.delete(scripts.p.stream(SHOP))
    assert await scripts.us.remove_stream(SHOP, dedupe_ms=DEDUPE_MS)
    assert not await scripts.client.exists(scripts.p.streams, scripts.p.ready)
