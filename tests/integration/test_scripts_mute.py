"""mute and unmute: a conversation is a person's for a time; start finds it out."""

from __future__ import annotations

import pytest
from msgspec import structs

from consumer.answers import FinishCode
from shared.errors import BrokerRefused
from shared.keys import Keys, conversation_field
from shared.model import Memory
from shared.mutes import Mutes
from shared.on_human import HASH_BYTES
from tests.support.partition_scripts import (
    ANN,
    RETENTION_MS,
    SHOP,
    T1,
    T2,
    T3,
    Scripts,
    ending,
    request,
    three_in_hand,
)

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
    assert await mutes.unmute(SHOP, ANN)
    assert not await mutes.unmute(SHOP, ANN)
    assert not await starts_muted(scripts)


async def test_a_mute_that_is_over_mutes_nobody(scripts: Scripts, mutes: Mutes) -> None:
    """And nothing of it is kept: the next start, or mute, removes it."""
    past = await now_ms(scripts) - 1
    for remove in (starts_muted(scripts), mutes.mute(SHOP, "bob", MUTE_MS)):
        await scripts.client.zadd(scripts.p.muted, {conversation_field(SHOP, ANN): past})
        assert await remove in (False, await scripts.client.zscore(scripts.p.muted, "shop\0bob"))
        assert await scripts.client.zscore(scripts.p.muted, conversation_field(SHOP, ANN)) is None


async def test_an_unmute_knows_of_a_persons_message(scripts: Scripts, mutes: Mutes) -> None:
    """It has muted for as long as its instance says; once it is unmuted, it does not any more."""
    human, came = scripts.p.human(SHOP, ANN), await now_ms(scripts) - 30_000
    for human_ms, was_muted in ((0, False), (20_000, False), (60_000, True)):
        await scripts.client.hset(human, mapping={"x" * HASH_BYTES: came, "unmuted": 0})
        assert await mutes.unmute(SHOP, ANN, human_ms) == was_muted
        assert not await mutes.unmute(SHOP, ANN, 60_000)
    await scripts.client.delete(human)


async def test_a_mute_that_is_over_was_none(scripts: Scripts, mutes: Mutes) -> None:
    """Though nobody has removed it yet."""
    past = await now_ms(scripts) - 1
    await scripts.client.zadd(scripts.p.muted, {conversation_field(SHOP, ANN): past})
    assert not await mutes.unmute(SHOP, ANN)


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
    assert not await mutes.unmute(SHOP, ANN, MUTE_MS)
    assert not await starts_muted(scripts)


@pytest.mark.parametrize("outcome", ["answered", "silent"])
async def test_a_finish_mutes_from_that_moment(
    scripts: Scripts, mutes: Mutes, outcome: str
) -> None:
    """With the reply, by one script: its own reply is kept, and the next window is muted."""
    epoch, window = await scripts.window_in_hand()
    one = structs.replace(ending(window, outcome=outcome, value=b"hi"), mute_ms=MUTE_MS)
    before_ms = await now_ms(scripts)
    assert await scripts.us.finish([one], RETENTION_MS) == [FinishCode.FINISHED]
    assert await scripts.client.xlen(scripts.p.outbox) == (outcome == "answered")
    until = await scripts.client.zscore(scripts.p.muted, conversation_field(SHOP, ANN))
    assert before_ms <= until - MUTE_MS <= await now_ms(scripts)
    await scripts.append("B")
    (answer,) = await scripts.us.start(epoch, [request(await scripts.read_window(epoch), T2)])
    assert answer.is_muted
    # the answer was lost
    assert await scripts.us.finish([one], RETENTION_MS) != [FinishCode.FINISHED]
    assert await scripts.client.zscore(scripts.p.muted, conversation_field(SHOP, ANN)) == until
    await mutes.unmute(SHOP, ANN)


async def test_a_finish_shortens_no_mute(scripts: Scripts, mutes: Mutes) -> None:
    """What a person decided for longer stays."""
    until = await mutes.mute(SHOP, ANN, MUTE_MS)
    _, window = await scripts.window_in_hand()
    await scripts.us.finish([structs.replace(ending(window), mute_ms=1000)], RETENTION_MS)
    assert await scripts.client.zscore(scripts.p.muted, conversation_field(SHOP, ANN)) == until


async def test_a_refused_finish_mutes_nobody(scripts: Scripts) -> None:
    """A stale worker's handler decides about nobody any more."""
    _, window = await scripts.window_in_hand()
    stale = structs.replace(ending(window, T2), mute_ms=MUTE_MS)
    assert await scripts.us.finish([stale], RETENTION_MS) == [FinishCode.REFUSED]
    assert not await scripts.client.exists(scripts.p.muted)


async def test_a_reply_is_dropped_where_somebody_was_faster(scripts: Scripts, mutes: Mutes) -> None:
    """Muted while the handler was at work: no outbox, no memory; another user's reply is kept."""
    ann, bob, cid = await three_in_hand(scripts)
    await mutes.mute(SHOP, ann.user, MUTE_MS)
    await mutes.mute(SHOP, cid.user, MUTE_MS)
    memory = Memory(item=b"hi", keep=10, keep_ms=60_000)
    answers = await scripts.us.finish(
        [
            ending(ann, T1, "answered", b"hi", memory),
            ending(bob, T2, "answered", b"hi", memory),
            ending(cid, T3, "dead", b"letter"),
        ],
        RETENTION_MS,
    )
    assert answers == [FinishCode.MUTED, FinishCode.FINISHED, FinishCode.FINISHED]
    assert await scripts.client.xlen(scripts.p.outbox) == 1
    assert await scripts.us.history(ann.conversation) == ()
    assert await scripts.us.history(bob.conversation) == (b"hi",)
    rows = await scripts.client.xrange(scripts.p.journal)
    assert [row[b"what"] for _, row in rows] == [b"muted", b"answered", b"dead"]


async def test_a_mute_that_is_over_drops_no_reply(scripts: Scripts) -> None:
    """It ended while the handler was at work, and nothing has taken it away yet."""
    _, window = await scripts.window_in_hand()
    await scripts.client.zadd(scripts.p.muted, {conversation_field(SHOP, ANN): 1})
    answered = ending(window, outcome="answered", value=b"hi")
    assert await scripts.us.finish([answered], RETENTION_MS) == [FinishCode.FINISHED]
    assert await scripts.client.xlen(scripts.p.outbox) == 1


async def test_a_key_of_another_type_drops_no_reply(scripts: Scripts) -> None:
    """Somebody else writes into this Redis: the user is answered."""
    _, window = await scripts.window_in_hand()
    await scripts.client.set(scripts.p.muted, "x")
    one = structs.replace(ending(window, outcome="answered", value=b"hi"), mute_ms=MUTE_MS)
    assert await scripts.us.finish([one], RETENTION_MS) == [FinishCode.FINISHED]
    assert await scripts.client.xlen(scripts.p.outbox) == 1
