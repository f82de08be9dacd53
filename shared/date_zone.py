"""In which time zone a day has its date."""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def time_zone(name: str) -> tzinfo:
    """
    By its IANA name; UTC also where no time zones are installed.

    Raises:
        ValueError: this machine knows none of this name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:  # OSError: a folder among them, as "Europe"
        raise ValueError(f"no time zone {name}") from error


def is_time_zone(name: str) -> bool:
    """Whether ``time_zone`` finds it."""
    try:
        time_zone(name)
    except ValueError:
        return False
    return True
