"""The ledger itself: each bug of the list, planted into the real services, is caught by it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ops.chaos import contents
from ops.chaos.bench import PREFIX, Bench, Options, bench
from ops.chaos.faults import disturbing, drain_worker, kill_redis, recovering
from ops.chaos.load import Load
from ops.chaos.private_redis import PrivateRedis
from ops.chaos.processes import Service
from ops.chaos.waiting import NotInTimeError, eventually
from tests.support.fault_bench import Probes, say, some_in_hand
from tests.support.tcp_proxy import runs

pytestmark = pytest.mark.timeout(90)

HEAL_S = 3.0
"""What is lost is not waited for as long as in a run that is to be clean."""

LONG_HEAL_S = {"none": 60.0, "unfenced read": 12.0}
"""Until what a dead worker had begun is done by another one; what it hides is found by no one."""

SETTINGS = {"unfenced read": {"lease_ms": 8000}}
"""
The owner that is stopped while its read is stolen must not lose its lease by that: half of it is
left at least, and others on the machine take their time, too.
"""

Harm = Callable[[Bench, Probes], Awaitable[None]]


class Planted(Probes):
    """Runs one service with a bug, the other one without; both with armed points."""

    def __init__(self, folder: Path, bug: str) -> None:
        super().__init__(folder)
        self._bug = bug

    def spawn(self, service: Service, slot: str) -> tuple[Sequence[str], dict[str, str]]:
        """For ``Options``."""
        (_, _, name), env = super().spawn(service, slot)
        return ("-m", "tests.support.planted", self._bug, name), env


async def kill_with_calls(made: Bench, _probes: Probes) -> None:
    """Kill a worker that waits for handlers, that one and no other; another one takes its place."""
    async with recovering(made, "w1") as disturbance:
        await some_in_hand(made, "w1")
        made.running["w1"].kill()
        made.ledger.killed(disturbance)
        made.respawn("w1")


async def sleep_before_finish(made: Bench, probes: Probes) -> None:
    """Stop a worker whose handler has answered, for longer than a lease."""
    sleeper = made.running["w1"]
    await some_in_hand(made, "w1", 4)
    async with disturbing(made, "stopped before a finish", sleeper.name):
        probes.arm("w1", "handler", "stop", 1)
        await eventually(lambda: not probes.is_armed("w1"), "void: a stop before a finish")
        await asyncio.sleep(2.0 * made.lease_s)
        sleeper.resume()
    await asyncio.sleep(1.0)


async def steal_a_read(made: Bench, probes: Probes) -> None:
    """Let a worker that was taken for dead read what its successor has not read, and die."""
    thief, owner = made.running["w1"], made.running["w2"]
    async with disturbing(made, "stopped before a read", thief.name):
        probes.arm("w1", "before_read", "stop", 1)
        await eventually(lambda: not probes.is_armed("w1"), "void: a stop before a read")

        async def is_other_owner() -> bool:
            owners = await made.lease_owners()
            return list(owners.values()) == [owner.worker_id] * made.settings["partitions"]

        await eventually(is_other_owner, "void: another owner", 30.0)
        await asyncio.sleep(0.5)
        async with disturbing(made, "stopped while its read is stolen", owner.name):
            owner.pause()
            await asyncio.sleep(1.5)
            thief.resume()
            with suppress(NotInTimeError):  # it dies of a read that is not refused
                await eventually(lambda: not thief.is_running(), "its death", 1.0)
            owner.resume()
    killed = made.ledger.disturb("kill for good", [thief.name])
    thief.kill()  # and nobody in its place: a takeover would find what is hidden
    made.ledger.killed(killed)


async def drop_an_append(made: Bench, _probes: Probes) -> None:
    """Drop the replies to three appends."""
    for _ in range(3):
        dropped = made.proxies["i1"].drop_reply(runs("append"))
        async with asyncio.timeout(10.0):
            await dropped.wait()


async def refuse_replies(made: Bench, _probes: Probes) -> None:
    """For a second every outbox is something that no reply can be added to."""
    keys = [f"{PREFIX}:{{{n}}}:outbox" for n in range(made.settings["partitions"])]
    await some_in_hand(made, "w1", 1)
    async with disturbing(made, "outboxes refuse replies"):
        for key in keys:
            await made.redis.eval(_HIDE, 2, key, f"{key}:hidden")
        await asyncio.sleep(1.0)
        for key in keys:
            await made.redis.eval(_SHOW, 2, key, f"{key}:hidden")


_HIDE = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
redis.call('SET', KEYS[1], 'no stream')
"""
_SHOW = """
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
"""


async def just_load(_made: Bench, _probes: Probes) -> None:
    """No harm is needed."""
    await asyncio.sleep(2.0)


async def stop_workers(made: Bench, _probes: Probes) -> None:
    """Stop all workers for less than a lease: messages wait, unread."""
    async with disturbing(made, "all workers stopped"):
        for worker in made.workers.values():
            worker.pause()
        await asyncio.sleep(0.7 * made.lease_s)
        for worker in made.workers.values():
            worker.resume()


async def hand_over(made: Bench, _probes: Probes) -> None:
    """Restart workers as a deploy does."""
    for _ in range(2):
        await drain_worker(made, 0.0)
        await made.all_owned()


async def end_redis(made: Bench, _probes: Probes) -> None:
    """Redis is killed and comes back, three times: each is a chance to overtake the backlog."""
    for _ in range(3):
        await kill_redis(made, 1.2)
        await asyncio.sleep(1.0)


async def crash_while_spooling(made: Bench, probes: Probes) -> None:
    """Redis is away, and ingest's host crashes between a write of the spool and its sync."""
    async with made.taking_redis(), disturbing(made, "Redis away"):
        made.redis_server.kill()
        await asyncio.sleep(1.0)
        victim = made.running["i1"]
        disturbance = made.ledger.disturb("crash of ingest", [victim.name])
        probes.arm("i1", "spool", "kill", 1)
        assert await victim.ended() < 0, "void: no crash"
        made.ledger.killed(disturbance)
        made.redis_server.spawn()
        await asyncio.to_thread(made.redis_server.ready)
    await made.spawn("i1", "ingest").ready()


CASES: dict[str, tuple[Service, Harm, set[str]]] = {
    "ack before the handler": ("consumer", kill_with_calls, {"lost"}),
    "unfenced finish": ("consumer", sleep_before_finish, {"lost", "replies"}),
    "new entries before pending ones": ("consumer", kill_with_calls, {"cuts"}),
    "client retries of XADD": ("ingest", drop_an_append, {"entries"}),
    "XACK before a refused XADD": ("consumer", refuse_replies, {"lost"}),
    "MAXLEN": ("ingest", stop_workers, {"lost"}),
    "windows by the local clock": ("consumer", just_load, {"cuts"}),
    "spool bypassed during replay": ("ingest", end_redis, {"order"}),
    "attempts taken from the delivery counter": ("consumer", hand_over, {"attempts"}),
    "2xx before the spool's fsync": ("ingest", crash_while_spooling, {"lost"}),
    "DELCONSUMER at shutdown": ("consumer", hand_over, {"lost", "undrained"}),
    "unfenced read": ("consumer", steal_a_read, {"lost", "undrained"}),
}


async def checks_failed(
    redis: PrivateRedis, folder: Path, chance: random.Random, bug: str, harms: Sequence[Harm]
) -> set[str]:
    """One small load under some harms; the names of the checks that found something."""
    probes = Planted(folder, bug)
    options = Options(
        ingests=1,
        workers=2,
        spawn=probes.spawn,
        proxied=("i1",),
        notes_starvation=bug == "none",
        heal_s=LONG_HEAL_S.get(bug, HEAL_S),
        settings={"partitions": 2, **SETTINGS.get(bug, {})},
        load=Load(
            instances=1,
            users_per_instance=16,
            per_s=60.0,
            writers=12,
            poison_rate=0.0,
            twice_rate=0.0 if bug == "client retries of XADD" else 0.1,
        ),
    )
    async with bench(redis, folder, chance, options) as made:
        made.endpoint.shortest_s = 0.2
        made.writers.start()
        for harm in harms:
            await asyncio.sleep(0.7)
            await harm(made, probes)
        await made.settle()
        problems = made.ledger.problems(made.rules)
        for problem in problems[:12]:
            say(f"{problem.check}: {problem.text}")
        # at one moment there may be no owner: a lease passes from who was kept from the CPU
        owners = partial(contents.lease_owners, made.redis, PREFIX, 1)
        await eventually(owners, "void: no worker is left")
        return {problem.check for problem in problems}


@pytest.mark.parametrize("bug", CASES)
async def test_planted_bug_is_caught(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random, bug: str
) -> None:
    """The ledger complains, with the check that is for it."""
    _service, harm, expected = CASES[bug]
    assert expected <= await checks_failed(private_redis, tmp_path, chance, bug, [harm])


async def test_without_a_bug_nothing_is_found(
    private_redis: PrivateRedis, tmp_path: Path, chance: random.Random
) -> None:
    """Under all these harms, one after the other, the product as it is leaves the ledger clean."""
    harms = list(dict.fromkeys(harm for _, harm, _ in CASES.values()))
    assert await checks_failed(private_redis, tmp_path, chance, "none", harms) == set()
