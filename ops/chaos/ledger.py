"""
The ledger: takes down what was sent, answered, called, delivered and disturbed, as it happens.

It is asked for what is in hand now (a fault is to hit something), and at the end for everything
that the promises forbid.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from ops.chaos.checks import Problem, judge
from ops.chaos.evidence import Call, Disturbance, Evidence, Sent, Who
from ops.chaos.rules import Rules


class Ledger:
    """The evidence as it grows; all methods are called in one event loop."""

    def __init__(self) -> None:
        self.evidence = Evidence()
        self.in_hand: dict[int, Call] = {}
        self._number = itertools.count(1)
        self._call = itertools.count(1)

    def new_message(self, who: Who) -> Sent:
        """A message that is about to be sent for the first time."""
        number = next(self._number)
        sent = Sent(number=number, who=who, message_id=f"M{number}")
        self.evidence.sent[sent.message_id] = sent
        return sent

    @contextmanager
    def calling(self, call: Call) -> Iterator[Call]:
        """A call of the handler, from before it works until its answer is given."""
        serial = next(self._call)
        self.evidence.calls.append(call)
        self.in_hand[serial] = call
        try:
            yield call
        finally:
            call.ended_s = time.monotonic()
            del self.in_hand[serial]

    def disturb(
        self, what: str, victims: Iterable[str] = (), *, settle_s: float = 0.0
    ) -> Disturbance:
        """Something is done from now on; it lasts until ``over``. No victims: to everybody."""
        disturbance = Disturbance(
            what=what, victims=frozenset(victims), began_s=time.monotonic(), settle_s=settle_s
        )
        self.evidence.disturbances.append(disturbance)
        return disturbance

    @staticmethod
    def killed(disturbance: Disturbance) -> None:
        """
        Its victims have been killed, now: what they have in hand is nobody's.

        It is never over: a name is not used again, and what a dead process had sent may arrive
        after its end.
        """
        disturbance.began_s = time.monotonic()
        disturbance.kills = True

    @staticmethod
    def over(disturbance: Disturbance) -> None:
        """It ends now."""
        disturbance.ended_s = time.monotonic()

    def calls_in_hand_of(self, worker: str) -> list[Call]:
        """The calls that this worker waits for now."""
        return [call for call in self.in_hand.values() if call.worker == worker]

    def is_all_done(self) -> bool:
        """Whether each accepted message was in a call that was answered well; cheap to ask."""
        handled: set[str] = set()
        for call in self.evidence.calls:
            if call.ended_s is not None:
                handled.update(call.members)
        return all(
            sent.message_id in handled for sent in self.evidence.sent.values() if sent.is_accepted
        )

    def problems(self, rules: Rules) -> list[Problem]:
        """Everything that the promises forbid."""
        return judge(self.evidence, rules)
