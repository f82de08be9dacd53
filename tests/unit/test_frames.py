"""What is said on an event stream, byte by byte."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ingest.frames import (
    NEXT_MAX,
    frame_connected,
    frame_heartbeat,
    frame_snapshot,
    frame_update,
    order_of,
    retry_line,
)
from shared.tickets import Change, Event, Status

names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=128)


@given(clinic=names)
def test_no_name_breaks_out_of_its_line(clinic: str) -> None:
    """Whatever a clinic is called, a frame is its lines and an empty one, in UTF-8."""
    status = Status(clinic=clinic, last=3, called=1, serving=1)
    for frame in (
        frame_connected(status, "7-1", resumed=False, gap=False),
        frame_snapshot(status, "7-1", gap=True),
        frame_heartbeat(clinic, stale=False),
    ):
        *lines, empty, end = frame.plain.split(b"\n")
        assert (empty, end) == (b"", b"")
        assert b"\r" not in frame.plain
        assert [line.partition(b": ")[0] for line in lines] in (
            [b"event", b"id", b"data"],
            [b"event", b"data"],
        )
        assert json.loads(lines[-1].removeprefix(b"data: "))["clinic"] == clinic


def test_a_change_tells_all_of_the_queue() -> None:
    """State, the next numbers, and what has changed; of users nothing is known here."""
    status = Status(
        clinic="north-wing", last=20, called=4, serving=4, finished=2, service_ms=90_000
    )
    event = Event(id="9-2", change=Change.DONE, number=3, seq=24, at_ms=9, status=status)

    assert frame_update(event).plain == (
        b"event: QUEUE_UPDATE\nid: 9-2\n"
        b'data: {"type":"QUEUE_UPDATE","id":"9-2","clinic":"north-wing","serving":4,"last":20,'
        b'"waiting":16,"average_service_s":45.0,"estimated_wait_s":765.0,'
        b'"next":[5,6,7,8,9,10,11,12,13,14],"change":"done","number":3,"at":9}\n\n'
    )
    assert len(status.upcoming(NEXT_MAX)) == NEXT_MAX


def test_a_chunk_holds_its_frame() -> None:
    """Its length in hex, the frame, and an empty line: RFC 9112, 7.1."""
    frame = frame_heartbeat("a", stale=True)

    size, _, rest = frame.chunked.partition(b"\r\n")
    assert int(size, 16) == len(frame.plain)
    assert rest == frame.plain + b"\r\n"


def test_when_to_come_back_is_no_event() -> None:
    """A browser dispatches nothing without data."""
    assert retry_line(1200) == b"retry: 1200\n\n"


def test_ids_are_in_the_order_of_what_they_stand_for() -> None:
    """As texts they would not be."""
    ids = ["0-0", "9-10", "10-2", "10-10"]
    assert sorted(sorted(ids), key=order_of) == ids
