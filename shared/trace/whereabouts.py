"""Where messages, replies and dead letters are: the answers that a trace gives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shared.kept_letters import LetterId
from shared.model import EntryId, WindowId
from shared.record import SendRecord


class State(StrEnum):
    """Where a message stands."""

    WAITING = "waiting"
    """In the stream: no worker has read it yet, or a window of its user is in hand before it."""
    IN_WINDOW = "in_window"
    """Read; its window gathers, or is closed and about to start."""
    RUNNING = "running"
    """A handler has its window."""
    RETRYING = "retrying"
    """An attempt ended without a result that counts; the next one is due at ``retry_at``."""
    ANSWERED = "answered"
    """There is a reply, which was not sent; the reply's own state says why."""
    SENT = "sent"
    SILENT = "silent"
    """The handler answered that nothing is to be sent."""
    MUTED = "muted"
    """A person had answered the user by hand: no handler's answer was sent."""
    WITH_HUMAN = "with_human"
    """The provider said that a person has the conversation: no handler was called."""
    DEAD = "dead"
    """Given up. Without a ``dead_letter_id``: its dead letter was discarded or replayed since."""
    FINISHED = "finished"
    """Handled, and how is not known (any more), or its entries had been deleted."""
    UNKNOWN = "unknown"
    """Never seen, or longer ago than dedupe remembers."""


class ReplyState(StrEnum):
    """Where a reply stands."""

    WAITING = "waiting"
    """Its sending has not begun."""
    KEPT = "kept"
    """There is no channel for it: it is kept to be read, for ``retention_ms``."""
    SENDING = "sending"
    RETRYING = "retrying"
    """A send failed; the next one is due at ``retry_at``."""
    HELD = "held"
    """It waits for a person; ``held`` says why."""
    FAILED = "failed"
    """The provider refused it; it waits for a person as well."""
    SENT = "sent"
    EXPIRED = "expired"
    """It was kept, and its time to be read is over."""
    DISCARDED = "discarded"
    """A person threw it away."""


def reply_state(record: SendRecord | None) -> ReplyState:
    """Where a reply in the outbox stands, as its record says; None: there is none yet."""
    if record is None:
        return ReplyState.WAITING
    if record.held:
        return ReplyState.FAILED if record.has_failed else ReplyState.HELD
    return ReplyState.SENDING if record.worker else ReplyState.RETRYING


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyTrace:
    """
    A reply; ``texts`` are None when it is not in the outbox any more, and ``metadata``, what else
    the handler's answer held, is None then, or where there was nothing. ``error``: why the last
    try to send it came to nothing. ``at``: when it was sent, or given up.
    """

    reply_id: EntryId
    window_id: WindowId
    state: ReplyState
    texts: tuple[str, ...] | None = None
    metadata: dict[str, Any] | None = None
    held: str | None = None
    error: str | None = None
    attempt: int | None = None
    retry_at: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureTrace:
    """An attempt that came to nothing; ``at`` is None where its worker died with it."""

    attempt: int
    error: str
    at: int | None = None


class WindowState(StrEnum):
    """Where a window stands that is not finished."""

    OPEN = "open"
    """It gathers, until ``due_at`` or until it is full."""
    CLOSED = "closed"
    """It is about to start, or waits for the user's window before it."""
    RUNNING = "running"
    RETRYING = "retrying"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowTrace:
    """
    A window that is not finished: what is in hand, or the user's next one. ``due_at``: when it
    closes by itself (open), or is tried again (retrying). ``paused_since``: its instance is
    paused, and it starts when that is over.
    """

    window_id: WindowId
    state: WindowState
    opened_at: int
    messages: int
    due_at: int | None = None
    attempt: int | None = None
    paused_since: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTrace:
    """
    A message. What does not apply, or is not known, is None.

    ``at``: since when it is so, ``retry_at``: when it is tried again; all times are Redis's ms.
    ``started_at`` is that of the newest attempt, ``failures`` are those that came to nothing.
    ``behind``: the window that it waits for. ``window_id`` is told once it is certain: for an
    open window of the first message alone. ``paused_since``: it waits, for its instance is paused.
    Of what is over, ``state``, ``at`` and the reply's are known as long as the message's id, the
    rest for ``retention_ms``. ``text`` is told when it was asked for, and is still kept.
    """

    state: State
    entry_id: EntryId | None = None
    message_id: str | None = None
    window_id: WindowId | None = None
    at: int | None = None
    attempt: int | None = None
    retry_at: int | None = None
    error: str | None = None
    behind: WindowId | None = None
    dead_letter_id: LetterId | None = None
    accepted_at: int | None = None
    opened_at: int | None = None
    closed_at: int | None = None
    closed_by: str | None = None
    started_at: int | None = None
    failures: tuple[FailureTrace, ...] | None = None
    paused_since: int | None = None
    reply: ReplyTrace | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadTrace:
    """A dead letter; ``dead_letter_id`` is what ``inturn dead replay`` takes."""

    dead_letter_id: LetterId
    window_id: WindowId
    error: str
    attempts: int
    message_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTrace:
    """
    A conversation, each part newest last; all empty: nothing is known of it.

    ``muted_until``: until then its windows are finished in silence. ``last_message_at``,
    ``last_reply_at``: when the newest came, and was made, of those that are remembered.
    """

    messages: tuple[MessageTrace, ...]
    replies: tuple[ReplyTrace, ...]
    dead: tuple[DeadTrace, ...]
    windows: tuple[WindowTrace, ...] = ()
    muted_until: int | None = None
    last_message_at: int | None = None
    last_reply_at: int | None = None

    def __bool__(self) -> bool:
        return bool(self.messages or self.replies or self.dead or self.muted_until)
