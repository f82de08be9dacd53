"""What is written of a window that has ended."""

from __future__ import annotations

from consumer.attempt import Running
from consumer.retry import Decision, Finish, GiveUp
from shared.wire import DeadLetter, OutboxReply, encode_dead_letter, encode_reply


def encode_outcome(running: Running, decision: Finish | GiveUp) -> tuple[str, bytes]:
    """The outcome's name, and what goes into the outbox or to the dead letters."""
    window = running.window
    if isinstance(decision, GiveUp):
        letter = DeadLetter(
            window=window,
            error=decision.error,
            attempts=running.attempt,
            instance=window.instance,
        )
        return "dead", encode_dead_letter(letter)
    if not decision.texts:
        return decision.silence, b""
    last = window.in_sent_order()[-1].message
    reply = OutboxReply(
        window_id=window.id,
        instance=window.instance,
        user=window.user,
        texts=decision.texts,
        provider=last.provider,
        reply_to=last.reply_to,
        message_ids=tuple(entry.message.message_id for entry in window.members),
        connection=last.connection,
        metadata=decision.metadata,
    )
    return "answered", encode_reply(reply)


def kind_of_error(decision: Decision) -> str:
    """What a log may say of an error: an exception's text may hold what a user wrote."""
    return "" if isinstance(decision, Finish) else decision.error.partition(":")[0]
