"""
All benches but the long ones, one after the other, and one table of what has a goal at the end:
``make bench``.

    python -m bench.suite [names]

Each is a process of its own, as if started alone. A void one keeps no other from running; the
suite ends with 1 where one was void, whole or in part. A goal that is not reached is a result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from bench.report import RESULTS, commit, describe_machine, own_settings
from tests.support.redis_server import ROOT

BENCHES = (
    "append",
    "ingest",
    "ingest_processes",
    "worker",
    "lateness",
    "instances",
    "crowd",
    "fair",
    "workers",
    "memory",
    "idle",
    "start",
    "cost",
    "spool",
    "tickets",
    "listeners",
    "console",
)

LONG = ("http",)
"""Run only where they are named: five minutes each."""

_COLUMNS = ("bench", "what", "value", "against", "ratio", "reach", "met")

Row = dict[str, Any]


def run(names: Sequence[str]) -> list[str]:
    """Run them; the names of those that were void, whole or in part."""
    void = []
    for name in names:
        (RESULTS / f"{name}.json").unlink(missing_ok=True)
        if subprocess.run(
            [sys.executable, "-m", f"bench.{name}"], cwd=ROOT, check=False
        ).returncode:
            void.append(name)
        print(flush=True)
    return void


def rows_with_goal(names: Sequence[str]) -> Iterator[tuple[str, Row]]:
    """Bench and row, of what the last run has written."""
    for name in names:
        path = RESULTS / f"{name}.json"
        if path.exists():
            rows: list[Row] = json.loads(path.read_text())["rows"]
            yield from ((name, row) for row in rows if row["reach"] is not None)


def table(rows: Sequence[tuple[str, Row]]) -> str:
    """Markdown that reads as text, too: columns as wide as they need."""
    lines = [_COLUMNS, *(_cells(bench, row) for bench, row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(_COLUMNS))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(
        "| " + " | ".join(map(str.ljust, line, widths)) + " |"
        for line in (lines[0], rule, *lines[1:])
    )


def _cells(bench: str, row: Row) -> tuple[str, ...]:
    ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
    value = f"{row['value']:,} {row['unit']}"
    met = "yes" if row["met"] else "NO"
    return (bench, row["name"], value, row["against"] or "", ratio, row["reach"], met)


def main() -> int:
    """Run all, or those that are named."""
    names = sys.argv[1:] or BENCHES
    known = (*BENCHES, *LONG)
    if unknown := sorted(set(names) - set(known)):
        print(f"no bench is called {', '.join(unknown)}; there are: {', '.join(known)}")
        return 2
    if own := own_settings():
        print(f"unset {', '.join(own)} first: the table is of inturn's defaults")
        return 2
    began_s = time.monotonic()
    void = run(names)
    rows = list(rows_with_goal(names))
    print(f"{describe_machine()}, commit {commit()}; {time.monotonic() - began_s:.0f} s in all\n")
    print(table(rows))
    print(f"\n{sum(row['met'] for _, row in rows)} of {len(rows)} goals are reached")
    if void:
        print(f"VOID, whole or in part: {', '.join(void)}")
    return 1 if void else 0


if __name__ == "__main__":
    sys.exit(main())
