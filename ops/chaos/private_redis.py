"""
The bench's own Redis, in a temporary folder: the embedded one, which syncs before it answers.

Its append-only file is never rewritten, so it holds the whole history of the run.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Self

from redis import Redis

from ops.chaos.waiting import wait_until
from shared.embedded import EmbeddedRedis
from shared.redis_binary import ServerBinary

READY_S = 30.0


class PrivateRedis:
    """Running inside the block; its folder is removed at the block's end."""

    def __init__(self, binary: ServerBinary, **config: str) -> None:
        """``config`` is set (CONFIG SET, with hyphens) whenever the server has started."""
        self.folder = Path(tempfile.mkdtemp(prefix="inturn-chaos-"))
        self._server = EmbeddedRedis(binary, self.folder)
        self._config = {"auto-aof-rewrite-percentage": "0"} | {
            name.replace("_", "-"): value for name, value in config.items()
        }

    @property
    def url(self) -> str:
        """In the form of ``REDIS_URL``."""
        return self._server.url

    @property
    def data(self) -> Path:
        """Where its append-only files are."""
        return self._server.data

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._server.pid is not None
        return self._server.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._server.exit_code() is None and self._server.pid is not None:
            self.resume()
            self._server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start it (again) and wait until it takes commands."""
        self.spawn()
        self.ready()

    def spawn(self) -> None:
        """Start it (again), in the main thread, and do not wait."""
        self._server.start()

    def ready(self) -> None:
        """Wait until it takes commands, in any thread, and set its configuration."""
        self._server.wait_ready(READY_S)
        with Redis(unix_socket_path=str(self._server.socket), protocol=2) as client:
            for name, value in self._config.items():
                client.config_set(name, value)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: self._server.exit_code() is not None, "the end of Redis")

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)
