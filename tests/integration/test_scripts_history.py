"""What ``finish`` keeps for a handler that wants to be told again: what was answered, no more."""

from __future__ import annotations

import pytest

from consumer.answers import FinishCode
from shared.errors import BrokerRefused
from shared.model import Memory, Window
from tests.support.partition_scripts import (
    RETENTION_MS,
    SHOP,
    T1,
    T2,
    T3,
    Scripts,
    ending,
    three_in_hand,
)

KEEP_MS = 60_000


def memory(item: bytes, keep: int = 10) -> Memory:
    """To be remembered for a minute."""
    return Memory(item=item, keep=keep, keep_ms=KEEP_MS)


async def answer(scripts: Scripts, item: bytes, keep: int = 10) -> Window:
    """A window from its message to its finish."""
    epoch = await scripts.acquire()
    await scripts.append(f"of {item.decode()}")
    window = await scripts.read_window(epoch)
    await scripts.begin(window, epoch)
    code = await scripts.finish(window, T1, "answered", b"hi", memory(item, keep))
    assert code is FinishCode.FINISHED
    return window


async def test_it_is_kept_with_the_reply_and_for_its_time(scripts: Scripts) -> None:
    """One item per window, oldest first, forgotten some time after the last one."""
    first = await answer(scripts, b"one")
    history = scripts.p.history(*first.conversation)
    await scripts.client.pexpire(history, KEEP_MS // 2)
    await answer(scripts, b"two")
    assert await scripts.us.history(first.conversation) == (b"one", b"two")
    assert KEEP_MS // 2 < await scripts.client.pttl(history) <= KEEP_MS
    assert await scripts.us.history((SHOP, "bob")) == ()


async def test_only_the_last_ones_are_kept(scripts: Scripts) -> None:
    """As many as the reply says, also where more were kept before."""
    for item in (b"one", b"two", b"three"):
        window = await answer(scripts, item)
    await answer(scripts, b"four", keep=2)
    assert await scripts.us.history(window.conversation) == (b"three", b"four")


async def test_a_repeated_finish_remembers_once(scripts: Scripts) -> None:
    """Whatever became of the first answer."""
    window = await answer(scripts, b"one")
    again = await scripts.finish(window, T1, "answered", b"hi", memory(b"one"))
    assert again is FinishCode.ALREADY
    assert await scripts.us.history(window.conversation) == (b"one",)


async def test_a_refused_finish_remembers_nothing(scripts: Scripts) -> None:
    """What a stale worker's handler said was never said to the user."""
    _, window = await scripts.window_in_hand()
    before = await scripts.snapshot()
    refused = await scripts.finish(window, T2, "answered", b"stale", memory(b"stale"))
    assert refused is FinishCode.REFUSED
    assert await scripts.snapshot() == before


async def test_a_failed_finish_remembers_nothing(scripts: Scripts) -> None:
    """No reply, no memory of it; both when it is repeated."""
    _, window = await scripts.window_in_hand()
    await scripts.client.set(scripts.p.outbox, "in the way")
    failed = await scripts.finish(window, T1, "answered", b"hi", memory(b"one"))
    assert isinstance(failed, BrokerRefused)
    assert await scripts.us.history(window.conversation) == ()
    await scripts.client.delete(scripts.p.outbox)
    await scripts.finish(window, T1, "answered", b"hi", memory(b"one"))
    assert await scripts.us.history(window.conversation) == (b"one",)


async def test_of_many_each_remembers_its_own(scripts: Scripts) -> None:
    """In one script: with, without, refused; nobody is told what another user was."""
    ann, bob, cid = await three_in_hand(scripts)
    endings = [
        ending(ann, T1, "answered", b"hi"),
        ending(bob, T3, "answered", b"stale", memory(b"stale")),
        ending(cid, T3, "answered", b"hi", memory(b"of cid")),
    ]
    codes = [FinishCode.FINISHED, FinishCode.REFUSED, FinishCode.FINISHED]
    assert await scripts.us.finish(endings, RETENTION_MS) == codes
    again = [ending(ann, T1), ending(bob, T2, "answered", b"hi", memory(b"of bob"))]
    codes = [FinishCode.ALREADY, FinishCode.FINISHED]
    assert await scripts.us.finish(again, RETENTION_MS) == codes
    told = [await scripts.us.history(one.conversation) for one in (ann, bob, cid)]
    assert told == [(), (b"of bob",), (b"of cid",)]


async def test_all_of_a_full_script_remember(scripts: Scripts) -> None:
    """Sixty-four windows, of which every second one remembers."""
    epoch = await scripts.acquire()
    windows = []
    for number in range(64):
        await scripts.append("M", user=f"user-{number}")
        windows.append(await scripts.read_window(epoch))
        await scripts.begin(windows[-1], epoch)
    endings = [
        ending(one, T1, "answered", b"hi", memory(b"%d" % number) if number % 2 else None)
        for number, one in enumerate(windows)
    ]
    assert await scripts.us.finish(endings, RETENTION_MS) == [FinishCode.FINISHED] * 64
    for number, window in enumerate(windows):
        told = await scripts.us.history(window.conversation)
        assert told == ((b"%d" % number,) if number % 2 else ())


@pytest.mark.parametrize("outcome", ["answered", "silent"])
async def test_what_stands_in_its_way_does_not_cost_the_answer(
    scripts: Scripts, outcome: str
) -> None:
    """Somebody else's key is read as nothing, and expires, so that memory begins anew."""
    _, window = await scripts.window_in_hand()
    history = scripts.p.history(*window.conversation)
    await scripts.client.set(history, "in the way")
    assert await scripts.us.history(window.conversation) == ()
    code = await scripts.finish(window, T1, outcome, b"hi", memory(b"one"))
    assert code is FinishCode.FINISHED
    assert await scripts.pending() == {}
    assert 0 < await scripts.client.pttl(history) <= KEEP_MS
