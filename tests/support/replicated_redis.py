"""
A primary with replicas, on loopback ports.

    with ReplicatedRedis(binary, replicas=1) as made:
        made.replicas[0].pause()
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Self

from redis import Redis

from shared.redis_binary import ServerBinary
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until


class ReplicatedRedis:
    """The servers inside the block; each is its own process, killed and paused by its own pid."""

    def __init__(
        self, binary: ServerBinary, *, replicas: int = 1, options: Mapping[str, str] | None = None
    ) -> None:
        """``options`` are directives of all of them."""
        # replicas answer within the second; without it the first synchronisation waits for five
        shared = {"repl-diskless-sync-delay": "0", **(options or {})}
        self.primary = RedisServer(binary, on_port=True, options=shared)
        following = {**shared, "replicaof": f"127.0.0.1 {self.primary.port}"}
        self.replicas = [
            RedisServer(binary, on_port=True, options=following) for _ in range(replicas)
        ]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """The primary's."""
        return self.primary.url

    def wait_until_in_step(self) -> None:
        """Every replica is online and has all that the primary has."""
        wait_until(self._is_in_step, "replicas that have all")

    def _is_in_step(self) -> bool:
        with Redis.from_url(self.url, protocol=2) as client:
            found = client.info("replication")
        online = [
            row
            for name, row in found.items()
            if name.startswith("slave") and isinstance(row, dict) and row["state"] == "online"
        ]
        offset = found["master_repl_offset"]
        return len(online) == len(self.replicas) and all(r["offset"] >= offset for r in online)

    def __enter__(self) -> Self:
        with self._stack:
            for server in (self.primary, *self.replicas):
                self._stack.enter_context(server)
            self.wait_until_in_step()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()
