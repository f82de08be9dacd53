"""
What the machine does to a bench: it keeps processes from the CPU, which is noted like a fault.

A worker that waits for its turn loses its lease as one that is stopped does, and the ledger has to
know. The kernel tells how long who could run had to wait: nobody is asked who is judged.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from ops.chaos.evidence import SETTLE_LEASES, Disturbance
from ops.chaos.ledger import Ledger

LOOK_S = 0.1
PART_OF_LEASE = 0.5
"""A renewal comes when half of the lease is left: who waits for less loses none by it."""


class Starvation:
    """Looks who was kept waiting; by ``running`` it knows the names and process ids of now."""

    def __init__(
        self,
        ledger: Ledger,
        lease_s: float,
        running: Callable[[], Mapping[str, int]],
        redis_pid: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._lease_s = lease_s
        self._running = running
        self._redis_pid = redis_pid
        self._late_s = 0.0
        self._noted: dict[str, Disturbance] = {}
        self._waits: dict[str, deque[tuple[float, float]]] = defaultdict(deque)

    async def watch(self) -> None:
        """Look until cancelled."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(LOOK_S)
            now_s = time.monotonic()
            self._late_s += now_s - before_s - LOOK_S  # of our own loop, which has the proxies
            shared_s = self._late_s + waited_s(self._redis_pid())
            for name, pid in self._running().items():
                self._look(name, now_s, shared_s + waited_s(pid))

    def _look(self, name: str, now_s: float, waits_s: float) -> None:
        """What all have waited by now on whom a renewal of this one depends."""
        waits = self._waits[name]
        waits.append((now_s, waits_s))
        while len(waits) > 2 and waits[1][0] <= now_s - self._lease_s:
            waits.popleft()
        since_s, before_s = waits[0]
        if waits_s - before_s >= PART_OF_LEASE * self._lease_s:
            self._note(name, since_s, now_s)

    def _note(self, name: str, since_s: float, until_s: float) -> None:
        known = self._noted.get(name)
        if known is None or known.ended_s < since_s:
            settle_s = SETTLE_LEASES * self._lease_s
            known = self._ledger.disturb("kept from the CPU", [name], settle_s=settle_s)
            known.began_s = since_s
            self._noted[name] = known
        known.ended_s = until_s


def waited_s(pid: int) -> float:
    """How long a process's main thread has waited for the CPU by now; 0 where nobody tells."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


@asynccontextmanager
async def noted_starvation(watch: Starvation) -> AsyncIterator[None]:
    """While inside."""
    task = asyncio.create_task(watch.watch(), name="starvation")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
