"""Where a message is, decided from what was found: what counts more, and what is left unsaid."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shared.keys import message_hash
from shared.model import (
    EntryId,
    Token,
    WindowId,
    WorkerId,
    window_id,
)
from shared.record import SendRecord
from shared.trace.locate import locate_conversation, locate_message
from shared.trace.whereabouts import MessageTrace, ReplyState, State
from shared.wire import DeadLetter
from tests.support.found import (
    CARRIER,
    DEAD,
    FIRST,
    INSTANCE,
    LETTER,
    REPLY,
    SECOND,
    SEEN,
    STREAM,
    THIRD,
    USER,
    WHOLE,
    WINDOW,
    entry,
    evidence,
    in_outbox,
    record,
    row,
)


def state(**found: Any) -> State:
    """Where the first message is."""
    return locate_message(evidence(**found), "m1").state


def test_the_journal_counts_more_than_what_was_read_before() -> None:
    """A window that ended between two reads is told as ended."""
    ended = (row("silent", None, FIRST, SECOND),)
    assert state(entries=STREAM) is State.IN_WINDOW
    assert state(entries=STREAM, record=record()) is State.RUNNING
    assert state(entries=STREAM, record=record(), journal=ended) is State.SILENT


def test_a_record_counts_more_than_the_stream() -> None:
    """An entry stays in the stream while its window runs."""
    assert state(entries=STREAM, record=record(worker="")) is State.RETRYING


def test_a_sent_reply_counts_more_than_the_outbox() -> None:
    """A reply that left between two reads is sent."""
    journal = (row("answered", REPLY, FIRST, SECOND), row("sent", REPLY, ms=9001))
    found = locate_message(evidence(outbox=in_outbox(), journal=journal), "m1")

    assert found.state is State.SENT
    [reply] = locate_conversation(evidence(outbox=in_outbox(), journal=journal)).replies
    assert (reply.state, reply.texts, reply.metadata) == (ReplyState.SENT, None, None)


def test_a_reply_that_nobody_tells_of_leaves_the_message_finished() -> None:
    """Answered, not in the outbox, and beyond the journal's bound: no guess."""
    found = locate_message(evidence(journal=(row("answered", REPLY, FIRST, SECOND),)), "m1")
    assert (found.state, found.window_id, found.reply) == (State.FINISHED, WINDOW, None)


def test_what_is_read_behind_a_window_waits_for_it() -> None:
    """One window of a user at a time: the next one's messages wait, whoever has read them."""
    entries = {**STREAM, THIRD: entry(THIRD, "m3")}
    seen = {**SEEN, message_hash("m3"): THIRD}

    found = locate_message(evidence(entries=entries, seen=seen, record=record()), "m3")

    assert (found.state, found.behind) == (State.WAITING, WINDOW)
    assert found.window_id == window_id(INSTANCE, USER, THIRD)


def test_a_window_id_is_told_only_when_it_is_certain() -> None:
    """Where the look ended before an entry, an older one may open its window."""
    cut_short = evidence(entries=STREAM, scanned_to=EntryId(500, 0))
    assert locate_message(cut_short, "m1").window_id is None
    assert locate_message(evidence(entries=STREAM, scanned_to=SECOND), "m1").window_id == WINDOW
    assert locate_message(evidence(entries=STREAM), "m2").window_id is None


def test_unread_is_what_lies_behind_the_last_entry_that_was_given_out() -> None:
    """The group's position alone tells read from unread."""
    found = evidence(entries=STREAM, last_read=FIRST)
    assert locate_message(found, "m1").state is State.IN_WINDOW
    assert locate_message(found, "m2").state is State.WAITING


def test_a_replay_counts_more_than_the_death_before_it() -> None:
    """Messages of a replayed window are where its carrier is; dead again, they are dead."""
    died = row("dead", LETTER, FIRST, SECOND)
    carrier = {CARRIER: entry(CARRIER, "m1", WHOLE)}
    replayed = evidence(entries=carrier, journal=(died,))
    found = locate_message(replayed, "m2")
    assert (found.state, found.entry_id, found.window_id) == (State.WAITING, SECOND, WINDOW)

    again = row("dead", LETTER, CARRIER, ms=9001)
    assert state(entries=carrier, journal=(died, again), dead={LETTER: DEAD}) is State.DEAD
    silent = row("silent", None, CARRIER, ms=9001)
    assert state(journal=(died, silent)) is State.SILENT


def test_the_carrier_of_a_replay_is_no_message() -> None:
    """A conversation lists what the user sent, each once."""
    carrier = {CARRIER: entry(CARRIER, "m1", WHOLE)}
    running = record(ids=(CARRIER,))
    journal = (row("dead", LETTER, FIRST, SECOND), row("silent", None, CARRIER, ms=9001))
    for found in (
        evidence(entries=carrier, record=running),
        evidence(record=running),
        evidence(journal=journal),
    ):
        listed = [message.entry_id for message in locate_conversation(found).messages]
        assert listed == [FIRST, SECOND]


def test_a_dead_letter_is_named_as_the_command_line_takes_it() -> None:
    """The id holds the partition, for ``inturn dead replay``."""
    journal = (row("dead", LETTER, FIRST, SECOND),)
    for found in (evidence(dead={LETTER: DEAD}, journal=journal), evidence(dead={LETTER: DEAD})):
        assert str(locate_message(found, "m1").dead_letter_id) == "3:9100-0"
        assert [str(one.dead_letter_id) for one in locate_conversation(found).dead] == ["3:9100-0"]


def test_message_ids_come_from_whatever_knows_them() -> None:
    """Dedupe keeps hashes; a reply, a dead letter and the stream know the ids themselves."""
    for found in (
        evidence(entries=STREAM),
        evidence(outbox=in_outbox()),
        evidence(dead={LETTER: DEAD}),
    ):
        listed = [message.message_id for message in locate_conversation(found).messages]
        assert listed == ["m1", "m2"]
    assert [one.message_id for one in locate_conversation(evidence()).messages] == [None, None]


def test_a_message_is_found_by_its_reply_or_dead_letter_alone() -> None:
    """When dedupe forgot it, what is kept of it still tells."""
    found = locate_message(evidence(seen={}, outbox=in_outbox()), "m2")
    assert (found.state, found.entry_id, found.window_id) == (State.ANSWERED, None, WINDOW)
    assert locate_message(evidence(seen={}, dead={LETTER: DEAD}), "m2").state is State.DEAD
    assert locate_message(evidence(seen={}), "m2") == MessageTrace(
        state=State.UNKNOWN, message_id="m2"
    )


def test_each_way_a_reply_stands() -> None:
    """Nothing begun, known to have no channel, on its way, due again, or held."""
    sending = SendRecord(
        token=Token("t"), worker=WorkerId("w"), attempt=1, sent=0, held="", retry_at=0, delay_ms=0
    )
    nobody = replace(sending, worker=WorkerId(""), retry_at=77)
    ways = {
        ReplyState.WAITING: in_outbox(has_channel=True),
        ReplyState.KEPT: in_outbox(has_channel=False),
        ReplyState.SENDING: in_outbox(sending, has_channel=False),
        ReplyState.RETRYING: in_outbox(nobody),
        ReplyState.HELD: in_outbox(replace(nobody, held="loop limit")),
    }
    for expected, outbox in ways.items():
        [reply] = locate_conversation(evidence(outbox=outbox)).replies
        assert (reply.state, reply.texts) == (expected, ("hello",))
        assert reply.metadata == {"needsDataCollection": True}
        assert reply.retry_at == (77 if expected is ReplyState.RETRYING else None)
        assert reply.held == ("loop limit" if expected is ReplyState.HELD else None)


def test_a_letter_without_a_window_is_nobodys() -> None:
    """An entry that could not be decoded tells no user."""
    letter = DeadLetter(window=None, error="damaged", attempts=0, instance=INSTANCE)
    found = locate_conversation(evidence(seen={}, dead={LETTER: letter}))
    assert not found


def test_a_conversation_is_told_oldest_first() -> None:
    """Messages, replies and dead letters each stand newest last."""
    journal = tuple(
        replace(row("sent", EntryId(9000 + number, 0)), window_id=WindowId(f"w_{number}"))
        for number in (2, 0, 1)
    )
    seen = {message_hash(f"m{number}"): EntryId(1000 - number, 0) for number in range(3)}

    found = locate_conversation(evidence(seen=seen, journal=journal))

    assert [reply.window_id for reply in found.replies] == ["w_0", "w_1", "w_2"]
    assert [message.entry_id for message in found.messages] == sorted(seen.values())
