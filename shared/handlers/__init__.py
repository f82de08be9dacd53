"""
Ways to answer a window: one file each, all behind ``Handler``.

``factory.handler_for`` reads the setting: ``echo``, ``python:module:function``,
``http(s)://...``, ``openai:<model>``, ``dify:<base url>``. ``replies`` finds the texts in what a
handler gave back; ``transcript`` puts a window in words, ``history`` what was said before it.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import asdict

from shared.model import Entry, Result, Window


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """
    One attempt: the window and which attempt this is (from 1).

    ``history``: what earlier replies to this user gave as their ``memory``, oldest first; only
    for a handler that ``remembers``.
    """

    window: Window
    attempt: int
    history: tuple[bytes, ...] = ()


class Handler(Protocol):
    """
    Answers windows. Called once per attempt; bounded in time by the caller, who cancels.

    ``answer`` maps every failure it knows to a ``Result``; an exception counts as ``Retry``.
    ``in_process``: its code runs inside the worker, so that a window may take the worker along.
    ``remembers``: it is told what its earlier replies gave as their ``memory``.
    """

    in_process: bool
    remembers: bool

    async def answer(self, call: Call) -> Result:
        """Answer one window."""
        ...

    async def close(self) -> None:
        """Release connections; idempotent."""
        ...


def call_to_dict(call: Call) -> dict[str, Any]:
    """
    The handler request of DESIGN's faces: the JSON that every kind of handler sees.

    All of it is the caller's own but ``raw``, which the window holds.
    """
    window = call.window
    members = window.in_sent_order()
    return {
        "window_id": window.id,
        "instance": window.instance,
        "user": window.user,
        "attempt": call.attempt,
        "closed_by": str(window.closed_by),
        "opened_at": window.opened_at,
        "closed_at": window.closed_at,
        "text": "\n".join([entry.message.text for entry in members if entry.message.text]),
        "messages": [_message_face(entry) for entry in members],
    }


def _message_face(entry: Entry) -> dict[str, Any]:
    message = entry.message
    face: dict[str, Any] = {
        "message_id": message.message_id,
        "entry_id": str(entry.id),
        "kind": str(message.kind),
        "text": message.text,
        "sent_at": message.sent_at,
        "received_at": message.received_at,
    }
    if message.media is not None:
        face["media"] = asdict(message.media)
    if message.quoted is not None:
        face["quoted"] = message.quoted
    if message.name is not None:
        face["name"] = message.name
    if message.group is not None:
        face["group"] = asdict(message.group)
    if message.raw is not None:
        face["raw"] = message.raw
    return face
