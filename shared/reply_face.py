"""Unsent replies as JSON, for the API and the command line: the list tells no words and no name."""

from __future__ import annotations

from typing import Any

from shared.masking import mask_text
from shared.unsent import UnsentReply


def reply_face(found: UnsentReply) -> dict[str, Any]:
    """What a list tells of one; null where it cannot be read."""
    reply, record = found.reply, found.record
    why = "" if record is None else record.held or record.error
    return {
        "id": str(found.id),
        "at": found.id.entry.ms,
        "instance": None if reply is None else reply.instance,
        "window_id": None if reply is None else reply.window_id,
        "state": found.state.value,
        "attempts": 0 if record is None else record.attempt,
        "texts": None if reply is None else len(reply.texts),
        "why": mask_text(why) or None,
    }


def whole_reply_face(found: UnsentReply, *, with_texts: bool) -> dict[str, Any]:
    """One reply, with its user; only ``with_texts``: what it says, and all that is known of why."""
    reply, record = found.reply, found.record
    told: dict[str, Any] = {
        **reply_face(found),
        "user": None if reply is None else reply.user,
        "provider": None if reply is None else reply.provider,
        "message_ids": [] if reply is None else list(reply.message_ids),
        "texts_sent": 0 if record is None else record.sent,
        "retry_at": None if record is None or record.held else record.retry_at,
    }
    if with_texts:
        told["contents"] = [] if reply is None else list(reply.texts)
        told["whole_why"] = None if record is None else record.held or record.error or None
        told["raw"] = found.raw.decode(errors="backslashreplace") if reply is None else None
    return told
