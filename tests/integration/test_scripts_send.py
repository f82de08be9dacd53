"""send, unsend, sent: a reply from the outbox to the journal."""

from __future__ import annotations

import orjson
import pytest

from consumer.outbox import Begun, Progress, SendCode
from shared.errors import Fenced
from shared.model import EntryId, Token
from shared.wire import OutboxReply, encode_reply
from tests.support.partition_scripts import RETENTION_MS, THEM, Scripts, reply_to

S1, S2, S3 = Token("us:1:send-1"), Token("us:1:send-2"), Token("them:2:send-1")


async def waiting_reply(scripts: Scripts) -> tuple[int, EntryId, OutboxReply]:
    """A window's reply in the outbox: the epoch, the reply's id, the reply."""
    epoch, window = await scripts.window_in_hand()
    reply = reply_to(window, "one", "two")
    await scripts.finish(window, outcome="answered", value=encode_reply(reply))
    ((reply_id, read),) = await scripts.our_outbox.page(None)
    assert read == reply
    return epoch, reply_id, reply


def sending(attempt: int, sent: int, reply: OutboxReply, parts: int = 0) -> Begun:
    """A send that has begun."""
    progress = Progress(sent, parts)
    return Begun(code=SendCode.SENDING, attempt=attempt, progress=progress, reply=reply)


async def test_send_writes_a_record_before_the_provider_is_called(scripts: Scripts) -> None:
    """Token, worker, attempt, and how many of the texts have left; its answer is the reply."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    begun = await scripts.our_outbox.send(epoch, reply_id, None, S1)
    assert begun == sending(1, 0, reply)
    record = (await scripts.our_outbox.sending())[reply_id]
    assert (record.token, record.worker, record.attempt, record.sent) == (S1, "us", 1, 0)
    assert (record.held, record.retry_at, record.delay_ms) == ("", 0, 0)


async def test_repeated_send_is_the_same_attempt(scripts: Scripts) -> None:
    """The answer was lost; the token that stands there is ours."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    await scripts.our_outbox.send(epoch, reply_id, None, S1)
    before = await scripts.snapshot()
    again = sending(1, 0, reply)
    assert await scripts.our_outbox.send(epoch, reply_id, None, S1) == again
    assert await scripts.our_outbox.send(epoch, reply_id, S1, S1) == again
    assert await scripts.snapshot() == before


async def test_send_replaces_exactly_the_named_token(scripts: Scripts) -> None:
    """The next attempt goes on after the texts that have left."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    assert (await outbox.send(epoch, reply_id, None, S2)).code is SendCode.CONFLICT
    assert (await outbox.send(epoch, reply_id, S3, S2)).code is SendCode.CONFLICT
    assert await outbox.unsend(reply_id, S1, 100, progress=Progress(1, 0))
    assert (await outbox.send(epoch, reply_id, S1, S1)).code is SendCode.CONFLICT
    assert await outbox.send(epoch, reply_id, S1, S2) == sending(2, 1, reply)


async def test_what_has_left_is_noted_while_a_send_goes_on(scripts: Scripts) -> None:
    """The next worker goes on behind it; the attempt is the same, and a repeat changes nothing."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    for _ in range(2):
        assert await outbox.advance(reply_id, S1, Progress(1, 2))
        assert await outbox.send(epoch, reply_id, None, S1) == sending(1, 1, reply, parts=2)
    record = (await outbox.sending())[reply_id]
    assert (record.token, record.worker, record.attempt) == (S1, "us", 1)
    assert await outbox.send(epoch, reply_id, S1, S2) == sending(2, 1, reply, parts=2)


async def test_only_who_sends_may_say_what_has_left(scripts: Scripts) -> None:
    """Another's token, a send that was given back, one that is over: nothing changes."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    assert not await outbox.advance(reply_id, S1, Progress(1, 0))
    await outbox.send(epoch, reply_id, None, S1)
    assert not await outbox.advance(reply_id, S2, Progress(1, 0))
    await outbox.unsend(reply_id, S1, 100)
    before = await scripts.snapshot()
    assert not await outbox.advance(reply_id, S1, Progress(1, 0))
    assert await scripts.snapshot() == before
    await outbox.sent(reply_id, reply, S1, "sent", RETENTION_MS)
    assert not await outbox.advance(reply_id, S1, Progress(1, 0))


async def test_parts_of_a_text_are_counted_beside_whole_texts(scripts: Scripts) -> None:
    """A repeated begin and the next attempt both know how much of the text at hand has left."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    assert await outbox.unsend(reply_id, S1, 100, progress=Progress(1, 3))
    assert await outbox.send(epoch, reply_id, S1, S2) == sending(2, 1, reply, parts=3)
    assert await outbox.send(epoch, reply_id, S2, S2) == sending(2, 1, reply, parts=3)
    assert (await outbox.sending())[reply_id].parts == 3


async def test_a_record_of_a_version_without_parts_goes_on_behind_its_texts(
    scripts: Scripts,
) -> None:
    """Its ``sent`` counts whole texts, then as now: none is lost and none is doubled."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    await outbox.unsend(reply_id, S1, 100, progress=Progress(1, 0))
    field = str(reply_id)
    record = orjson.loads(await scripts.client.hget(scripts.p.sending, field))
    del record["parts"]
    await scripts.client.hset(scripts.p.sending, field, orjson.dumps(record))
    assert (await outbox.sending())[reply_id].parts == 0
    assert await outbox.send(epoch, reply_id, S1, S2) == sending(2, 1, reply)


async def test_send_of_a_reply_that_somebody_deleted_is_gone(scripts: Scripts) -> None:
    """Also when it had begun: there is nothing to send any more."""
    epoch, reply_id, _ = await waiting_reply(scripts)
    await scripts.our_outbox.send(epoch, reply_id, None, S1)
    await scripts.client.xdel(scripts.p.outbox, str(reply_id))
    assert (await scripts.our_outbox.send(epoch, reply_id, S1, S1)).code is SendCode.GONE


async def test_send_of_a_reply_that_has_left_is_gone(scripts: Scripts) -> None:
    """Another worker sent it."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    assert await scripts.our_outbox.sent(reply_id, reply, None, "kept", RETENTION_MS)
    assert (await scripts.our_outbox.send(epoch, reply_id, None, S1)).code is SendCode.GONE
    assert await scripts.our_outbox.sending() == {}


@pytest.mark.parametrize("how", ["old epoch", "expired", "other owner"])
async def test_without_the_lease_no_send_begins(scripts: Scripts, how: str) -> None:
    """A worker that slept calls no provider."""
    epoch, reply_id, _ = await waiting_reply(scripts)
    if how == "old epoch":
        await scripts.acquire()
    else:
        await scripts.client.delete(scripts.p.lease)
    if how == "other owner":
        await scripts.acquire(THEM)
    before = await scripts.snapshot()
    with pytest.raises(Fenced):
        await scripts.our_outbox.send(epoch, reply_id, None, S1)
    assert await scripts.snapshot() == before


async def test_unsend_gives_back_once(scripts: Scripts) -> None:
    """A repeated call changes nothing; a foreign token is refused."""
    epoch, reply_id, _ = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    assert not await outbox.unsend(reply_id, S2, 0)
    assert await outbox.unsend(reply_id, S1, 5000, progress=Progress(1, 0))
    before = await scripts.snapshot()
    assert await outbox.unsend(reply_id, S1, 9000, held="why", progress=Progress(2, 0))
    assert await scripts.snapshot() == before
    record = (await outbox.sending())[reply_id]
    assert (record.worker, record.sent, record.delay_ms, record.held) == ("", 1, 5000, "")
    assert record.retry_at == pytest.approx((await scripts.us.peek()).now_ms + 5000, abs=2000)


async def test_unsend_may_hold_for_a_person_and_leave_the_count(scripts: Scripts) -> None:
    """A reply that was refused waits in the outbox with its reason."""
    epoch, reply_id, _ = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    await outbox.send(epoch, reply_id, None, S1)
    await outbox.unsend(reply_id, S1, 0, progress=Progress(1, 2))
    await outbox.send(epoch, reply_id, S1, S2)
    await outbox.unsend(reply_id, S2, 0, held="refused: „nein“")
    record = (await outbox.sending())[reply_id]
    assert (record.sent, record.parts, record.held) == (1, 2, "refused: „nein“")
    assert len(await outbox.page(None)) == 1


async def test_an_attempt_that_unsend_does_not_count_is_taken_back(scripts: Scripts) -> None:
    """The next send is the same attempt; one that counts makes it the next."""
    epoch, reply_id, _ = await waiting_reply(scripts)
    outbox = scripts.our_outbox
    tokens = [S1, S2, Token("us:1:send-3"), Token("us:1:send-4")]
    attempts = [(await outbox.send(epoch, reply_id, None, S1)).attempt]
    for old, new, counts in zip(tokens, tokens[1:], (False, True, False), strict=False):
        await outbox.unsend(reply_id, old, 0, counts=counts)
        attempts.append((await outbox.send(epoch, reply_id, old, new)).attempt)
    assert attempts == [1, 1, 2, 2]


async def test_unsend_without_a_record_is_refused(scripts: Scripts) -> None:
    """Nothing was begun."""
    _, reply_id, _ = await waiting_reply(scripts)
    assert not await scripts.our_outbox.unsend(reply_id, S1, 0)


@pytest.mark.parametrize("token, what", [(S1, "sent"), (None, "kept")])
async def test_sent_moves_the_reply_to_the_journal(
    scripts: Scripts, token: Token | None, what: str
) -> None:
    """Once: outbox and record are gone, and a repeated call says that it is done."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    if token is not None:
        await scripts.our_outbox.send(epoch, reply_id, None, token)
    assert await scripts.our_outbox.sent(reply_id, reply, token, what, RETENTION_MS)
    client, p = scripts.client, scripts.p
    assert await client.xlen(p.outbox) == 0
    assert await scripts.our_outbox.sending() == {}
    _, (_, noted) = await client.xrange(p.journal)
    assert noted[b"what"] == what.encode()
    assert noted[b"ref"] == str(reply_id).encode()
    assert noted[b"window"] == reply.window_id.encode()
    before = await scripts.snapshot()
    assert await scripts.our_outbox.sent(reply_id, reply, token, what, RETENTION_MS)
    assert await scripts.snapshot() == before


async def test_what_was_sent_is_forgotten_after_its_retention(scripts: Scripts) -> None:
    """Older rows of the journal leave as a new one comes, in whole nodes of the stream."""
    client, p = scripts.client, scripts.p
    _, reply_id, reply = await waiting_reply(scripts)
    await client.delete(p.journal)
    for number in range(1, 301):
        await client.xadd(p.journal, {"what": "sent"}, id=f"{number}-0")
    assert await scripts.our_outbox.sent(reply_id, reply, None, "sent", RETENTION_MS)
    assert await client.xlen(p.journal) < 200


async def test_sent_by_a_stale_token_is_refused(scripts: Scripts) -> None:
    """Another attempt has it now, or none was begun."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    assert not await scripts.our_outbox.sent(reply_id, reply, S1, "sent", RETENTION_MS)
    await scripts.our_outbox.send(epoch, reply_id, None, S1)
    before = await scripts.snapshot()
    for token in (None, S2):
        assert not await scripts.our_outbox.sent(reply_id, reply, token, "sent", RETENTION_MS)
    assert await scripts.snapshot() == before


@pytest.mark.parametrize("end", ["sent", "unsend"])
@pytest.mark.parametrize("is_ours", [True, False])
async def test_bell_rings_only_when_the_lease_is_anothers(
    scripts: Scripts, end: str, is_ours: bool
) -> None:
    """The new owner waits for this user's replies."""
    epoch, reply_id, reply = await waiting_reply(scripts)
    await scripts.our_outbox.send(epoch, reply_id, None, S1)
    if not is_ours:
        await scripts.release(epoch)
        await scripts.acquire(THEM)
    ring = await scripts.bell()
    if end == "sent":
        await scripts.our_outbox.sent(reply_id, reply, S1, "sent", RETENTION_MS)
    else:
        await scripts.our_outbox.unsend(reply_id, S1, 0)
    assert (await scripts.bell() == ring) is is_ours


async def test_page_gives_what_follows_and_marks_what_cannot_be_read(scripts: Scripts) -> None:
    """In order, after an id; a damaged reply is None and stops nobody."""
    _, first, reply = await waiting_reply(scripts)
    await scripts.client.xadd(scripts.p.outbox, {"m": "damaged"})
    await scripts.client.xadd(scripts.p.outbox, {"m": encode_reply(reply)})
    page = await scripts.our_outbox.page(first)
    assert [read for _, read in page] == [None, reply]
    assert await scripts.our_outbox.page(page[-1][0]) == []
