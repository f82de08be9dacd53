"""A bench under load that somebody steers: when each worker has obeyed, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp

from ops.chaos.bench import Bench
from ops.chaos.calls import by_user
from ops.chaos.cutter import Raw, cut_naively
from ops.chaos.evidence import Evidence, Who
from ops.chaos.load import API_TOKEN
from ops.chaos.waiting import eventually

Handed = list[tuple[Raw, ...]]
"""A user's windows in the order of their handling, as they stand in the stream."""


async def steer(made: Bench, instances: Sequence[str], **changes: Any) -> int:
    """
    Set the same for these accounts, over HTTP, and wait until each worker says that it holds.

    Gives Redis's ms by then: what is written from now on is under it.
    """
    marks = {name: len(_lines(made, name)) for name in made.workers}
    headers = {"Authorization": f"Bearer {API_TOKEN}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for instance in instances:
            url = f"{made.running['i1'].url}/api/v1/instances/{instance}/settings"
            async with session.put(url, json=changes) as answer:
                assert answer.status == 200, await answer.text()

    def all_obey() -> bool:
        return all(
            set(instances) <= {line["instance"] for line in _lines(made, slot)[mark:]}
            for slot, mark in marks.items()
        )

    await eventually(all_obey, f"{changes} on every worker", 20.0)
    return await redis_ms(made)


async def redis_ms(made: Bench) -> int:
    """Redis's time."""
    seconds, micros = await made.redis.time()
    return int(seconds) * 1000 + int(micros) // 1000


def _lines(made: Bench, slot: str) -> list[Mapping[str, Any]]:
    """What a worker has said of settings that hold now."""
    text = made.running[slot].log.read_text(errors="replace")
    found = [json.loads(line) for line in text.splitlines() if '"settings.changed"' in line]
    return [line for line in found if "instance" in line]


def handed_over(evidence: Evidence) -> Iterator[tuple[Who, list[Raw], Handed]]:
    """Each user's entries in the order of the stream, and the windows that they became."""
    for who, windows in by_user(evidence).items():
        entries = sorted(evidence.raw.get(who, ()))
        known = {raw.message_id: raw for raw in entries}
        yield who, entries, [tuple(known[m] for m in members) for members in windows.values()]


def alone(evidence: Evidence, since_ms: int, until_s: float) -> tuple[int, list[str]]:
    """
    Of what was written since then and handed over while each message was to be alone: how many
    windows there were, and those that were not.
    """
    times = {raw.message_id: raw.ms for entries in evidence.raw.values() for raw in entries}
    count, wrong = 0, []
    for call in evidence.calls:
        if call.began_s < until_s and times[call.members[0]] >= since_ms:
            count += 1
            if (len(call.members), call.closed_by) != (1, "pass_through"):
                wrong.append(f"{call.who}: {call.members} by {call.closed_by}")
    return count, wrong


def not_as_before(evidence: Evidence, rules: Any, since_ms: int) -> list[str]:
    """Windows that began later and are not those that the independent cutter cuts."""
    wrong = []
    for who, entries, handed in handed_over(evidence):
        late = [window for window in handed if window[0].ms >= since_ms]
        if not late:
            continue
        rest = entries[entries.index(late[0][0]) :]
        wanted = [window.members for window in cut_naively(rest, rules)]
        if late != wanted:
            wrong.append(f"{who}: {late}, not {wanted}")
    return wrong


def torn(evidence: Evidence) -> list[str]:
    """Users whose windows, one after the other, are not their entries in the stream's order."""
    return [
        str(who)
        for who, entries, handed in handed_over(evidence)
        if [raw for window in handed for raw in window] != entries
    ]


def began_meanwhile(evidence: Evidence, instance: str, since_s: float, until_s: float) -> int:
    """How many calls of an account's windows began in between."""
    calls = (call for call in evidence.calls if call.who[0] == instance)
    return sum(since_s < call.began_s < until_s for call in calls)
