"""
What a bench says: a table for people, and ``bench/results/<name>.json`` for comparing runs.

A run whose own check fails is *void*: its figures describe work that was not done, so they are
not written; a bench of several runs may leave out one of them. Ratios of one run travel between
machines; plain figures belong to the machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from tests.support.redis_server import ROOT, tested_binary

RESULTS = ROOT / "bench" / "results"

_COLUMNS = ("name", "value", "unit", "against", "ratio", "reach", "met")


class Void(Exception):
    """The run did not do the work that it was timed for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The goal of a row: a bound on its value, or on its ratio to a peer."""

    limit: float
    at_least: bool = False
    of_ratio: bool = False

    def text(self, unit: str) -> str:
        """As it stands in the table."""
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.limit:g} {'x' if self.of_ratio else unit}"

    def is_met(self, value: float, ratio: float | None) -> bool:
        """Whether the row has reached it."""
        measured = ratio if self.of_ratio else value
        if measured is None:
            return False
        return measured >= self.limit if self.at_least else measured <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``against``: the row of the same run that ``ratio`` divides by."""

    name: str
    value: float
    unit: str
    against: str | None = None
    ratio: float | None = None
    reach: str | None = None
    met: bool | None = None


class Report:
    """The rows of one bench, and what must be said about how they came about."""

    def __init__(self, bench: str) -> None:
        self.bench = bench
        self.rows: list[Row] = []
        self.voids: list[str] = []
        self._notes: list[str] = []
        self._began_s = time.monotonic()

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        against: Row | None = None,
        reach: Reach | None = None,
    ) -> Row:
        """Add a figure, compared with an earlier row where one is named."""
        ratio = round(value / against.value, 3) if against and against.value else None
        row = Row(
            name=name,
            value=_rounded(value),
            unit=unit,
            against=against.name if against else None,
            ratio=ratio,
            reach=reach.text(unit) if reach else None,
            met=reach.is_met(value, ratio) if reach else None,
        )
        self.rows.append(row)
        return row

    def note(self, text: str) -> None:
        """Say below the table what its reader must know."""
        self._notes.append(text)

    def leave_out(self, run: str, error: Void) -> None:
        """One run of several is void: it has no rows, and the bench ends with 1."""
        self.voids.append(f"{run}: {error}")
        self.say(f"VOID: {run}: {error}")

    def say(self, text: str) -> None:
        """Tell whoever waits what is going on."""
        print(f"  {time.monotonic() - self._began_s:6.1f} s  {text}", flush=True)

    def print_table(self) -> None:
        """Rows and notes, in columns as wide as they need."""
        lines = [_COLUMNS, *(_cells(row) for row in self.rows)]
        widths = [max(len(line[at]) for line in lines) for at in range(len(_COLUMNS))]
        print()
        for line in lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
        for note in self._notes:
            print(f"- {note}")
        for void in self.voids:
            print(f"- VOID, left out: {void}")

    def write(self) -> Path:
        """The rows as JSON; replaces the bench's last result."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.bench}.json"
        body = {
            "bench": self.bench,
            "commit": commit(),
            "machine": machine(),
            "rows": [asdict(row) for row in self.rows],
        }
        path.write_text(json.dumps(body, indent=2) + "\n")
        return path


def run_bench(name: str, measure: Callable[[Report], Awaitable[None]]) -> None:
    """
    Measure, print, write.

    Ends the process with 1 when the run is void, and then nothing is written, or a part of it is.
    """
    report = Report(name)
    print(f"bench {name}: {describe_machine()}, commit {commit()}", flush=True)
    try:
        uvloop.run(_run(measure, report))
    except Void as error:
        report.print_table()
        print(f"\nVOID: {error}")
        sys.exit(1)
    report.print_table()
    own = own_settings()
    if own:
        print(f"\nnot written: it was measured under {', '.join(own)} of the caller")
    else:
        print(f"\nwritten to {report.write().relative_to(ROOT)}")
    if report.voids:
        sys.exit(1)


async def _run(measure: Callable[[Report], Awaitable[None]], report: Report) -> None:
    await measure(report)


def own_settings() -> list[str]:
    """
    The ``INTURN_`` variables of the caller, as ``NAME=value``.

    Services inherit them, so that ``INTURN_LOG_LEVEL=warning make bench BENCH=worker`` shows what
    a setting costs; such a result is not the bench's and is not written.
    """
    return sorted(f"{n}={value}" for n, value in os.environ.items() if n.startswith("INTURN_"))


def machine() -> dict[str, str | int]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "cpus": os.cpu_count() or 0,
        "processor": _processor(),
        "python": platform.python_version(),
        "redis": tested_binary().version_text,
    }


def describe_machine() -> str:
    """The same in one line."""
    facts = machine()
    processor = f"{facts['cpus']} CPUs ({facts['processor']})"
    return f"{processor}, Python {facts['python']}, Redis {facts['redis']}"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit that is measured, with ``-dirty`` where files differ from it."""
    with suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    return "unknown"


def _rounded(value: float) -> float:
    """Three places below ten, one below a thousand: what repeats from run to run is less."""
    if abs(value) < 10:
        return round(value, 3)
    return round(value, 1) if abs(value) < 1000 else round(value)


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    met = "" if row.met is None else ("yes" if row.met else "NO")
    value = f"{row.value:,}"
    return (row.name, value, row.unit, row.against or "", ratio, row.reach or "", met)
