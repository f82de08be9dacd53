"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """FAIL: a promise is not kept, or cannot be. WARN: look at it."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Point:
    """
    One thing that was checked: a sentence, and unless all is well what it costs and what to do.

    ``name`` is fixed, for programs.
    """

    name: str
    verdict: Verdict
    says: str
    costs: str = ""
    advice: str = ""


def ok(name: str, says: str) -> Point:
    """All is well."""
    return Point(name, Verdict.OK, says)


def warn(name: str, says: str, costs: str, advice: str) -> Point:
    """Look at it."""
    return Point(name, Verdict.WARN, says, costs, advice)


def fail(name: str, says: str, costs: str, advice: str) -> Point:
    """A promise is not kept, or cannot be."""
    return Point(name, Verdict.FAIL, says, costs, advice)
