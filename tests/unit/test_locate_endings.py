"""Where a message is when the journal has forgotten it: told by what is remembered with its id."""

from __future__ import annotations

from shared.endings import Ending
from shared.keys import message_hash
from shared.model import (
    EntryId,
)
from shared.trace.locate import locate_conversation, locate_message
from shared.trace.whereabouts import ReplyState, State
from tests.support.found import (
    DEAD,
    FIRST,
    LETTER,
    REPLY,
    SECOND,
    SEEN,
    THIRD,
    WINDOW,
    evidence,
    in_outbox,
    row,
)


def ended(what: str, ref: EntryId, ended_at: int | None = None) -> tuple[Ending, ...]:
    """What is remembered of the window of both messages, and of one behind it."""
    behind = Ending(first=THIRD, last=THIRD, what="muted", ref=EntryId(9900, 0))
    return Ending(first=FIRST, last=SECOND, what=what, ref=ref, ended_at=ended_at), behind


def test_the_journal_counts_more_than_an_ending() -> None:
    """It says more, and of a replay it says it later."""
    journal = (row("silent", None, FIRST, SECOND),)
    found = locate_message(evidence(journal=journal, endings=ended("dead", LETTER)), "m1")
    assert (found.state, found.attempt) == (State.SILENT, 2)


def test_an_ending_tells_of_the_messages_of_its_window_alone() -> None:
    """Those from its first to its last; what stands between two endings has none."""
    between = EntryId(1001, 1)
    seen = {**SEEN, message_hash("m3"): THIRD, message_hash("lost"): between}
    found = evidence(seen=seen, endings=ended("silent", EntryId(9000, 5)))
    states = {one: locate_message(found, one).state for one in ("m1", "m2", "m3", "lost")}
    assert states == {
        "m1": State.SILENT,
        "m2": State.SILENT,
        "m3": State.MUTED,
        "lost": State.FINISHED,
    }
    assert locate_message(found, "m1").window_id == WINDOW


def test_an_ending_leads_to_what_is_still_there() -> None:
    """The reply with its texts, the dead letter with its error."""
    found = locate_message(evidence(outbox=in_outbox(), endings=ended("answered", REPLY)), "m1")
    assert found.state is State.ANSWERED
    assert found.reply is not None
    assert found.reply.texts == ("hello",)
    dead = locate_message(evidence(dead={LETTER: DEAD}, endings=ended("dead", LETTER)), "m1")
    assert (dead.state, dead.at, dead.error) == (State.DEAD, LETTER.ms, "HTTP 400")
    discarded = locate_message(evidence(endings=ended("dead", LETTER)), "m1")
    assert (discarded.state, discarded.dead_letter_id) == (State.DEAD, None)


def test_an_ending_counts_more_than_the_outbox_that_was_read_before() -> None:
    """A reply that left between two reads is sent, and since when."""
    found = locate_message(evidence(endings=ended("sent", REPLY, 9500)), "m1")
    assert (found.state, found.at) == (State.SENT, 9500)
    assert found.reply is not None
    assert (found.reply.reply_id, found.reply.state) == (REPLY, ReplyState.SENT)


def test_an_ending_knows_of_a_reply_what_the_journals_bound_hides() -> None:
    """The window's row was found, the end of its reply was not."""
    journal = (row("answered", REPLY, FIRST, SECOND),)
    found = locate_message(evidence(journal=journal, endings=ended("sent", REPLY, 9500)), "m1")
    assert (found.state, found.at, found.attempt) == (State.SENT, 9500, 2)


def test_an_answer_of_which_nobody_knows_more_is_no_guess() -> None:
    """Its reply is not in the outbox, and no end of it was written."""
    found = locate_message(evidence(endings=ended("answered", REPLY)), "m1")
    assert (found.state, found.at, found.reply) == (State.FINISHED, REPLY.ms, None)


def test_a_conversation_tells_its_last_message_and_reply_from_endings() -> None:
    """When the journal is over."""
    found = locate_conversation(evidence(endings=ended("sent", REPLY, 9500)))
    assert (found.last_message_at, found.last_reply_at) == (SECOND.ms, REPLY.ms)
    assert [(one.reply_id, one.state, one.at) for one in found.replies] == [
        (REPLY, ReplyState.SENT, 9500)
    ]
