"""``finish`` on a real Redis: one outcome per window, whatever came back of the first try."""

from __future__ import annotations

import pytest

from consumer.answers import FinishCode
from shared.errors import BrokerRefused
from shared.keys import conversation_hash
from shared.model import Token
from shared.wire import FIELD
from tests.support.partition_scripts import (
    RETENTION_MS,
    SHOP,
    T1,
    T2,
    T3,
    THEM,
    Scripts,
    ending,
    three_in_hand,
)


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
            b"opened": str(window.opened_at).encode(),
            b"closed": str(window.closed_at).encode(),
            b"by": window.closed_by.encode(),
            b"started": noted[b"started"],
            b"failed": b"",
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

    async def test_foreign_token_is_refused_though_the_entries_are_gone(
        self, scripts: Scripts
    ) -> None:
        """Somebody deleted them: the window is another's all the same, and is not finished."""
        _, window = await scripts.window_in_hand()
        await scripts.client.xdel(scripts.p.stream(SHOP), str(window.entries[0].id))
        assert await scripts.finish(window, T2, "answered", b"stale") is FinishCode.REFUSED

    async def test_without_a_record_it_is_refused_while_the_entry_stands(
        self, scripts: Scripts
    ) -> None:
        """Nobody finished it, so nobody may say so."""
        _, window = await scripts.closed_window()
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
        await scripts.read(epoch, [(SHOP, 10)])
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
        refused = await scripts.finish(window, outcome="answered", value=b"hi")
        assert isinstance(refused, BrokerRefused)
        assert refused.code == "WRONGTYPE"
        assert await scripts.record() is not None
        assert list(await scripts.pending()) == [str(window.entries[0].id)]
        await scripts.client.delete(scripts.p.outbox)
        code = await scripts.finish(window, outcome="answered", value=b"hi")
        assert code is FinishCode.FINISHED

    async def test_failing_finish_adds_no_reply_however_often_it_is_repeated(
        self, scripts: Scripts
    ) -> None:
        """Something stands in the stream's place: what is repeated for ever leaves nothing."""
        _, window = await scripts.window_in_hand()
        await scripts.client.set(scripts.p.stream(SHOP), "in the way")
        for _ in range(2):
            refused = await scripts.finish(window, outcome="answered", value=b"hi")
            assert isinstance(refused, BrokerRefused)
            assert refused.code == "WRONGTYPE"
        assert await scripts.client.xlen(scripts.p.outbox) == 0
        assert await scripts.client.xlen(scripts.p.journal) == 0
        assert await scripts.record() is not None

    async def test_journal_forgets_what_is_older_than_its_retention(self, scripts: Scripts) -> None:
        """It is trimmed by time, in whole nodes of the stream."""
        client, p = scripts.client, scripts.p
        for number in range(1, 301):
            await client.xadd(p.journal, {"what": "old"}, id=f"{number}-0")
        _, window = await scripts.window_in_hand()
        await scripts.finish(window)
        assert await client.xlen(p.journal) < 200


class TestFinishOfMany:
    async def test_each_window_gets_its_own_outcome(self, scripts: Scripts) -> None:
        """One script, a reply, a dead letter and a silence, and no stream holds anything."""
        ann, bob, cid = await three_in_hand(scripts)
        endings = [
            ending(ann, T1, "answered", b"hi"),
            ending(bob, T2, "dead", b"letter"),
            ending(cid, T3),
        ]
        assert await scripts.us.finish(endings, RETENTION_MS) == [FinishCode.FINISHED] * 3
        client, p = scripts.client, scripts.p
        assert [values for _, values in await client.xrange(p.outbox)] == [{FIELD: b"hi"}]
        assert [values for _, values in await client.xrange(p.dead)] == [{FIELD: b"letter"}]
        noted = [values for _, values in await client.xrange(p.journal)]
        assert [one[b"window"].decode() for one in noted] == [ann.id, bob.id, cid.id]
        assert [one[b"what"] for one in noted] == [b"answered", b"dead", b"silent"]
        assert await client.xlen(p.stream(SHOP)) == await client.xlen(p.stream("clinic")) == 0
        assert await scripts.pending() == await scripts.pending("clinic") == {}
        assert not await client.exists(p.running)

    async def test_all_answers_lost_are_told_again(self, scripts: Scripts) -> None:
        """The same script once more changes nothing; what was not in it yet is finished."""
        ann, bob, cid = await three_in_hand(scripts)
        first = [ending(ann, T1, "answered", b"hi"), ending(cid, T3, "dead", b"letter")]
        await scripts.us.finish(first, RETENTION_MS)
        before = await scripts.snapshot()
        assert await scripts.us.finish(first, RETENTION_MS) == [FinishCode.ALREADY] * 2
        assert await scripts.snapshot() == before
        again = [*first, ending(bob, T2)]
        assert await scripts.us.finish(again, RETENTION_MS) == [
            FinishCode.ALREADY,
            FinishCode.ALREADY,
            FinishCode.FINISHED,
        ]

    async def test_foreign_token_refuses_that_window_alone(self, scripts: Scripts) -> None:
        """The stale result leaves no trace, those around it count."""
        ann, bob, cid = await three_in_hand(scripts)
        endings = [ending(ann, T1), ending(bob, T3, "answered", b"stale"), ending(cid, T3)]
        assert await scripts.us.finish(endings, RETENTION_MS) == [
            FinishCode.FINISHED,
            FinishCode.REFUSED,
            FinishCode.FINISHED,
        ]
        assert await scripts.client.xlen(scripts.p.outbox) == 0
        assert (await scripts.record("bob") or {})["token"] == T2
        assert list(await scripts.pending()) == [str(bob.entries[0].id)]

    async def test_window_that_cannot_be_finished_stops_no_other(self, scripts: Scripts) -> None:
        """A record that nobody can read: its finish fails, and nothing else does."""
        ann, bob, cid = await three_in_hand(scripts)
        field = "shop\0bob"
        await scripts.client.hset(scripts.p.running, field, "no record")
        endings = [ending(ann, T1), ending(bob, T2), ending(cid, T3, "answered", b"hi")]
        answers = await scripts.us.finish(endings, RETENTION_MS)
        assert answers[::2] == [FinishCode.FINISHED] * 2
        assert isinstance(answers[1], BrokerRefused)
        assert list(await scripts.pending()) == [str(bob.entries[0].id)]
        assert await scripts.client.hkeys(scripts.p.running) == [field.encode()]
        assert await scripts.client.xlen(scripts.p.outbox) == 1

    async def test_refused_write_stops_no_other(self, scripts: Scripts) -> None:
        """The outbox takes nothing: what is answered stays in hand, what is silent is finished."""
        ann, bob, cid = await three_in_hand(scripts)
        await scripts.client.set(scripts.p.outbox, "in the way")
        endings = [ending(ann, T1, "answered", b"hi"), ending(bob, T2), ending(cid, T3)]
        refused, *others = await scripts.us.finish(endings, RETENTION_MS)
        assert isinstance(refused, BrokerRefused)
        assert refused.code == "WRONGTYPE"
        assert others == [FinishCode.FINISHED] * 2
        assert list(await scripts.pending()) == [str(ann.entries[0].id)]

    async def test_two_windows_of_one_user_end_in_turn(self, scripts: Scripts) -> None:
        """Asked for twice in one script, the second is the first one's repetition."""
        _, window = await scripts.window_in_hand()
        endings = [ending(window, outcome="answered", value=b"hi")] * 2
        codes = await scripts.us.finish(endings, RETENTION_MS)
        assert codes == [FinishCode.FINISHED, FinishCode.ALREADY]
        assert await scripts.client.xlen(scripts.p.outbox) == 1

    async def test_new_owner_is_rung_for_what_was_finished(self, scripts: Scripts) -> None:
        """A refusal does not ring: nobody's user is free."""
        epoch, window = await scripts.window_in_hand()
        await scripts.release(epoch)
        await scripts.acquire(THEM)
        ring = await scripts.bell()
        await scripts.us.finish([ending(window, T3)], RETENTION_MS)
        assert await scripts.bell() == ring
        await scripts.us.finish([ending(window, T1)] * 2, RETENTION_MS)
        assert await scripts.bell() > ring
