"""Retry-After in its two forms becomes milliseconds, and nothing else does."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from shared.retry_after import retry_after_ms

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
DATE_MS = 1_700_000_000_000
LATER = "Tue, 14 Nov 2023 22:13:50 GMT"


@pytest.mark.parametrize(
    "value, expected_ms",
    [
        ("120", 120_000),
        (" 0 ", 0),
        ("0.25", 250),
        (LATER, 30_000),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", 30_000),
        ("Tue Nov 14 22:13:50 2023", 30_000),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30_000),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("٣", None),
        ("9" * 40, None),
        ("Tue, 99 Nov 2023 22:13:20 GMT", None),
    ],
)
def test_both_forms_are_read(value: str, expected_ms: int | None) -> None:
    """Seconds and the three forms of HTTP dates are obeyed, a past date is now, others are none."""
    assert retry_after_ms(CIMultiDict({"retry-after": value}), now_ms=DATE_MS) == expected_ms


def test_a_date_is_counted_from_the_responses_own_date() -> None:
    """A worker whose clock is an hour off waits as long as the endpoint meant."""
    headers = CIMultiDict({"Retry-After": LATER, "Date": DATE})
    assert retry_after_ms(headers, now_ms=DATE_MS + 3_600_000) == 30_000


def test_without_a_date_the_local_clock_counts() -> None:
    """A date alone is compared with our own time."""
    headers = CIMultiDict({"Retry-After": formatdate(time.time() + 600, usegmt=True)})
    wait_ms = retry_after_ms(headers)
    assert wait_ms is not None
    assert 500_000 < wait_ms <= 601_000


@given(st.text(), st.text())
def test_no_header_raises(value: str, date: str) -> None:
    """Whatever the headers hold, the answer is none or a span that is not negative."""
    after_ms = retry_after_ms(CIMultiDict({"Retry-After": value, "Date": date}), now_ms=DATE_MS)
    assert after_ms is None or after_ms >= 0
