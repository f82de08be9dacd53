"""
What is said on an event stream, as bytes: server-sent events (WHATWG HTML, section 9.2). Pure.

A frame is made once and written to every listener. HTTP/1.1 needs each piece of a body without a
length in a chunk of its own (RFC 9112, 7.1), HTTP/1.0, which proxies speak, must not have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.tickets import Change, Event, Status

CONNECTED = "CONNECTED"
QUEUE_UPDATE = "QUEUE_UPDATE"
SNAPSHOT = "SNAPSHOT"
HEARTBEAT = "HEARTBEAT"

NEXT_MAX = 10
"""How many of the numbers that are called next are named: what a screen has room for."""

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Frame:
    """One event: as it stands in the stream, and inside its chunk."""

    plain: bytes
    chunked: bytes


def join(frames: Iterable[Frame]) -> Frame:
    """Several events as one piece."""
    kept = list(frames)
    return Frame(b"".join(frame.plain for frame in kept), b"".join(frame.chunked for frame in kept))


def order_of(event_id: str) -> tuple[int, int]:
    """Ids in the order of what they stand for; as texts they are in another one."""
    ms, _, seq = event_id.partition("-")
    return int(ms), int(seq)


def frame_connected(status: Status, event_id: str, *, resumed: bool, gap: bool) -> Frame:
    """
    The first thing a listener is told: the queue at ``event_id``.

    ``resumed``: that is the event that the listener named, and what came behind it follows.
    ``gap``: what came behind it is not known any more; the queue is as it is now.
    """
    return _state_frame(CONNECTED, status, event_id, resumed=resumed, gap=gap)


def frame_update(event: Event) -> Frame:
    """A change; ``number`` is who entered or was finished, null where there is none."""
    more = {"change": event.change, "number": event.number or None, "at": event.at_ms}
    return _state_frame(QUEUE_UPDATE, event.status, event.id, **more)


def frame_snapshot(status: Status, event_id: str, *, gap: bool) -> Frame:
    """The queue as it is; ``gap``: changes before it were not told, and never will be."""
    return _state_frame(SNAPSHOT, status, event_id, gap=gap)


def frame_heartbeat(clinic: str, *, stale: bool) -> Frame:
    """The line is alive; ``stale``: Redis does not answer, so nobody knows what has changed."""
    return framed(HEARTBEAT, {"type": HEARTBEAT, "clinic": clinic, "stale": stale})


def retry_line(retry_ms: int) -> bytes:
    """How long a browser waits before it comes back; no event of its own."""
    return b"retry: %d\n\n" % retry_ms


def _state_frame(
    kind: str, status: Status, event_id: str, **more: bool | int | Change | None
) -> Frame:
    told = {
        "type": kind,
        "id": event_id,
        **status.face(),
        "next": status.upcoming(NEXT_MAX),
        **more,
    }
    return framed(kind, told, b"id: %s\n" % event_id.encode())


def framed(kind: str, told: dict[str, Any], id_line: bytes = b"") -> Frame:
    """One event of this kind."""
    # JSON of one line: a line feed inside a text is an escape.
    plain = b"event: %s\n%sdata: %s\n\n" % (kind.encode(), id_line, _encode(told))
    return Frame(plain, b"%x\r\n%s\r\n" % (len(plain), plain))
