"""resend and discard: a person decides about a reply that did not leave."""

from __future__ import annotations

import pytest

from consumer.outbox import Progress, SendCode
from shared.errors import BrokerRefused
from shared.keys import Keys
from shared.model import EntryId, Token
from shared.record import REFUSED
from shared.trace.whereabouts import ReplyState
from shared.unsent import DiscardCode, ReplyId, ResendCode, Unsent
from shared.wire import encode_reply
from tests.support.partition_scripts import ANN, RETENTION_MS, SHOP, Scripts, reply_to

S1, S2 = Token("us:1:send-1"), Token("us:1:send-2")


@pytest.fixture
def unsent(scripts: Scripts, prefix: str) -> Unsent:
    """Of the partition of the scripts, which is the only one."""
    return Unsent(scripts.pipe, Keys(prefix, 1))


async def begun_reply(scripts: Scripts) -> tuple[int, EntryId]:
    """A reply whose send has begun under ``S1``: epoch and id."""
    epoch, window = await scripts.window_in_hand()
    reply = reply_to(window, "one", "two")
    await scripts.finish(window, outcome="answered", value=encode_reply(reply))
    ((reply_id, _),) = await scripts.our_outbox.page(None)
    await scripts.our_outbox.send(epoch, reply_id, None, S1)
    return epoch, reply_id


async def held_reply(scripts: Scripts, why: str = "loop limit") -> tuple[int, EntryId]:
    """A reply whose first text has left, and which then was held."""
    epoch, reply_id = await begun_reply(scripts)
    await scripts.our_outbox.unsend(reply_id, S1, 0, held=why, progress=Progress(1, 0))
    return epoch, reply_id


async def test_a_held_reply_is_sent_behind_what_has_left(scripts: Scripts, unsent: Unsent) -> None:
    """The owner hears of it; the next send replaces the token, as the first attempt."""
    epoch, reply_id = await held_reply(scripts)
    ring = await scripts.bell()
    assert await unsent.resend(ReplyId(reply_id, 0)) is ResendCode.RELEASED
    assert await scripts.bell() > ring
    begun = await scripts.our_outbox.send(epoch, reply_id, S1, S2)
    assert (begun.code, begun.attempt, begun.progress) == (SendCode.SENDING, 1, Progress(1, 0))


async def test_a_repeated_resend_changes_nothing(scripts: Scripts, unsent: Unsent) -> None:
    """The answer was lost, or two people decide: it waits for nobody any more."""
    await held_reply(scripts)
    [reply_id] = await unsent.undecided_ids()
    await unsent.resend(reply_id)
    before = await scripts.snapshot()
    assert await unsent.resend(reply_id) is ResendCode.NOT_HELD
    assert await scripts.snapshot() == before


async def test_a_late_hold_does_not_undo_a_resend(scripts: Scripts, unsent: Unsent) -> None:
    """The worker's answer was lost, and it says again why it held the reply."""
    epoch, reply_id = await held_reply(scripts)
    await unsent.resend(ReplyId(reply_id, 0))
    await scripts.our_outbox.unsend(reply_id, S1, 0, held="loop limit")
    assert (await scripts.our_outbox.send(epoch, reply_id, S1, S2)).code is SendCode.SENDING
    assert not await scripts.our_outbox.unsend(reply_id, S1, 0, held="loop limit")


async def test_what_is_on_its_way_is_not_touched(scripts: Scripts, unsent: Unsent) -> None:
    """A worker has it in hand: whatever is decided now comes too late, or too early."""
    _, entry = await begun_reply(scripts)
    reply_id = ReplyId(entry, 0)
    before = await scripts.snapshot()
    assert await unsent.resend(reply_id) is ResendCode.NOT_HELD
    assert await unsent.discard(reply_id) is DiscardCode.SENDING
    assert await scripts.snapshot() == before


async def test_a_discarded_reply_is_gone(scripts: Scripts, unsent: Unsent) -> None:
    """The journal says so; a late word of its worker is refused, and nothing of it is left."""
    epoch, entry = await held_reply(scripts)
    reply_id, ring = ReplyId(entry, 0), await scripts.bell()
    assert await unsent.discard(reply_id) is DiscardCode.DISCARDED
    assert await scripts.bell() > ring
    assert not await scripts.client.exists(scripts.p.sending)
    assert await scripts.client.xlen(scripts.p.outbox) == 0
    _, last = (await scripts.client.xrange(scripts.p.journal))[-1]
    assert (last[b"what"], last[b"ref"]) == (b"discarded", str(entry).encode())
    assert await unsent.discard(reply_id) is DiscardCode.GONE
    assert await unsent.resend(reply_id) is ResendCode.GONE
    for replaces in (None, S1):
        assert (await scripts.our_outbox.send(epoch, entry, replaces, S2)).code is SendCode.GONE
    assert not await scripts.our_outbox.unsend(entry, S1, 0, held="loop limit")


async def test_a_reply_stays_where_its_end_cannot_be_noted(
    scripts: Scripts, unsent: Unsent
) -> None:
    """The journal comes first: when that is refused, nothing is thrown away."""
    _, entry = await held_reply(scripts)
    await scripts.client.delete(scripts.p.journal)
    await scripts.client.set(scripts.p.journal, "in the way")
    before = await scripts.snapshot()
    with pytest.raises(BrokerRefused, match="WRONGTYPE"):
        await unsent.discard(ReplyId(entry, 0))
    assert await scripts.snapshot() == before


async def test_a_reply_that_waits_may_be_discarded(scripts: Scripts, unsent: Unsent) -> None:
    """Before its first send, and while a send that failed is to be repeated."""
    epoch, entry = await begun_reply(scripts)
    await scripts.our_outbox.unsend(entry, S1, 60_000, error="the provider answered 500")
    found = await unsent.show(ReplyId(entry, 0))
    assert found is not None
    assert found.state is ReplyState.RETRYING
    assert found.record is not None
    assert found.record.error == "the provider answered 500"
    assert await unsent.discard(ReplyId(entry, 0)) is DiscardCode.DISCARDED
    again = await scripts.client.xadd(scripts.p.outbox, {"m": "not json"})
    damaged = ReplyId(EntryId.parse(again), 0)
    await scripts.client.hset(scripts.p.sending, again, "nonsense")
    shown = await unsent.show(damaged)
    assert shown is not None
    assert (shown.reply, shown.record) == (None, None)
    assert await unsent.discard(damaged) is DiscardCode.DISCARDED
    assert not await scripts.client.exists(scripts.p.sending)
    assert epoch


@pytest.mark.parametrize(
    "why, state", [("loop limit", ReplyState.HELD), (f"{REFUSED}400", ReplyState.FAILED)]
)
async def test_what_waits_for_a_person_is_found(
    scripts: Scripts, unsent: Unsent, why: str, state: ReplyState
) -> None:
    """Held or failed, beside those that wait for nobody and records that cannot be read."""
    _, entry = await held_reply(scripts, why)
    await scripts.client.hset(scripts.p.sending, "1-1", "nonsense")
    await scripts.client.xadd(scripts.p.outbox, {"m": "not json"})
    assert await unsent.undecided_ids() == [ReplyId(entry, 0)]
    [shown] = await unsent.shown(await unsent.undecided_ids())
    assert shown.state is state
    assert shown.reply is not None
    assert shown.reply.texts == ("one", "two")
    assert [found.state for found in await unsent.newest(5)] == [ReplyState.WAITING, state]
    assert len(await unsent.newest(1)) == 1


async def test_a_partition_that_is_none_has_no_replies(unsent: Unsent) -> None:
    """An id with a number that these data do not have."""
    nowhere = ReplyId(EntryId(1, 1), 99)
    assert await unsent.show(nowhere) is None
    assert await unsent.resend(nowhere) is ResendCode.GONE
    assert await unsent.discard(nowhere) is DiscardCode.GONE


async def test_a_sent_reply_is_gone(scripts: Scripts, unsent: Unsent) -> None:
    """Whoever decides about it comes too late."""
    _, entry = await begun_reply(scripts)
    ((_, reply),) = await scripts.our_outbox.page(None)
    assert reply is not None
    await scripts.our_outbox.sent(entry, reply, S1, "sent", RETENTION_MS)
    assert await unsent.resend(ReplyId(entry, 0)) is ResendCode.GONE
    assert await unsent.discard(ReplyId(entry, 0)) is DiscardCode.GONE
    p, before = scripts.p, await scripts.snapshot()
    keys = (p.sending, p.outbox, p.journal, p.bell, *p.both_seen(SHOP, ANN))
    code = await scripts.run("discard", keys, str(entry), "w_a", "who", reply.first_hash)
    assert code == DiscardCode.GONE, "also of one that was there when it was looked at"
    assert await scripts.snapshot() == before
