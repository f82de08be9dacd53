"""
Real Sentinels around a primary and its replicas, on loopback ports.

    with SentinelDeployment(binary) as made:
        made.primary.kill()
        made.wait_for_failover()
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.lifeline import tie_to_this_process
from shared.redis_binary import ServerBinary
from tests.support.redis_server import RedisServer, free_port
from tests.support.replicated_redis import ReplicatedRedis
from tests.support.waiting import wait_until

NAME = "mymaster"
DOWN_AFTER_MS = 700
FAILOVER_TIMEOUT_MS = 3000


class SentinelProcess:
    """One Sentinel; it keeps what it learns in a folder of its own."""

    def __init__(self, binary: ServerBinary, primary_port: int, quorum: int) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="inturn-sentinel-"))
        self.log = self.folder / "sentinel.log"
        self._binary = binary
        self._config = self.folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {NAME} 127.0.0.1 {primary_port} {quorum}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_TIMEOUT_MS}\n"
            f"sentinel parallel-syncs {NAME} 1\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._binary.path.absolute()), str(self._config), "--sentinel"],
                cwd=self.folder,
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  pytest's main thread forks
            )
        wait_until(lambda: self.primary() is not None, f"a Sentinel: {self.log}")

    def primary(self) -> dict[str, Any] | None:
        """What it says of the primary; None: nothing."""
        try:
            retry = Retry(NoBackoff(), 0)
            with Redis(port=self.port, protocol=2, socket_timeout=1, retry=retry) as client:
                found: dict[str, Any] = client.sentinel_master(NAME)
                return found
        except RedisError:
            return None

    def pause(self) -> None:
        """SIGSTOP: it takes connections and answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class SentinelDeployment:
    """A primary, its replicas and three Sentinels that know each other, inside the block."""

    def __init__(
        self,
        binary: ServerBinary,
        *,
        replicas: int = 2,
        sentinels: int = 3,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """``options`` are directives of the servers."""
        self.servers = ReplicatedRedis(binary, replicas=replicas, options=options)
        self.sentinels = [
            SentinelProcess(binary, self.servers.primary.port, sentinels // 2 + 1)
            for _ in range(sentinels)
        ]
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        """In the form of ``INTURN_REDIS_URL``."""
        places = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{places}/{NAME}"

    @property
    def primary(self) -> RedisServer:
        """The server that most Sentinels call the primary."""
        ports = [found["port"] for one in self.sentinels if (found := one.primary())]
        port = max(ports, key=ports.count)
        return next(server for server in self._all() if server.port == port)

    def wait_for_failover(self, old: RedisServer, limit_s: float = 30.0) -> float:
        """Until every Sentinel names another primary, and it says so itself; how long it took."""
        began_s = time.monotonic()
        wait_until(lambda: self._has_left(old), "another primary", limit_s)
        return time.monotonic() - began_s

    def _has_left(self, old: RedisServer) -> bool:
        views = [found["port"] for one in self.sentinels if (found := one.primary())]
        if len(views) < len(self.sentinels) or len(set(views)) > 1 or views[0] == old.port:
            return False
        with Redis(port=views[0], protocol=2) as client:
            return bool(client.execute_command("ROLE")[0] == b"master")

    def _know_each_other(self) -> bool:
        views = [sentinel.primary() for sentinel in self.sentinels]
        return all(
            view is not None
            and view["num-other-sentinels"] == len(self.sentinels) - 1
            and view["num-slaves"] == len(self.servers.replicas)
            for view in views
        )

    def _all(self) -> tuple[RedisServer, ...]:
        return (self.servers.primary, *self.servers.replicas)

    def __enter__(self) -> Self:
        with self._stack:
            self._stack.enter_context(self.servers)
            for sentinel in self.sentinels:
                self._stack.callback(sentinel.close)
                sentinel.start()
            wait_until(self._know_each_other, "Sentinels that know each other", 30.0)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()
