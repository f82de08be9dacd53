"""``Retry-After``: how long an endpoint wants to be left alone (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def retry_after_ms(headers: Mapping[str, str], now_ms: int | None = None) -> int | None:
    """
    What a response's ``Retry-After`` asks for, in ms from now; None without a readable one.

    Takes seconds (some services send fractions) and HTTP dates. A date is compared with the
    response's own ``Date``, so that a clock that differs from ours does not matter; without one,
    with ``now_ms``, by default our clock. A date that has passed is 0. Never raises, sets no
    upper limit. Header names must compare case-insensitively (a CIMultiDict).
    """
    value = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(value):
        return round(float(value) * 1000)
    until_ms = _http_date_ms(value)
    if until_ms is None:
        return None
    sent_ms = _http_date_ms(headers.get("Date", ""))
    if sent_ms is None:
        sent_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return max(0, until_ms - sent_ms)


def _http_date_ms(value: str) -> int | None:
    try:
        moment: datetime = parsedate_to_datetime(value)
        # An HTTP date is GMT by definition, also where the zone is written as ``-0000``.
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
