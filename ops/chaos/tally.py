"""How often what is allowed under faults has happened: counted, and no problem."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ops.chaos.calls import late, overlapping, repeated
from ops.chaos.evidence import Evidence


class Tally(NamedTuple):
    """How often what is allowed under faults has happened."""

    sent: int
    accepted: int
    handled: int
    calls: int
    repeated: int
    outlived: int
    resent: int
    dead: int


def tally(evidence: Evidence) -> Tally:
    """Count; ``repeated`` leaves out the calls that the handler's own errors caused."""
    again = [pair for pair in repeated(evidence) if not pair[0].failed]
    windows_sent = Counter(reply.window_id for reply in evidence.delivered)
    return Tally(
        sent=len(evidence.sent),
        accepted=sum(sent.is_accepted for sent in evidence.sent.values()),
        handled=len({member for call in evidence.calls for member in call.members}),
        calls=len(evidence.calls),
        repeated=len(again),
        outlived=sum(1 for _ in overlapping(evidence)) + len(late(evidence)),
        resent=sum(count - 1 for count in windows_sent.values()),
        dead=len(evidence.dead),
    )
