"""start, postpone: a window from closed to in hand, and back."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consumer.answers import FinishCode, StartCode
from shared.errors import Fenced
from shared.keys import GROUP
from shared.model import Token
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


class TestStart:
    async def test_writes_the_frozen_record(self, scripts: Scripts) -> None:
        """Extent, token, worker and attempt stand there, with Redis's time."""
        epoch, window = await scripts.closed_window("A", "B")
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
        epoch, window = await scripts.closed_window()
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

    async def test_another_window_in_a_records_place_is_a_first_attempt(
        self, scripts: Scripts
    ) -> None:
        """As where Redis lost writes: what was tried, and since when, is of the window before."""
        epoch, window = await scripts.window_in_hand()
        await scripts.us.postpone(window.conversation, T1, 500, counts=False, unavailable=True)
        await scripts.append("B")
        other = await scripts.read_window(epoch)
        (answer,) = await scripts.us.start(epoch, [request(other, T2, replaces=T1)])
        assert (answer.code, answer.attempt) == (StartCode.STARTED, 1)
        assert (answer.delay_ms, answer.since) == (0, 0)

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
        assert len((await scripts.us.running())[0]) == 3

    @pytest.mark.parametrize("how", ["worker", "old epoch", "expired"])
    async def test_without_the_lease_nothing_starts(self, scripts: Scripts, how: str) -> None:
        """Wrong owner, an epoch that was replaced, a lease that ran out."""
        epoch, window = await scripts.closed_window()
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
        epoch, window = await scripts.closed_window(*map(str, range(100)))
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


async def test_window_of_entries_is_what_was_appended(scripts: Scripts) -> None:
    """The helpers of these tests themselves: nobody starts a window that is not there."""
    _, window = await scripts.closed_window("A", "B")
    assert window == window_of(SHOP, list(window.entries))
    assert [entry.message.message_id for entry in window.entries] == ["A", "B"]
    assert (await scripts.client.xpending(scripts.p.stream(SHOP), GROUP))["pending"] == 2
