"""mute and unmute: a conversation is a person's for a time; start finds it out."""

from __future__ import annotations

import pytest

from shared.errors import BrokerRefused
from shared.keys import Keys, conversation_field
from shared.mutes import Mutes
from tests.support.partition_scripts import ANN, SHOP, T1, Scripts, request

MUTE_MS = 600_000


@pytest.fixture
def mutes(scripts: Scripts, prefix: str) -> Mutes:
    """Of the partition of the scripts, which is the only one."""
    return Mutes(scripts.pipe, Keys(prefix, 1))


async def now_ms(scripts: Scripts) -> int:
    """Redis's time."""
    seconds, micros = await scripts.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def starts_muted(scripts: Scripts) -> bool:
    """Whether a window of the user that starts now is muted."""
    epoch, window = await scripts.closed_window()
    (answer,) = await scripts.us.start(epoch, [request(window, T1)])
    return answer.is_muted


async def test_a_start_says_that_the_user_is_muted(scripts: Scripts, mutes: Mutes) -> None:
    """Also a repeated one, and only of that user."""
    await scripts.append("B", user="bob")
    until = await mutes.mute(SHOP, ANN, MUTE_MS)
    assert 0 <= await now_ms(scripts) + MUTE_MS - until < 60_000
    epoch = await scripts.acquire()
    bob = await scripts.read_window(epoch)
    await scripts.append("A")
    ann = await scripts.read_window(epoch)
    for _ in range(2):
        answers = await scripts.us.start(epoch, [request(bob, T1), request(ann, T1)])
        assert [answer.is_muted for answer in answers] == [False, True]


async def test_the_last_decision_counts(scripts: Scripts, mutes: Mutes) -> None:
    """A shorter mute replaces a longer one; an unmute ends it, and may be repeated."""
    longer = await mutes.mute(SHOP, ANN, MUTE_MS)
    assert await mutes.mute(SHOP, ANN, 60_000) < longer
    await mutes.unmute(SHOP, ANN)
    await mutes.unmute(SHOP, ANN)
    assert not await starts_muted(scripts)


async def test_a_mute_that_is_over_mutes_nobody(scripts: Scripts, mutes: Mutes) -> None:
    """And nothing of it is kept: the next start, or mute, removes it."""
    past = await now_ms(scripts) - 1
    for remove in (starts_muted(scripts), mutes.mute(SHOP, "bob", MUTE_MS)):
        await scripts.client.zadd(scripts.p.muted, {conversation_field(SHOP, ANN): past})
        assert await remove in (False, await scripts.client.zscore(scripts.p.muted, "shop\0bob"))
        assert await scripts.client.zscore(scripts.p.muted, conversation_field(SHOP, ANN)) is None


async def test_an_unmute_leaves_no_key_behind(scripts: Scripts, mutes: Mutes) -> None:
    """Where no person's message is known there is nothing to remember."""
    await mutes.mute(SHOP, ANN, MUTE_MS)
    await mutes.unmute(SHOP, ANN)
    assert not await scripts.client.exists(scripts.p.muted, scripts.p.human(SHOP, ANN))


async def test_a_key_of_another_type_stops_no_window(scripts: Scripts, mutes: Mutes) -> None:
    """Somebody else writes into this Redis: who mutes hears of it, users are answered."""
    await scripts.client.set(scripts.p.muted, "x")
    await scripts.client.set(scripts.p.human(SHOP, ANN), "x")
    with pytest.raises(BrokerRefused):
        await mutes.mute(SHOP, ANN, MUTE_MS)
    await mutes.unmute(SHOP, ANN)
    assert not await starts_muted(scripts)
