"""A window's calls belong to the trace that its messages came with, or to one of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.traceparent import trace_in, traceparent_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
OWN = r"00-[0-9a-f]{32}-[0-9a-f]{16}-01"


@pytest.mark.parametrize(
    "header, found",
    [
        (f"00-{TRACE}-{SPAN}-01", f"{TRACE}-01"),
        (f"00-{TRACE}-{SPAN}-00", f"{TRACE}-00"),
        (f"00-{TRACE}-{SPAN}-ff", f"{TRACE}-01"),
        (f"01-{TRACE}-{SPAN}-01-what-comes-later", f"{TRACE}-01"),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        (f"00-{TRACE}-{SPAN}-01\n", None),
        ("", None),
        (None, None),
    ],
)
def test_a_trace_is_read_as_w3c_writes_it(header: str | None, found: str | None) -> None:
    """Anything else is none: a header of a stranger's choice goes nowhere as it came."""
    assert trace_in(header) == found


@given(st.text())
def test_no_header_raises(header: str) -> None:
    """And whatever was found makes a header again."""
    made = traceparent_of("w_1", 1, [trace_in(header)])
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]", made)


def test_the_first_trace_of_its_messages_is_the_windows() -> None:
    """With a span of the attempt's own, the same whichever trace it is in."""
    found = traceparent_of("w_1", 1, [None, f"{TRACE}-00", f"{'a' * 32}-01"])
    own = traceparent_of("w_1", 1, [None, None])
    assert re.fullmatch(OWN, own)
    assert found == f"00-{TRACE}-{own.split('-')[2]}-00"
    assert own == traceparent_of("w_1", 1) != traceparent_of("w_2", 1)
