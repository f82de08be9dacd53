"""Windows for tests that need one and care about little in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.handlers import Call
from shared.model import ClosedBy, Entry, EntryId, Message, Window, window_id

BASE_MS = 1_700_000_000_000


def make_window(texts: Sequence[str] = ("hello",), **message: Any) -> Window:
    """One user's window with a message per text, 100 ms apart; ``message`` sets their fields."""
    entries = tuple(
        Entry(
            id=EntryId(BASE_MS + 100 * number, 0),
            message=Message(
                **{
                    "instance": "shop",
                    "user": "491700000001",
                    "message_id": f"M{number}",
                    "text": text,
                    "sent_at": BASE_MS + 100 * number,
                    "received_at": BASE_MS + 100 * number,
                    **message,
                }
            ),
        )
        for number, text in enumerate(texts)
    )
    first = entries[0]
    return Window(
        id=window_id(first.message.instance, first.message.user, first.id),
        instance=first.message.instance,
        user=first.message.user,
        entries=entries,
        closed_by=ClosedBy.MAX_WAIT,
        opened_at=BASE_MS,
        closed_at=BASE_MS + 8000,
    )


def make_call(texts: Sequence[str] = ("hello",), attempt: int = 1, **message: Any) -> Call:
    """A call of a handler for ``make_window(texts)``."""
    return Call(window=make_window(texts, **message), attempt=attempt)
