"""Workers that share the partitions, and a load of which each message is handled once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.support.deployment import Deployment, RunningWorker
from tests.support.handler_server import HandlerServer
from tests.support.waiting import eventually

USERS = 30


def owned_counts(*workers: RunningWorker) -> list[int]:
    """How many partitions each has, sorted."""
    return sorted(len(worker.owned) for worker in workers)


async def balanced(counts: Sequence[int], *workers: RunningWorker) -> None:
    """Wait until the workers own so many partitions each, and none is owned twice."""
    await eventually(lambda: owned_counts(*workers) == sorted(counts), f"{counts} partitions")
    owned = [number for worker in workers for number in worker.owned]
    assert len(owned) == len(set(owned))


async def say_rounds(shop: Deployment, rounds: range) -> None:
    """One message of each user per round."""
    for round_ in rounds:
        for number in range(USERS):
            await shop.say(f"user-{number}", f"{round_}")


def assert_each_once(server: HandlerServer, rounds: int) -> None:
    """Every message was handed over once, each user's in order, no window twice."""
    said: dict[str, list[str]] = {}
    for call in server.calls:
        said.setdefault(call.json["user"], []).extend(call.json["text"].split("\n"))
    assert said == {f"user-{n}": [str(r) for r in range(rounds)] for n in range(USERS)}
    windows = Counter(call.json["window_id"] for call in server.calls)
    assert max(windows.values()) == 1
