"""
A state machine of two workers and one partition, over any store: the model's or Redis's.

Steps happen in any order and any step may be cut: answers are lost, workers crash, lose their
lease, wake up and go on, requests arrive after a takeover.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

import consumer.reader
import consumer.takeover
from consumer.answers import FinishCode
from ops.chaos.asking import Asks
from ops.chaos.cutter import Raw
from shared.model import Conversation, Message
from shared.patterns import Patterns
from shared.window import Rules
from tests.support.handover_ledger import USERS, HandoverLedger
from tests.support.histories import BYPASS, FLUSH, SAYS, asked

SMALL = {
    (consumer.reader, "READ_COUNT"): 2,
    (consumer.reader, "PAGE_BYTES"): 150,
    (consumer.reader, "SHARE_MIN_BYTES"): 1,
    (consumer.takeover, "CLAIM_BYTES"): 150,
    (consumer.reader, "ROUNDS"): 2,
    (consumer.takeover, "CLAIM_COUNT"): 2,
}
"""Pages so small that a dozen entries leave streams undrained and claims unfinished."""

MAX_DRAIN_ROUNDS = 2000

slots = st.integers(0, 1)
ms = st.integers(0, 12)
endings: st.SearchStrategy[Asks] = st.sampled_from(["", "", "bypass", "flush"])


def make_message(conversation: Conversation, number: int, asks: Asks = "") -> Message:
    """The ``number``-th message of a user."""
    instance, user = conversation
    return Message(
        instance=instance, user=user, message_id=f"M{number}", received_at=1, text=SAYS[asks]
    )


class HandoverMachine(HandoverLedger):
    """Nothing lost, nothing doubled, order kept, one window of a user at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.constants = {key: getattr(*key) for key in SMALL}
        for (module, name), value in SMALL.items():
            setattr(module, name, value)

    # Steps

    @initialize(
        max_wait_ms=st.integers(2, 14),
        max_messages=st.sampled_from([1, 2, 3, 4, 50]),
        quiet_ms=st.sampled_from([0, 0, 1, 3]),
        read_ahead=st.sampled_from([1, 4, 100]),
        held_bytes=st.sampled_from([0, 2500, 10**9]),
        pass_through=st.sampled_from([False] * 7 + [True]),
        bypass=st.sampled_from([None, BYPASS]),
        flush=st.sampled_from([None, FLUSH]),
    )
    def begin(
        self,
        max_wait_ms: int,
        max_messages: int,
        quiet_ms: int,
        read_ahead: int,
        held_bytes: int,
        pass_through: bool,
        bypass: Patterns | None,
        flush: Patterns | None,
    ) -> None:
        """Two workers are up; the first owns the partition."""
        quiet_ms = min(quiet_ms, max_wait_ms)
        self.cutting = Rules(
            max_wait_ms=max_wait_ms,
            max_messages=max_messages,
            quiet_ms=quiet_ms,
            grace_ms=10_000_000,
            pass_through=pass_through,
            bypass=bypass,
            flush=flush,
        )
        self.read_ahead, self.held_bytes = read_ahead, held_bytes
        self.workers = [self.new_worker(), self.new_worker()]
        self.own(0)

    @rule(who=st.sampled_from(USERS), count=st.integers(1, 8), gap_ms=ms, ends=endings)
    def message(self, who: Conversation, count: int, gap_ms: int, ends: Asks = "") -> None:
        """A user writes a burst, whose last message may ask for its window."""
        for left in reversed(range(count)):
            number, asks = len(self.history[who]), "" if left else ends
            entry_id = self.run(self.append(who, number, asks))
            raw = Raw(entry_id.ms, entry_id.seq, f"M{number}", asks=asked(asks, self.cutting))
            self.history[who].append(raw)
        self.run(self.pass_time(gap_ms))

    @rule(who=st.sampled_from(USERS))
    def dead_window_returns(self, who: Conversation) -> None:
        """Somebody replays a dead letter; its window comes alone."""
        number = len(self.history[who])
        entry_id = self.run(self.replay(who, number))
        self.history[who].append(Raw(entry_id.ms, entry_id.seq, f"M{number}", is_replay=True))

    @rule(span_ms=ms)
    def wait(self, span_ms: int) -> None:
        """Time goes by."""
        self.run(self.pass_time(span_ms))

    @rule(slot=slots)
    def own(self, slot: int) -> None:
        """A worker takes the partition, or takes it over from itself after a reconnect."""
        owner = self.workers[slot]
        epoch = self.run(self.acquire(owner.worker))
        if epoch:
            self.run(owner.take_over(epoch, self.live(), self.now_s()))

    @rule(slot=slots)
    def seize(self, slot: int) -> None:
        """The owner sleeps through its lease and does not know it; a worker takes over."""
        self.run(self.expire_lease())
        self.own(slot)

    @rule(slot=slots)
    def read(self, slot: int) -> None:
        """The loop turns, and nothing starts."""
        if self.serving(slot):
            self.run(self.workers[slot].read())

    @rule(slot=slots, limit=st.integers(1, 3), span_ms=ms)
    def turn(self, slot: int, limit: int, span_ms: int) -> None:
        """The loop turns, as it does most of the time."""
        self.run(self.pass_time(span_ms))
        self.read(slot)
        self.start(slot, limit, orphan=True, answer="heard")

    @rule(
        slot=slots,
        limit=st.integers(1, 3),
        orphan=st.booleans(),
        answer=st.sampled_from(["heard", "heard", "lost", "refused", "late"]),
        meanwhile=st.sampled_from([0, 0, 1, 3]),
    )
    def start(self, slot: int, limit: int, orphan: bool, answer: str, meanwhile: int = 0) -> None:
        """
        Closed windows begin; or the answer is lost, or the request, or it comes too late.

        ``meanwhile``, while the request is on its way, so many messages come of everybody, and
        are read.
        """
        if not self.serving(slot):
            return
        owner = self.workers[slot]
        taken = owner.take(limit, self.now_s(), orphan=orphan)
        requests = [request for _, request, _ in taken]
        if not requests:
            return
        epoch, answers = owner.epoch, []
        for who in USERS if meanwhile else ():
            self.message(who, meanwhile, 0)
        if meanwhile and self.serving(slot):
            self.run(owner.read())
        if answer in ("heard", "lost"):
            answers = self.run(owner.send_start(epoch, requests))
        if answer == "late":
            self.own(slot)
            assert not self.run(owner.send_start(epoch, requests)), "an old epoch has started"
        heard = answers if answer == "heard" and answers else [None] * len(requests)
        for (state, request, _), one in zip(taken, heard, strict=True):
            if owner.settle_start(state, request, one) or (answer == "lost" and answers):
                self.note_start(request)

    @rule(slot=slots, pick=st.integers(0, 5), calls=st.integers(1, 2))
    def finish(self, slot: int, pick: int, calls: int) -> None:
        """A handler has answered; its worker may have lost the partition long ago."""
        owner = self.workers[slot]
        if not owner.in_hand:
            return
        token = sorted(owner.in_hand)[pick % len(owner.in_hand)]
        window = owner.in_hand[token]
        code = self.run(owner.finish(token, "silent", b"", calls))
        if code is FinishCode.FINISHED:
            extent = tuple(str(entry.id) for entry in window.entries)
            self.finished[window.conversation].append(extent)

    @rule(slot=slots, pick=st.integers(0, 5), delay_ms=ms, counts=st.booleans())
    def postpone(self, slot: int, pick: int, delay_ms: int, counts: bool) -> None:
        """A handler has failed, or shutdown cut it short; the request is sent twice."""
        owner = self.workers[slot]
        if owner.in_hand:
            token = sorted(owner.in_hand)[pick % len(owner.in_hand)]
            now_s = self.now_s()
            self.run(owner.postpone(token, delay_ms, now_s, counts=counts, calls=2))

    @rule(slot=slots, is_noticed=st.booleans())
    def crash(self, slot: int, is_noticed: bool) -> None:
        """A worker dies with its handlers; its lease is gone, another process takes its place."""
        if self.workers[slot].memory is not None:
            self.run(self.expire_lease())
        self.workers[slot] = self.new_worker()
        if is_noticed:
            self.look_at_foreign(1 - slot)

    @rule(slot=slots)
    def sweep(self, slot: int) -> None:
        """A worker that lost the partition leaves nothing there under its name."""
        if self.workers[slot].memory is None:
            self.run(self.workers[slot].sweep())

    @rule(slot=slots)
    def look_at_foreign(self, slot: int) -> None:
        """The owner looks at the records of other workers."""
        if self.serving(slot):
            self.run(self.workers[slot].look_at_foreign(self.live(), self.now_s()))

    @invariant()
    def counters_add_up(self) -> None:
        """What the memories count is what they hold."""
        for owner in self.workers:
            owner.check_counters()

    def teardown(self) -> None:
        """Heal and drain: every entry is in exactly one finished window, those of the oracle."""
        try:
            if self.workers:
                self.drain()
        finally:
            for (module, name), value in self.constants.items():
                setattr(module, name, value)
            self.close()
            self.runner.close()

    def close(self) -> None:
        """Give back what the store holds."""

    # Inside

    def serving(self, slot: int) -> bool:
        """Whether a worker takes itself for the owner; what must restart does so first."""
        owner = self.workers[slot]
        if owner.memory is not None and owner.must_restart:
            owner.memory = None
            self.own(slot)
        return owner.memory is not None

    def drain(self) -> None:
        """One worker finishes everything; the other is gone."""
        self.crash(1, is_noticed=False)
        self.run(self.expire_lease())
        self.own(0)
        for _ in range(MAX_DRAIN_ROUNDS):
            if all(self.is_done(who) for who in USERS):
                break
            self.run(self.pass_time(5))
            self.read(0)
            self.look_at_foreign(0)
            self.start(0, 3, orphan=True, answer="heard")
            self.finish(0, 0, 1)
        self.read(0)  # the last page was full: only an empty one says that nothing is left
        for who in USERS:
            self.check_finished(who)
        self.run(self.check_empty())
        memory = self.workers[0].memory
        assert memory is not None
        assert not memory.states
        assert not any(s.held or s.busy or s.open for s in memory.streams.values())
