"""The evidence of a clean run, and each way to harm it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ops.chaos.cutter import Raw
from ops.chaos.evidence import Call, Dead, Delivered, Evidence, Post, Said, Sent, Snapshot
from ops.chaos.leaks import find_leaks

ANN = ("shop", "ann")


def sent(number: int, said: Said = Said.OK) -> Sent:
    """Ann's ``number``-th message, and what ingest answered."""
    post = Post(ingest="i1", began_s=float(number), took_s=0.1, said=said)
    return Sent(number=number, who=ANN, message_id=f"M{number}", posts=[post])


def call(window_id: str, began_s: float, *members: str, worker: str = "w1") -> Call:
    """A call that was answered well after half a second."""
    return Call(
        who=ANN,
        window_id=window_id,
        attempt=1,
        closed_by="max_wait",
        members=members,
        worker=worker,
        began_s=began_s,
        ended_s=began_s + 0.5,
    )


def reply(window_id: str, at_s: float) -> Delivered:
    """It arrived."""
    return Delivered(who=ANN, window_id=window_id, worker="w1", at_s=at_s)


def clean() -> Evidence:
    """Three messages in two windows, each answered once."""
    evidence = Evidence()
    evidence.sent = {f"M{n}": sent(n) for n in (1, 2, 3)}
    evidence.calls = [call("a", 5.0, "M1", "M2"), call("b", 7.0, "M3")]
    evidence.delivered = [reply("a", 6.0), reply("b", 8.0)]
    evidence.raw[ANN] = [Raw(1000, 0, "M1"), Raw(1900, 0, "M2"), Raw(2000, 0, "M3")]
    evidence.outbox.update(["a", "b"])
    evidence.before = evidence.after = Snapshot(
        stream_entries=0, consumers=1, seen_keys=1, keys=9, memory_bytes=10**6
    )
    return evidence


def lose(evidence: Evidence) -> None:
    """One more is accepted."""
    evidence.sent["M4"] = sent(4)


def invent(evidence: Evidence) -> None:
    """One was refused, and handled."""
    evidence.sent["M3"] = sent(3, Said.REJECTED)


def append_twice(evidence: Evidence) -> None:
    """One has two entries."""
    evidence.raw[ANN].append(Raw(2100, 0, "M3"))


def put_into_two(evidence: Evidence) -> None:
    """One is in two windows."""
    evidence.calls[1].members = ("M2", "M3")


def change_extent(evidence: Evidence) -> None:
    """A repeated call has other members."""
    evidence.calls.append(call("b", 9.0, "M3", "M2"))


def reorder(evidence: Evidence) -> None:
    """The later window comes first."""
    evidence.calls.reverse()


def overlap(evidence: Evidence) -> None:
    """The second window begins while the first is in hand."""
    evidence.calls[1].began_s = 5.2


def reply_twice(evidence: Evidence) -> None:
    """A window has two replies in the outbox."""
    evidence.outbox["a"] += 1


def send_twice(evidence: Evidence) -> None:
    """A reply arrives twice, and no fault explains it."""
    evidence.delivered.append(reply("b", 8.1))


def send_to_another(evidence: Evidence) -> None:
    """A reply arrives at a user who did not write."""
    evidence.delivered[1] = replace(evidence.delivered[1], who=("shop", "bob"))


def send_in_disorder(evidence: Evidence) -> None:
    """The second window's reply arrives before the first one's."""
    evidence.delivered.reverse()


def see_nothing(evidence: Evidence) -> None:
    """The append-only file was not where it was looked for."""
    evidence.raw.clear()


def drop_direct_reply(evidence: Evidence) -> None:
    """A message was handled while Redis was away, and what was answered went nowhere."""
    evidence.calls[1].closed_by = "bypass"
    evidence.delivered.pop()
    del evidence.outbox["b"]


def never_send(evidence: Evidence) -> None:
    """A reply stays in the outbox."""
    evidence.delivered.pop()


def cut_early(evidence: Evidence) -> None:
    """The raw stream says that all three are one window."""
    evidence.raw[ANN] = [Raw(1000, 0, "M1"), Raw(1100, 0, "M2"), Raw(1200, 0, "M3")]


def repeat(evidence: Evidence) -> None:
    """A window is called again long after it was answered."""
    evidence.calls.append(call("b", 20.0, "M3"))


def count_attempts(evidence: Evidence) -> None:
    """A first call is the third attempt."""
    evidence.calls[1].attempt = 3


def give_up_early(evidence: Evidence) -> None:
    """A window is dead after its first call."""
    evidence.dead.append(Dead(who=ANN, window_id="b", members=("M3",), attempts=1))
    del evidence.outbox["b"]


def leave_something(evidence: Evidence) -> None:
    """An entry is pending for ever."""
    evidence.left = {"pending": 1}


def grow(evidence: Evidence) -> None:
    """Redis has grown by half a gigabyte."""
    assert evidence.after is not None
    evidence.after = replace(evidence.after, memory_bytes=5 * 10**8)


def leak(evidence: Evidence) -> None:
    """A phone number stands in a log."""
    evidence.leaks = find_leaks(["5511987"], [("a log", "user 5511987000001 wrote")])


CASES: dict[str, Callable[[Evidence], None]] = {
    "lost": lose,
    "invented": invent,
    "entries": append_twice,
    "windows": put_into_two,
    "extents": change_extent,
    "order": reorder,
    "overlaps": overlap,
    "replies": reply_twice,
    "sends": send_twice,
    "cuts": cut_early,
    "repeats": repeat,
    "attempts": count_attempts,
    "undrained": leave_something,
    "growth": grow,
    "leaks": leak,
}
