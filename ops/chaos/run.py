"""
``inturn chaos``: mixed faults under load against a private Redis, and what became of it.

All times are a quarter of the defaults, so that minutes hold many faults: windows of 2 s, leases
of 1.5 s. Nothing of the user's is touched: Redis, spool and logs are in a temporary folder.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.checks import Problem
from ops.chaos.load import Load
from ops.chaos.mix import draw, harm
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.processes import ROOT, Service
from ops.chaos.report import Row, document, machine, make_row, render
from ops.chaos.waiting import NotInTimeError
from shared.errors import StartRefused
from shared.redis_binary import ServerBinary

SCALE = 0.25
"""Of every default time, inturn's and the baseline's alike."""

QUARTER: dict[str, Any] = {
    "max_wait_ms": 2000,
    "grace_ms": 500,
    "lease_ms": 1500,
    "drain_ms": 5000,
    "retry_base_ms": 250,
    "max_attempts": 6,
}

BASELINE = "bench.buffer_baseline"
BASELINE_TTL_MS = 15_000
BASELINE_HEAL_S = 15.0
"""After that nothing comes any more: a buffer's time to live, its timer and three attempts."""

PAUSE_S = 1.5
"""Between two rounds all is whole for so long."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run; the same seed draws the same faults for inturn and for the baseline."""

    minutes: float
    seed: int
    workers: int
    baseline: bool


def run_chaos(
    plan: Plan, binary: ServerBinary, say: Say, tell: Say = lambda _document: None
) -> int:
    """
    Run, print the table; 1 if anything of inturn's was lost, reordered, split or wrong.
    ``tell`` is told the same as JSON, once.

    Raises:
        StartRefused: there is no baseline where inturn is installed without its benches.
    """
    if plan.baseline and not (ROOT / "bench" / "buffer_baseline.py").exists():
        raise StartRefused([f"--baseline needs a checkout of inturn: there is no {BASELINE} here"])
    say(f"seed {plan.seed}; {machine(binary.version_text)}; all times a quarter of the defaults")
    try:
        row, problems = _run(plan, binary, say, "inturn", _inturn_options(plan))
        rows = [row]
        if plan.baseline:
            say(render(rows))
            rows.append(_run(plan, binary, say, "buffer with TTL", _baseline_options(plan))[0])
    except NotInTimeError as error:
        say(f"it did not come back: {error}")
        return 1
    tell(document(plan.seed, rows, problems))
    say(render(rows))
    for problem in problems[:20]:
        say(f"{problem.check}: {problem.text}")
    return 0 if row.is_clean and not problems else 1


def _inturn_options(plan: Plan) -> Options:
    proxied = ("i1", *(f"w{n}" for n in range(1, max(plan.workers, 2))))
    return Options(workers=plan.workers, proxied=proxied, load=_load(), settings=QUARTER)


def _baseline_options(plan: Plan) -> Options:
    """As many processes as inturn has; each is webhook, buffer and timer at once."""
    replicas = 2 + plan.workers
    return Options(
        ingests=replicas,
        workers=0,
        proxied=tuple(f"i{n}" for n in range(1, replicas)),
        load=_load(),
        settings=QUARTER,
        spawn=_spawn_baseline,
        heal_s=BASELINE_HEAL_S,
    )


def _load() -> Load:
    return Load(per_s=80.0, asks_rate=0.1)


def _spawn_baseline(_service: Service, _slot: str) -> tuple[Sequence[str], dict[str, str]]:
    return ("-m", BASELINE), {"BUFFER_TTL_MS": str(round(BASELINE_TTL_MS * SCALE))}


def _run(
    plan: Plan, binary: ServerBinary, say: Say, name: str, options: Options
) -> tuple[Row, list[Problem]]:
    folder = Path(tempfile.mkdtemp(prefix="inturn-chaos-"))
    try:
        with PrivateRedis(binary) as redis:
            return asyncio.run(_measure(plan, redis, folder, say, name, options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _measure(
    plan: Plan, redis: PrivateRedis, folder: Path, say: Say, name: str, options: Options
) -> tuple[Row, list[Problem]]:
    async with bench(redis, folder, random.Random(plan.seed), options) as made:
        made.writers.start()
        await _harm_for(made, plan, say, name)
        await made.settle()
        row = make_row(name, made.ledger.evidence, made.rules, made.recoveries_s)
        return row, made.ledger.problems(made.rules)


async def _harm_for(made: Bench, plan: Plan, say: Say, name: str) -> None:
    schedule = random.Random(plan.seed)
    end_s = time.monotonic() + plan.minutes * 60
    while time.monotonic() < end_s:
        drawn = draw(schedule)
        left_s = end_s - time.monotonic()
        faults = ", ".join(f"{what} for {made.lease_s * leases:.1f} s" for what, leases in drawn)
        say(f"{name}: {left_s:4.0f} s left: {faults}")
        await harm(made, drawn)
        await made.all_owned()
        await asyncio.sleep(PAUSE_S)
