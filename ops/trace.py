"""``inturn trace``: where a user's messages and replies are, and a message's way, in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

from ops.reach import with_store
from ops.table import cut, render_table
from shared.channel import channel_provider
from shared.connect import Pipe
from shared.keys import Keys
from shared.masking import mask_text
from shared.settings import Settings, load_settings
from shared.trace import Trace
from shared.trace.face import conversation_face, message_face
from shared.trace.whereabouts import ConversationTrace, MessageTrace, ReplyTrace, State
from shared.unsent import ReplyId

MESSAGES_HEAD = ("MESSAGE", "ACCEPTED", "STATE", "SINCE", "WINDOW", "ERROR")
WINDOWS_HEAD = ("WINDOW", "STATE", "OPENED", "DUE", "MESSAGES", "ATTEMPT")
REPLIES_HEAD = ("REPLY", "STATE", "MADE", "ENDED", "WINDOW", "WHY")
DEAD_HEAD = ("DEAD LETTER", "ATTEMPTS", "WINDOW")


def trace_conversation(instance: str, user: str, *, as_json: bool) -> str | None:
    """Everything that is known of a conversation, without what its user wrote; None: nothing."""
    settings = load_settings()

    async def look(pipe: Pipe, keys: Keys) -> tuple[ConversationTrace, int]:
        found = await _tracer(pipe, keys, settings).conversation(instance, user)
        return found, keys.of(instance, user).number

    found, partition = with_store(look)
    if not found:
        return None
    return _json(conversation_face(instance, user, found)) if as_json else render(found, partition)


def trace_message(instance: str, user: str, message_id: str, *, as_json: bool) -> str | None:
    """One message's way; None: nothing is known of it."""
    settings = load_settings()

    async def look(pipe: Pipe, keys: Keys) -> MessageTrace:
        return await _tracer(pipe, keys, settings).message(instance, user, message_id)

    found = with_store(look)
    if found.state is State.UNKNOWN:
        return None
    return _json(message_face(instance, user, found)) if as_json else render_way(found)


def render(found: ConversationTrace, partition: int) -> str:
    """The conversation in tables, oldest first, under the ids that the other commands take."""
    lines = []
    if found.muted_until is not None:
        lines.append(f"muted until {_time(found.muted_until)}")
    if (since := next((one.paused_since for one in found.windows), None)) is not None:
        lines.append(f"paused since {_time(since)}: no window of this instance starts")
    lines.append(f"last message {_time(found.last_message_at)}")
    lines.append(f"last reply   {_time(found.last_reply_at)}")
    for head, rows in (
        (WINDOWS_HEAD, _window_rows(found)),
        (MESSAGES_HEAD, _message_rows(found)),
        (REPLIES_HEAD, _reply_rows(found, partition)),
        (DEAD_HEAD, _dead_rows(found)),
    ):
        if rows:
            lines += ["", *render_table(head, rows)]
    return "\n".join(lines)


def render_way(found: MessageTrace) -> str:
    """A message's way: a line for each thing that happened, with its time."""
    lines = [f"{_time(at)}  {what}".rstrip() for at, what in _way(found)]
    return "\n".join([*lines, f"state: {found.state}{_since(found)}{_pause(found.paused_since)}"])


def _way(found: MessageTrace) -> Iterator[tuple[int | None, str]]:
    if found.accepted_at is not None:
        yield found.accepted_at, f"accepted as entry {found.entry_id}"
    if found.opened_at is not None:
        yield found.opened_at, f"window {found.window_id} opened"
    if found.closed_at is not None:
        yield found.closed_at, f"window closed: {found.closed_by}"
    for failure in found.failures or ():
        yield failure.at, f"attempt {failure.attempt} failed: {mask_text(failure.error)}"
    if found.started_at is not None:
        yield found.started_at, f"attempt {found.attempt} started"
    if found.retry_at is not None:
        yield found.retry_at, f"next attempt due: {mask_text(found.error or '')}"
    elif found.error:
        yield found.at, f"error: {mask_text(found.error)}"
    reply = found.reply
    if reply is not None:
        yield reply.reply_id.ms, f"reply {reply.reply_id} made"
        yield reply.at, f"reply {reply.state} {_why(reply)}"


def _pause(since_ms: int | None) -> str:
    """Why it waits; what is said of it elsewhere stays true."""
    if since_ms is None:
        return ""
    return f"; it waits: its instance is paused since {_time(since_ms)}"


def _since(found: MessageTrace) -> str:
    return "" if found.at is None else f" since {_time(found.at)}"


def _window_rows(found: ConversationTrace) -> list[tuple[str, ...]]:
    return [
        (
            one.window_id,
            one.state,
            _time(one.opened_at),
            _time(one.due_at),
            str(one.messages),
            "-" if one.attempt is None else str(one.attempt),
        )
        for one in found.windows
    ]


def _message_rows(found: ConversationTrace) -> list[tuple[str, ...]]:
    return [
        (
            cut(one.message_id or "-"),
            _time(one.accepted_at),
            one.state,
            _time(one.at),
            one.window_id or "-",
            cut(mask_text(one.error or "")),
        )
        for one in found.messages
    ]


def _reply_rows(found: ConversationTrace, partition: int) -> list[tuple[str, ...]]:
    return [
        (
            str(ReplyId(one.reply_id, partition)),
            one.state,
            _time(one.reply_id.ms),
            _time(one.at),
            one.window_id,
            _why(one),
        )
        for one in found.replies
    ]


def _dead_rows(found: ConversationTrace) -> list[tuple[str, ...]]:
    """Why is in the messages' rows."""
    return [(str(one.dead_letter_id), str(one.attempts), one.window_id) for one in found.dead]


def _why(reply: ReplyTrace) -> str:
    return mask_text(reply.held or reply.error or "")


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "-"
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(" ", "milliseconds")[:23]


def _json(face: dict[str, object]) -> str:
    return orjson.dumps(face, option=orjson.OPT_INDENT_2).decode()


def _tracer(pipe: Pipe, keys: Keys, settings: Settings) -> Trace:
    return Trace(pipe, keys, lambda reply: channel_provider(settings, reply) is not None, settings)
