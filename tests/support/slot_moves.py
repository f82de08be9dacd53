"""
Moving a slot between nodes of a real cluster, as its operators do, or step by step.

    with moving(cluster, slot, target) as move:
        move.some_keys(3)  # now the slot's keys are on two nodes
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.crc import key_slot

from tests.support.cluster import RedisCluster, ask
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

MIGRATE_TIMEOUT_MS = 5000


class SlotMove:
    """One slot on its way. ``moved``: how many keys have gone over."""

    def __init__(self, cluster: RedisCluster, slot: int, target: RedisServer) -> None:
        self.slot = slot
        self.source = cluster.owner_of(slot)
        self.target = target
        self.moved = 0
        self._cluster = cluster
        assert self.source is not target, f"slot {slot} is there already"

    def begin(self) -> None:
        """From now on what is not on the source is asked of the target."""
        ids = self._cluster.node_id
        _do(self.target, "SETSLOT", self.slot, "IMPORTING", ids(self.source))
        _do(self.source, "SETSLOT", self.slot, "MIGRATING", ids(self.target))

    def some_keys(self, count: int = 100) -> int:
        """Move up to so many keys; how many there were."""
        keys = ask(self.source, "CLUSTER", "GETKEYSINSLOT", self.slot, count)
        assert keys is not None
        self.keys(keys)
        return len(keys)

    def keys(self, keys: list[Any]) -> None:
        """Move these."""
        if not keys:
            return
        where = ("127.0.0.1", self.target.port, "", 0, MIGRATE_TIMEOUT_MS)
        answer = ask(self.source, "MIGRATE", *where, "KEYS", *keys)
        assert answer in (b"OK", b"NOKEY"), f"MIGRATE: {answer}"
        self.moved += len(keys)

    def end(self) -> None:
        """The rest of the keys, then the slot is the target's."""
        while self.some_keys():
            pass
        target_id = self._cluster.node_id(self.target)
        for server in (self.target, self.source):
            _do(server, "SETSLOT", self.slot, "NODE", target_id)


@contextmanager
def moving(cluster: RedisCluster, slot: int, target: RedisServer) -> Iterator[SlotMove]:
    """A slot that is on its way inside the block, and has arrived at its end."""
    move = SlotMove(cluster, slot, target)
    move.begin()
    yield move
    move.end()


def move_slot_of(cluster: RedisCluster, key: str, target: RedisServer) -> int:
    """Move the slot of ``key`` with all that is in it; the number of its keys."""
    with moving(cluster, key_slot(key.encode()), target) as move:
        pass
    wait_until(lambda: cluster.master_of(key) is target, "a slot that all see moved")
    return move.moved


def _do(server: RedisServer, *command: Any) -> None:
    assert ask(server, "CLUSTER", *command) == b"OK", command
