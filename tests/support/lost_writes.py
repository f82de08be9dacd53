"""
The ledger where Redis itself may lose what it answered: ``appendfsync everysec`` and a crash.

What Redis loses are its last two seconds at most. So a message that nobody handled must have
been accepted then, and only a user who wrote or was answered then may have windows that came
again with other members, or in another order. Everybody else is judged as always.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from tests.support.ledger import Ledger, LedgerRules, Who

LOSES_S = 2.0
"""Redis's own word: a sync that takes long delays the next write by up to two seconds."""

AFTER_S = 1.0
"""What was on its way at the kill may be answered, or begun, that much later by our clock."""


class Moment(NamedTuple):
    """By both clocks."""

    ms: int
    s: float

    @classmethod
    def now(cls) -> Self:
        """This one."""
        return cls(time.time_ns() // 1_000_000, time.monotonic())


class Kill(NamedTuple):
    """
    A Redis is killed between the two moments.

    Whoever kills it may come to no turn for a while, before it and after it; and what a disk that
    is full does not take is in memory alone from ``before`` on, however late the kill comes.
    """

    before: Moment
    after: Moment


@dataclass(frozen=True, slots=True)
class LostWrites:
    """``lost``: message ids that Redis lost; ``exempt``: whose windows were not compared."""

    lost: set[str] = field(default_factory=set)
    exempt: set[Who] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def judge_with_lost_writes(ledger: Ledger, rules: LedgerRules, kills: list[Kill]) -> LostWrites:
    """Compare user by user; ``problems`` is what no kill explains."""
    result = LostWrites(problems=list(ledger.mistakes))
    handled = {(call.who, member) for call in ledger.calls for member in call.members}
    for who in ledger.accepted:
        own = _of(ledger, who)
        gone = [raw for raw in own.accepted[who] if (who, raw.message_id) not in handled]
        result.lost.update(raw.message_id for raw in gone)
        late = [raw.message_id for raw in gone if not _near(raw.ms, kills)]
        if late:
            result.problems.append(f"{who} lost {late}, accepted longer before a kill")
        found = own.problems(rules)
        if not found:
            continue
        if gone or any(_is_in_flight(own, number, kills) for number in range(len(own.calls))):
            result.exempt.add(who)
        else:
            result.problems.extend(found)
    return result


def _of(ledger: Ledger, who: Who) -> Ledger:
    """The ledger of one user."""
    own = Ledger()
    own.accepted[who] = ledger.accepted[who]
    for number, call in enumerate(ledger.calls):
        if call.who == who:
            if number in ledger.ended_s:
                own.ended_s[len(own.calls)] = ledger.ended_s[number]
            own.calls.append(call)
    return own


def _near(at_ms: int, kills: list[Kill]) -> bool:
    return any(
        kill.before.ms - LOSES_S * 1000 <= at_ms <= kill.after.ms + AFTER_S * 1000 for kill in kills
    )


def _is_in_flight(own: Ledger, number: int, kills: list[Kill]) -> bool:
    """Whether this call's start or finish may be among what a kill took along."""
    call = own.calls[number]
    ended_s = own.ended_s.get(number, call.began_s)
    return any(
        call.began_s <= kill.after.s + AFTER_S and ended_s >= kill.before.s - LOSES_S
        for kill in kills
    )
