"""What every fault test needs: a seed, a durable Redis, services with armed points, a verdict."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from pathlib import Path

from ops.chaos.bench import Bench
from ops.chaos.processes import Service
from ops.chaos.tally import tally
from ops.chaos.waiting import eventually

PATIENT_MS = 3000
"""
A lease for runs in which one worker at a time is harmed, and nothing explains what befalls the
others: on a starved machine a shorter one runs out though its owner lives, and is taken from it.
"""


def seeded() -> random.Random:
    """Chance of this run; ``TEST_SEED`` repeats one."""
    seed = int(os.environ.get("TEST_SEED") or random.SystemRandom().randrange(10**9))
    say(f"TEST_SEED={seed}")
    return random.Random(seed)


def say(text: str) -> None:
    """To the captured output: a failure, or ``pytest -s``, shows it."""
    print(text)  # noqa: T201  figures of a run


class Probes:
    """Runs services with armed points; ``arm`` has the slot's process kill or stop itself."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def spawn(self, service: Service, slot: str) -> tuple[Sequence[str], dict[str, str]]:
        """For ``Options``."""
        return ("-m", "tests.support.probed", service), {"TEST_PROBE_FILE": str(self._file(slot))}

    def arm(self, slot: str, point: str, action: str, count: int) -> None:
        """At the ``count``-th pass from now on: ``kill`` or ``stop``."""
        whole = self._file(slot).with_suffix(".new")
        whole.write_text(f"{point}:{action}:{count}")
        whole.replace(self._file(slot))

    def is_armed(self, slot: str) -> bool:
        """Whether it has not come to that yet."""
        return self._file(slot).exists()

    def _file(self, slot: str) -> Path:
        return self._folder / f"probe-{slot}"


async def assert_ledger(made: Bench) -> None:
    """End the load, heal, drain; then every check of the ledger."""
    await made.settle()
    counts, evidence = tally(made.ledger.evidence), made.ledger.evidence
    drained = f"{evidence.drained_s:.1f} s" if evidence.drained_s is not None else "not"
    say(f"{counts}; drained: {drained}; slowest answer {made.sender.slowest_s:.2f} s")
    problems = made.ledger.problems(made.rules)
    for disturbance in evidence.disturbances if problems else ():
        say(str(disturbance))
    assert not problems, "\n".join(f"{p.check}: {p.text}" for p in problems[:20])
    assert counts.accepted > 0, "void: nothing was accepted"


async def answered_in(made: Bench, user: str) -> float:
    """Seconds until a message of a user who is new was handled, its window's wait taken off."""
    who = ("shop-0", user)
    began_s = time.monotonic()
    await made.sender.say(who)
    await eventually(
        lambda: any(call.who == who for call in made.ledger.evidence.calls),
        f"a call for {who}",
        15.0,
    )
    return time.monotonic() - began_s - float(made.settings["max_wait_ms"]) / 1000


async def some_in_hand(made: Bench, slot: str, count: int = 3) -> None:
    """Wait until that worker waits for so many handlers: a fault is to hit something."""
    name = made.running[slot].name
    await eventually(
        lambda: len(made.ledger.calls_in_hand_of(name)) >= count, f"{count} calls of {name}", 20.0
    )
