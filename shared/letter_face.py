"""Dead letters as JSON, for the API and the command line: the list tells nobody's words or name."""

from __future__ import annotations

from typing import Any

from shared.kept_letters import KeptLetter
from shared.model import Entry, Window
from shared.wire import DeadLetter


def letter_face(kept: KeptLetter) -> dict[str, Any]:
    """What a list tells of one; null where it cannot be read."""
    letter = kept.letter
    window = None if letter is None else letter.window
    return {
        "id": str(kept.id),
        "at": kept.id.entry.ms,
        "instance": None if letter is None else letter.instance,
        "window_id": None if window is None else window.id,
        "messages": None if window is None else len(window.members),
        "attempts": None if letter is None else letter.attempts,
        "error": kept.error_kind,
        "not_replayable": kept.obstacle,
    }


def whole_letter_face(kept: KeptLetter, *, with_texts: bool) -> dict[str, Any]:
    """
    One letter, with its user and each of its messages.

    Only ``with_texts``: what people wrote and what the handler said. Media stay behind.
    """
    letter = kept.letter
    window = None if letter is None else letter.window
    told: dict[str, Any] = {
        **letter_face(kept),
        "user": None,
        "opened_at": None,
        "closed_at": None,
        "closed_by": None,
        "contents": [],
    }
    if window is not None:
        told |= _window_face(window, with_texts=with_texts)
    if with_texts:
        told["whole_error"] = None if letter is None else letter.error
        told["raw"] = _raw_of(kept, letter) if window is None else None
    return told


def _window_face(window: Window, *, with_texts: bool) -> dict[str, Any]:
    entries = window.in_sent_order()
    return {
        "user": window.user,
        "opened_at": window.opened_at,
        "closed_at": window.closed_at,
        "closed_by": window.closed_by.value,
        "contents": [_message_face(entry, with_texts=with_texts) for entry in entries],
    }


def _message_face(entry: Entry, *, with_texts: bool) -> dict[str, Any]:
    message = entry.message
    told: dict[str, Any] = {
        "message_id": message.message_id,
        "entry_id": str(entry.id),
        "kind": message.kind.value,
        "sent_at": message.sent_at,
        "received_at": message.received_at,
        "provider": message.provider,
    }
    if with_texts:
        media = message.media
        told |= {
            "text": message.text,
            "name": message.name,
            "caption": None if media is None else media.caption,
            "file": None if media is None else media.name or media.mime,
        }
    return told


def _raw_of(kept: KeptLetter, letter: DeadLetter | None) -> str:
    """What stands there of which nothing can be read."""
    return (kept.raw if letter is None else (letter.raw or "").encode()).decode(
        errors="backslashreplace"
    )
