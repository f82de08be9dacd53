"""Random histories of one user, with their times at and around the edges of the rules."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ops.chaos.asking import Asks
from ops.chaos.cutter import Raw
from shared.model import ClosedBy, Entry, EntryId, Message, Window, window_id
from shared.patterns import compile_patterns
from shared.window import Rules, match_entries

START_MS = 1_700_000_000_000
INSTANCE = "shop"
USER = "491700000001"

SAYS: dict[Asks, str] = {"": "hello", "bypass": " /STOP  now", "flush": "That’s all"}
"""What a message says that asks for that."""

ASKS: dict[int, Asks] = {1: "bypass", 2: "flush"}
"""Two of twelve messages of a history."""

BYPASS = compile_patterns(("/stop *", "kind:reaction"))
FLUSH = compile_patterns(("that's all", "kind:reaction"))


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Short waits, so that a history of a few dozen entries meets every edge often."""
    max_wait_ms = draw(st.sampled_from([1, 2, 5, 20, 8000]))
    return Rules(
        max_wait_ms=max_wait_ms,
        max_messages=draw(st.integers(1, 6)),
        quiet_ms=draw(st.sampled_from([0, 0, 1, 3, max_wait_ms - 1, max_wait_ms])),
        grace_ms=2000,
        pass_through=draw(st.sampled_from([False] * 9 + [True])),
        bypass=draw(st.sampled_from([None, BYPASS])),
        flush=draw(st.sampled_from([None, FLUSH])),
    )


def asked(asks: Asks, of: Rules) -> Asks:
    """What comes of a message that says so: nothing, where the rules do not know its pattern."""
    known = {"bypass": of.bypass, "flush": of.flush}
    return asks if known.get(asks) is not None else ""


@st.composite
def histories(draw: st.DrawFn, of: Rules, max_size: int = 30) -> list[Raw]:
    """Entries in stream order: gaps of nothing, a little, or a rule's length give or take 1."""
    edges = {of.max_wait_ms, of.quiet_ms, of.max_wait_ms // 2}
    gaps = sorted({0, 1, 2} | {max(0, edge + step) for edge in edges for step in (-1, 0, 1)})
    steps = draw(
        st.lists(
            st.tuples(st.sampled_from(gaps), st.integers(0, 11)), min_size=1, max_size=max_size
        )
    )
    history: list[Raw] = []
    ms, seq = START_MS, 0
    for gap_ms, kind in steps:
        ms, seq = (ms + gap_ms, 0) if gap_ms else (ms, seq + 1)
        asks = asked(ASKS.get(kind, ""), of)
        history.append(Raw(ms, seq, f"M{len(history)}", is_replay=kind == 0, asks=asks))
    return history


def entry_of(raw: Raw, instance: str = INSTANCE, user: str = USER) -> Entry:
    """The entry that ``raw`` stands for; a replay carries a dead window of its own."""
    message = Message(
        instance=instance,
        user=user,
        message_id=raw.message_id,
        received_at=raw.ms,
        sent_at=raw.ms,
        text=SAYS[raw.asks],
    )
    replayed = dead_window(message) if raw.is_replay else None
    return Entry(id=EntryId(raw.ms, raw.seq), message=message, replayed=replayed)


def entries_of(history: Sequence[Raw], of: Rules) -> list[Entry]:
    """``entry_of`` each, matched by the rules."""
    return list(match_entries(INSTANCE, [entry_of(raw) for raw in history], lambda _, __: of))


def dead_window(message: Message) -> Window:
    """A window that was given up long ago; its id is like no other's."""
    first = EntryId(1000, int(message.message_id.removeprefix("M")))
    return Window(
        id=window_id(message.instance, message.user, first),
        instance=message.instance,
        user=message.user,
        entries=(Entry(id=first, message=message),),
        closed_by=ClosedBy.MAX_WAIT,
        opened_at=first.ms,
        closed_at=first.ms + 8000,
    )
