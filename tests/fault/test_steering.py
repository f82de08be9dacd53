"""Steering under load, while workers are killed: nothing lost, doubled or reordered around it."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ops.chaos.bench import Bench, Options, bench
from ops.chaos.faults import recovering
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.waiting import eventually
from tests.support.fault_bench import PATIENT_MS, assert_ledger, say, some_in_hand
from tests.support.steered_load import (
    alone,
    began_meanwhile,
    handed_over,
    not_as_before,
    redis_ms,
    steer,
    torn,
)

BUSIEST = "shop-0"
PATIENT = Options(settings={"lease_ms": PATIENT_MS})

pytestmark = pytest.mark.timeout(300)


async def kill_one(made: Bench) -> None:
    """
    A worker dies with windows in hand; another one starts, has partitions, and so has read the
    settings of now; and all has an owner again.
    """
    async with made.taking("consumer") as slot, recovering(made, slot, "kill") as disturbance:
        await some_in_hand(made, slot)
        made.running[slot].kill()
        made.ledger.killed(disturbance)
        new = made.spawn(slot, "consumer")
    owned = '"partitions.owned"'
    await eventually(lambda: owned in new.log.read_text(), "partitions of the new worker", 30.0)
    await made.all_owned()


async def more_calls(made: Bench, count: int) -> None:
    """Wait until so many more calls were made: the load goes on."""
    calls = made.ledger.evidence.calls
    target = len(calls) + count
    await eventually(lambda: len(calls) >= target, f"{count} calls", 60.0)


@pytest.mark.short_fault
async def test_pass_through_switched_on_under_load_and_off(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """
    From when all workers have heard of it every message is handled alone, also by whoever takes
    over then; off again, windows are as before; nothing is lost, doubled or reordered.
    """
    async with bench(private_redis, tmp_path, chance, PATIENT) as made:
        made.rules = replace(made.rules, is_steered=True)
        everybody = sorted({instance for instance, _ in made.options.load.users()})
        made.writers.start()
        await more_calls(made, 150)
        switched_ms = await redis_ms(made)
        on_ms = await steer(made, everybody, mode="pass_through")
        await more_calls(made, 200)
        await kill_one(made)
        await more_calls(made, 200)
        off_s = time.monotonic()
        again_ms = await steer(made, everybody, mode=None)
        await more_calls(made, 150)
        await assert_ledger(made)

        evidence = made.ledger.evidence
        assert torn(evidence) == []
        count, wrong = alone(evidence, on_ms, off_s)
        assert wrong == []
        assert count > 200, "void: few messages were alone"
        assert not_as_before(evidence, made.rules, again_ms) == []
        windows = [window for _, _, handed in handed_over(evidence) for window in handed]
        for name, since_ms, until_ms in (("before", 0, switched_ms), ("after", again_ms, 2**53)):
            sizes = [len(one) for one in windows if since_ms <= one[0].ms < until_ms]
            say(f"{name}: {len(sizes)} windows, {sum(sizes)} messages; alone: {count}")
            assert max(sizes, default=0) > 1, f"void: {name}"


async def test_an_account_paused_under_load_and_resumed(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """
    While it is paused no window of it begins, whoever takes over; its messages are accepted, the
    others go on; afterwards all of it is handled in order, in the windows that it would have had.
    """
    async with bench(private_redis, tmp_path, chance, PATIENT) as made:
        made.writers.start()
        await more_calls(made, 150)
        await steer(made, [BUSIEST], paused=True)
        # what a worker had begun to start when it heard is in the handler's hand by now
        paused_s = time.monotonic() + made.lease_s
        await more_calls(made, 150)
        await kill_one(made)
        await more_calls(made, 150)
        await kill_one(made)
        await more_calls(made, 50)
        evidence = made.ledger.evidence
        assert time.monotonic() > paused_s, "void: it was not paused for long enough"
        assert began_meanwhile(evidence, BUSIEST, paused_s, time.monotonic()) == 0
        accepted = (sent for sent in evidence.sent.values() if sent.is_accepted)
        waiting = sum(sent.who[0] == BUSIEST for sent in accepted)
        before = len(evidence.calls)
        await steer(made, [BUSIEST], paused=None)
        await assert_ledger(made)
        assert torn(evidence) == []
        later = [call for call in evidence.calls[before:] if call.who[0] == BUSIEST]
        say(f"{waiting} messages accepted by then, {len(later)} calls of it after the pause")
        assert later, "void: nothing waited"
