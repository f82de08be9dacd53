"""start, postpone, finish: a window from closed to done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from consumer.store import FinishCode, StartCode
from shared.errors import BrokerRefused, Fenced
from shared.keys import GROUP, conversation_hash
from shared.model import Token
from shared.wire import FIELD
from tests.support.partition_scripts import (
    SHOP,
    T1,
    T2,
    T3,
    THEM,
    US,
    Scripts,
    request,
    window_of,
)


async def closed_window(scripts: Scripts, *message_ids: str) -> tuple[int, Any]:
    """Entries of ours in hand that no record holds yet: the epoch and their window."""
    for message_id in message_ids or ("A",):
        await scripts.append(message_id)
    epoch = await scripts.acquire()
    return epoch, await scripts.read_window(epoch)


class TestStart:
    async def test_writes_the_frozen_record(self, scripts: Scripts) -> None:
        """Extent, token, worker and attempt stand there, with Redis's time."""
        epoch, window = await closed_window(scripts, "A", "B")
        before_ms = (await scripts.us.peek()).now_ms
        (answer,) = await scripts.us.start(epoch, [request(window, T1)])
        assert (answer.code, answer.attempt) == (StartCode.STARTED, 1)
        (record,) = await scripts.us.records([window.conversation])
        assert record is not None
        assert record.ids == tuple(entry.id for entry in window.entries)
        assert (record.window_id, record.closed_by) == (window.id, window.closed_by)
        assert (record.opened_at, record.closed_at) == (window.opened_at, window.closed_at)
        assert (record.token, record.worker, record.attempt) == (T1, US, 1)
        assert (record.retry_at, record.delay_ms, record.since) == (0, 0, 0)
        assert before_ms <= record.started == answer.now_ms

    async def test_repeated_call_is_the_same_attempt(self, scripts: Scripts) -> None:
        """Our token already stands there: the answer was lost, nothing is written again."""
        epoch, window = await closed_window(scripts)
        await scripts.begin(window, epoch)
        before = await scripts.snapshot()
        (again,) = await scripts.us.start(epoch, [request(window, T1)])
        assert (again.code, again.attempt) == (StartCode.STARTED, 1)
        assert await scripts.snapshot() == before

    async def test_adopts_our_own_record_under_its_token(self, scripts: Scripts) -> None:
        """After a takeover from ourselves: same token, same attempt, its handler never ran."""
        _, window = await scripts.window_in_hand()
        epoch = await scripts.acquire()
        (answer,) = await scripts.us.start(epoch, [request(window, T1, replaces=T1)])
        assert (answer.code, answer.attempt) == (StartCode.STARTED, 1)

    async def test_replaces_exactly_the_named_token(self, scripts: Scripts) -> None:
        """A dead worker's window runs again, with the same extent and the next attempt."""
        epoch, window = await scripts.window_in_hand()
        await scripts.release(epoch)
        epoch = await scripts.acquire(THEM)
        (answer,) = await scripts.them.start(epoch, [request(window, T3, replaces=T1)])
        assert (answer.code, answer.attempt) == (StartCode.STARTED, 2)
        record = await scripts.record()
        assert record is not None
        assert (record["token"], record["worker"]) == (T3, THEM)
        assert await scripts.finish(window, T1) is FinishCode.REFUSED

    @pytest.mark.parametrize("replaces", [None, T2])
    async def test_conflicts_with_any_other_token(
        self, scripts: Scripts, replaces: Token | None
    ) -> None:
        """Something stands there that the caller does not know: it must read again."""
        epoch, window = await scripts.window_in_hand()
        before = await scripts.snapshot()
        (answer,) = await scripts.us.start(epoch, [request(window, Token("us:1:9"), replaces)])
        assert answer.code is StartCode.CONFLICT
        assert await scripts.snapshot() == before

    async def test_conflicts_when_the_named_record_has_vanished(self, scripts: Scripts) -> None:
        """It was finished meanwhile; nothing may be put in its place."""
        epoch, window = await scripts.window_in_hand()
        await scripts.finish(window)
        (answer,) = await scripts.us.start(epoch, [request(window, T2, replaces=T1)])
        assert answer.code is StartCode.CONFLICT
        assert await scripts.record() is None

    async def test_conflicts_when_our_record_was_given_back(self, scripts: Scripts) -> None:
        """A start that arrives after its own postpone does not take the window again."""
        epoch, window = await scripts.window_in_hand()
        await scripts.us.postpone(window.conversation, T1, 1000, counts=True)
        before = await scripts.snapshot()
        for replaces in (None, T1):
            (answer,) = await scripts.us.start(epoch, [request(window, T1, replaces)])
            assert answer.code is StartCode.CONFLICT
        assert await scripts.snapshot() == before

    async def test_is_gone_when_the_first_entry_is_not_pending(self, scripts: Scripts) -> None:
        """A window that is finished already leaves no record behind."""
        epoch, window = await scripts.window_in_hand()
        await scripts.finish(window)
        before = await scripts.snapshot()
        (answer,) = await scripts.us.start(epoch, [request(window, T2)])
        assert answer.code is StartCode.GONE
        assert await scripts.snapshot() == before

    async def test_starts_many_and_answers_each(self, scripts: Scripts) -> None:
        """One refusal among them takes nothing from the others."""
        for user, instance in (("ann", SHOP), ("bob", "clinic"), ("cho", "mall")):
            await scripts.append("A", user=user, instance=instance)
        epoch = await scripts.acquire()
        names = (SHOP, "clinic", "mall")
        windows = [await scripts.read_window(epoch, name) for name in names]
        await scripts.begin(windows[1], epoch, T2)
        tokens = (T1, Token("us:1:8"), Token("us:1:9"))
        requests = [request(w, token) for w, token in zip(windows, tokens, strict=True)]
        answers = await scripts.us.start(epoch, requests)
        assert [answer.code for answer in answers] == [
            StartCode.STARTED,
            StartCode.CONFLICT,
            StartCode.STARTED,
        ]
        assert len(await scripts.us.running()) == 3

    @pytest.mark.parametrize("how", ["worker", "old epoch", "expired"])
    async def test_without_the_lease_nothing_starts(self, scripts: Scripts, how: str) -> None:
        """Wrong owner, an epoch that was replaced, a lease that ran out."""
        epoch, window = await closed_window(scripts)
        store = scripts.them if how == "worker" else scripts.us
        if how == "old epoch":
            await scripts.acquire()
        elif how == "expired":
            await scripts.client.delete(scripts.p.lease)
        before = await scripts.snapshot()
        with pytest.raises(Fenced):
            await store.start(epoch, [request(window, T1)])
        assert await scripts.snapshot() == before

    async def test_largest_window_starts_and_finishes(self, scripts: Scripts) -> None:
        """A thousand messages, the most that settings allow, in one record and one finish."""
        epoch, window = await closed_window(scripts, *map(str, range(100)))
        more = tuple(
            replace(window.entries[0], id=replace(window.entries[0].id, seq=10_000 + number))
            for number in range(900)
        )
        wide = replace(window, entries=window.entries + more)
        await scripts.begin(wide, epoch)
        assert await scripts.finish(wide) is FinishCode.FINISHED
        assert await scripts.pending() == {}


class TestPostpone:
    async def test_gives_the_record_to_nobody_until_later(self, scripts: Scripts) -> None:
        """The delay is kept beside the time, so that a clock step cannot stretch it."""
        _, window = await scripts.window_in_hand()
        assert await scripts.us.postpone(
            window.conversation, T1, 5000, counts=True, error="it's 500 „kaputt“"
        )
        (record,) = await scripts.us.records([window.conversation])
        assert record is not None
        assert (record.worker, record.attempt, record.delay_ms) == ("", 1, 5000)
        assert record.retry_at == pytest.approx((await scripts.us.peek()).now_ms + 5000, abs=2000)
        assert record.error == "it's 500 „kaputt“"
        assert record.ids == tuple(entry.id for entry in window.entries)
        assert await scripts.pending()

    async def test_repeated_call_takes_back_an_attempt_only_once(self, scripts: Scripts) -> None:
        """Its answer was lost: the second call finds the record nobody's and changes nothing."""
        _, window = await scripts.window_in_hand()
        for _ in range(3):
            assert await scripts.us.postpone(window.conversation, T1, 5000, counts=False)
            record = await scripts.record()
            assert record is not None
            assert record["attempt"] == 0
        before = await scripts.snapshot()
        assert await scripts.us.postpone(window.conversation, T1, 9000, counts=True)
        assert await scripts.snapshot() == before

    async def test_counted_and_uncounted_attempts_add_up(self, scripts: Scripts) -> None:
        """A crash or an error counts; what shutdown cut short does not."""
        epoch, window = await scripts.window_in_hand()
        tokens = [T1, T2, Token("us:1:3"), Token("us:1:4")]
        attempts = []
        for old, new, counts in zip(tokens, tokens[1:], (True, False, True), strict=False):
            await scripts.us.postpone(window.conversation, old, 0, counts=counts)
            (answer,) = await scripts.us.start(epoch, [request(window, new, replaces=old)])
            attempts.append(answer.attempt)
        assert attempts == [2, 2, 3]

    async def test_unavailability_is_dated_from_its_first_time(self, scripts: Scripts) -> None:
        """Later ones leave ``since`` alone; an error of another kind ends it."""
        epoch, window = await scripts.window_in_hand()
        user = window.conversation
        await scripts.us.postpone(user, T1, 0, counts=False, unavailable=True)
        first = await scripts.record()
        assert first is not None
        assert first["since"] > 0
        (answer,) = await scripts.us.start(epoch, [request(window, T2, replaces=T1)])
        assert answer.since == first["since"]
        await scripts.us.postpone(user, T2, 700, counts=False, unavailable=True)
        second = await scripts.record()
        assert second is not None
        assert (second["since"], second["delay"]) == (first["since"], 700)
        third = Token("us:1:3")
        (answer,) = await scripts.us.start(epoch, [request(window, third, replaces=T2)])
        assert answer.delay_ms == 700
        await scripts.us.postpone(user, third, 0, counts=True)
        ended = await scripts.record()
        assert ended is not None
        assert ended["since"] == 0

    async def test_being_cut_short_does_not_end_an_unavailability(self, scripts: Scripts) -> None:
        """Shutdown learns nothing of the endpoint, so its clock runs on."""
        epoch, window = await scripts.window_in_hand()
        await scripts.us.postpone(window.conversation, T1, 0, counts=False, unavailable=True)
        first = await scripts.record()
        await scripts.us.start(epoch, [request(window, T2, replaces=T1)])
        await scripts.us.postpone(window.conversation, T2, 0, counts=False)
        second = await scripts.record()
        assert first is not None
        assert second is not None
        assert second["since"] == first["since"]

    @pytest.mark.parametrize("token", [T2, T3, ""])
    async def test_foreign_token_is_refused(self, scripts: Scripts, token: str) -> None:
        """A stale attempt puts nothing off."""
        _, window = await scripts.window_in_hand()
        before = await scripts.snapshot()
        assert not await scripts.us.postpone(window.conversation, Token(token), 0, counts=True)
        assert await scripts.snapshot() == before

    async def test_finished_window_is_refused(self, scripts: Scripts) -> None:
        """There is no record any more."""
        _, window = await scripts.window_in_hand()
        await scripts.finish(window)
        assert not await scripts.us.postpone(window.conversation, T1, 0, counts=True)

    async def test_bell_rings_only_when_the_lease_is_anothers(self, scripts: Scripts) -> None:
        """The new owner waits for this user; we ourselves need no bell."""
        epoch, window = await scripts.window_in_hand()
        ring = await scripts.bell()
        await scripts.us.postpone(window.conversation, T1, 0, counts=True)
        assert await scripts.bell() == ring
        await scripts.us.start(epoch, [request(window, T2, replaces=T1)])
        await scripts.release(epoch)
        await scripts.acquire(THEM)
        await scripts.us.postpone(window.conversation, T2, 0, counts=True)
        assert await scripts.bell() > ring


class TestFinish:
    async def test_answer_goes_to_the_outbox_and_all_else_is_gone(self, scripts: Scripts) -> None:
        """Reply, journal, entries, pending, record: in one step."""
        _, window = await scripts.window_in_hand("A", "B")
        assert await scripts.finish(window, outcome="answered", value=b"hi") is FinishCode.FINISHED
        client, p = scripts.client, scripts.p
        ((reply_id, values),) = await client.xrange(p.outbox)
        assert values == {FIELD: b"hi"}
        assert await client.xlen(p.stream(SHOP)) == 0
        assert await scripts.pending() == {}
        assert await scripts.record() is None
        assert await client.xlen(p.dead) == 0
        ((_, noted),) = await client.xrange(p.journal)
        assert noted == {
            b"what": b"answered",
            b"window": window.id.encode(),
            b"who": conversation_hash(*window.conversation).encode(),
            b"ids": b" ".join(str(entry.id).encode() for entry in window.entries),
            b"attempt": b"1",
            b"ref": reply_id,
        }

    @pytest.mark.parametrize(
        "outcome, outbox, dead", [("silent", 0, 0), ("missing", 0, 0), ("dead", 0, 1)]
    )
    async def test_other_outcomes_are_noted_too(
        self, scripts: Scripts, outcome: str, outbox: int, dead: int
    ) -> None:
        """A dead letter is kept whole, silence leaves only the journal."""
        _, window = await scripts.window_in_hand()
        await scripts.finish(window, outcome=outcome, value=b"letter")
        client, p = scripts.client, scripts.p
        assert await client.xlen(p.outbox) == outbox
        assert [values for _, values in await client.xrange(p.dead)] == [{FIELD: b"letter"}] * dead
        ((_, noted),) = await client.xrange(p.journal)
        assert noted[b"what"] == outcome.encode()

    async def test_repeated_call_is_told_that_it_is_done(self, scripts: Scripts) -> None:
        """One reply, whatever became of the first answer."""
        _, window = await scripts.window_in_hand()
        await scripts.finish(window, outcome="answered", value=b"hi")
        before = await scripts.snapshot()
        assert await scripts.finish(window, outcome="answered", value=b"hi") is FinishCode.ALREADY
        assert await scripts.snapshot() == before

    @pytest.mark.parametrize("token", [T2, T3, ""])
    async def test_foreign_token_is_refused(self, scripts: Scripts, token: str) -> None:
        """A stale worker's result does not count, and nothing of it is written."""
        _, window = await scripts.window_in_hand()
        before = await scripts.snapshot()
        code = await scripts.finish(window, Token(token), "answered", b"stale")
        assert code is FinishCode.REFUSED
        assert await scripts.snapshot() == before

    async def test_without_a_record_it_is_refused_while_the_entry_stands(
        self, scripts: Scripts
    ) -> None:
        """Nobody finished it, so nobody may say so."""
        _, window = await closed_window(scripts)
        before = await scripts.snapshot()
        assert await scripts.finish(window, T1) is FinishCode.REFUSED
        assert await scripts.snapshot() == before

    async def test_other_entries_of_the_stream_stay(self, scripts: Scripts) -> None:
        """The user's next window and other users' are untouched."""
        await scripts.append("A")
        epoch = await scripts.acquire()
        window = await scripts.read_window(epoch)
        _, second = await scripts.append("B")
        _, other = await scripts.append("C", user="bob")
        await scripts.us.read(epoch, [(SHOP, 10)])
        await scripts.begin(window, epoch)
        await scripts.finish(window)
        assert list(await scripts.pending()) == [str(second), str(other)]

    async def test_finish_counts_though_the_lease_is_lost_and_rings(self, scripts: Scripts) -> None:
        """The window's own token guards it; whoever owns the partition is woken."""
        epoch, window = await scripts.window_in_hand()
        await scripts.release(epoch)
        await scripts.acquire(THEM)
        ring = await scripts.bell()
        assert await scripts.finish(window) is FinishCode.FINISHED
        assert await scripts.bell() > ring

    async def test_finish_of_the_owner_does_not_ring(self, scripts: Scripts) -> None:
        """It knows already."""
        _, window = await scripts.window_in_hand()
        ring = await scripts.bell()
        await scripts.finish(window)
        assert await scripts.bell() == ring

    async def test_entries_that_somebody_deleted_do_not_stop_it(self, scripts: Scripts) -> None:
        """With our token in the record the rest is finished."""
        _, window = await scripts.window_in_hand("A", "B")
        await scripts.client.xdel(scripts.p.stream(SHOP), str(window.entries[0].id))
        assert await scripts.finish(window) is FinishCode.FINISHED
        assert await scripts.pending() == {}

    async def test_refused_write_leaves_the_window_in_hand(self, scripts: Scripts) -> None:
        """The reply is written first: when that fails, nothing is acknowledged."""
        _, window = await scripts.window_in_hand()
        await scripts.client.set(scripts.p.outbox, "in the way")
        with pytest.raises(BrokerRefused, match="WRONGTYPE"):
            await scripts.finish(window, outcome="answered", value=b"hi")
        assert await scripts.record() is not None
        assert list(await scripts.pending()) == [str(window.entries[0].id)]
        await scripts.client.delete(scripts.p.outbox)
        code = await scripts.finish(window, outcome="answered", value=b"hi")
        assert code is FinishCode.FINISHED

    async def test_journal_forgets_what_is_older_than_its_retention(self, scripts: Scripts) -> None:
        """It is trimmed by time, in whole nodes of the stream."""
        client, p = scripts.client, scripts.p
        for number in range(1, 301):
            await client.xadd(p.journal, {"what": "old"}, id=f"{number}-0")
        _, window = await scripts.window_in_hand()
        await scripts.finish(window)
        assert await client.xlen(p.journal) < 200


async def test_window_of_entries_is_what_was_appended(scripts: Scripts) -> None:
    """The helpers of these tests themselves: nobody starts a window that is not there."""
    _, window = await closed_window(scripts, "A", "B")
    assert window == window_of(SHOP, list(window.entries))
    assert [entry.message.message_id for entry in window.entries] == ["A", "B"]
    assert (await scripts.client.xpending(scripts.p.stream(SHOP), GROUP))["pending"] == 2
