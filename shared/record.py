"""
The records of windows and sends that have begun, as they stand in Redis.

A record says which token may finish the window (or the send), and whose it is: a worker's, or
nobody's while it waits for its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from msgspec import Struct

from shared.model import ClosedBy, EntryId, Token, Window, WindowId, WorkerId


class Failure(Struct, frozen=True, kw_only=True, gc=False):
    """An attempt that came to nothing: when (Redis's ms), and a kind of error."""

    attempt: int
    at: int
    error: str


KIND_MAX_CHARS = 100


def kind_on_a_line(error: str) -> str:
    """What kind of error: behind the colon stands what a handler said, perhaps of a person."""
    return " ".join(error.partition(":")[0][:KIND_MAX_CHARS].split())


def decode_failures(lines: str) -> tuple[Failure, ...]:
    """
    What ``postpone`` wrote, oldest first.

    Raises:
        ValueError: somebody else wrote it.
    """
    parts = [line.split(" ", 2) for line in lines.splitlines()]
    return tuple(
        Failure(attempt=int(attempt), at=int(at), error=error) for attempt, at, error in parts
    )


class Record(Struct, frozen=True, kw_only=True, gc=False):
    """
    A window that was started and is not finished.

    ``ids`` is its frozen extent. ``worker`` is empty while nobody holds it; then ``retry_at`` is
    when it is due (Redis's ms) and ``delay_ms`` how long it waits at most, whatever the clocks
    say. ``since`` is when its endpoint was first found unavailable, 0 if it was not. ``failures``:
    the newest attempts that came to nothing, but for those whose worker died.
    """

    ids: tuple[EntryId, ...]
    window_id: WindowId
    closed_by: ClosedBy
    opened_at: int
    closed_at: int
    token: Token
    worker: WorkerId
    attempt: int
    retry_at: int = 0
    delay_ms: int = 0
    since: int = 0
    started: int = 0
    error: str = ""
    failures: tuple[Failure, ...] = ()


DAMAGE = (ValueError, TypeError, KeyError, AttributeError)
"""What reading raises of a record that is not as it was written."""


def decode_record(value: bytes) -> Record:
    """
    What ``start`` and ``postpone`` wrote.

    Raises:
        one of ``DAMAGE``: somebody else wrote it.
    """
    body = orjson.loads(value)
    if not body["ids"]:
        raise ValueError("a record without entries")
    return Record(
        ids=tuple(EntryId.parse(entry_id) for entry_id in body["ids"]),
        window_id=WindowId(_text(body, "window_id")),
        closed_by=ClosedBy(body["closed_by"]),
        opened_at=int(body["opened_at"]),
        closed_at=int(body["closed_at"]),
        token=Token(_text(body, "token")),
        worker=WorkerId(_text(body, "worker")),
        attempt=int(body["attempt"]),
        retry_at=int(body["retry_at"]),
        delay_ms=int(body["delay"]),
        since=int(body["since"]),
        started=int(body["started"]),
        error=body.get("error", ""),
        failures=decode_failures(body.get("failed", "")),
    )


def _text(body: dict[str, Any], name: str) -> str:
    value = body[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    return value


def encode_extent(window: Window, ids: list[str], error: str = "") -> bytes:
    """
    The part of a record that the starter knows; the script adds the rest. ``ids``: in text.

    A replay's says which entries it stands for, the first and the last: ``finish`` notes its ending
    under them, for these are the ones that the messages' ids lead to.
    """
    body: dict[str, Any] = {
        "ids": ids,
        "window_id": window.id,
        "closed_by": window.closed_by,
        "opened_at": window.opened_at,
        "closed_at": window.closed_at,
        "error": error,
    }
    if (replayed := window.entries[0].replayed) is not None:
        body["stands_for"] = f"{replayed.entries[0].id} {replayed.entries[-1].id}"
    return orjson.dumps(body)


REFUSED = "refused: "
"""So begins why a reply is held that its provider refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRecord:
    """
    A reply whose sending has begun.

    ``sent`` counts the texts that have left whole, ``parts`` what has left of the text behind them.
    ``held`` says why it waits for a person; empty: it is on its way, or due at ``retry_at``.
    ``error`` says why its last try came to nothing.
    """

    token: Token
    worker: WorkerId
    attempt: int
    sent: int
    held: str
    retry_at: int
    delay_ms: int
    parts: int = 0
    error: str = ""

    @property
    def has_failed(self) -> bool:
        """It is held, for its provider will not take it."""
        return self.held.startswith(REFUSED)


def decode_send_record(value: bytes) -> SendRecord:
    """What ``send`` and ``unsend`` wrote."""
    body = orjson.loads(value)
    return SendRecord(
        token=Token(_text(body, "token")),
        worker=WorkerId(_text(body, "worker")),
        attempt=int(body["attempt"]),
        sent=int(body["sent"]),
        parts=int(body.get("parts", 0)),
        error=body.get("error", ""),
        held=_text(body, "held"),
        retry_at=int(body["retry_at"]),
        delay_ms=int(body["delay"]),
    )
