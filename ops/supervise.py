"""
The parent of ``inturn up``: it keeps an embedded Redis and one process of services alive.

A small process without threads or an event loop, so that forking is safe and nothing in it can
hang. The services run in a forked child; it, and Redis, are killed by the kernel when this process
ends in whatever way. The order of an orderly end: SIGTERM to the services, which drain into Redis;
when they are gone, SIGTERM to Redis.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from ops.forked import Serve, as_exit_code, describe_end, fork_child, orderly_code
from ops.restarts import redis_restarts, services_restarts
from ops.signals import ENDING, Signals, told_of_ctrl_c
from shared.embedded import EmbeddedRedis, remove_left_socket
from shared.home import FolderLock, note_up, prepare_folder
from shared.redis_binary import find_server

Say = Callable[[str], None]

FINAL_CODES = (0, 2)
"""Ended on purpose, and refused to start (StartRefused): starting again would change nothing."""

STARTING_POLL_S = 0.01
WITHOUT_REDIS_S = 5.0
"""How long the services get to leave (their spool is to be synced) when Redis was given up."""

SIGNALS_BEFORE_KILL = 3


@told_of_ctrl_c()
def supervise(serve: Serve, *, folder: Path, redis_url: str | None, say: Say) -> int:
    """
    Run ``serve`` until it ends for good or a signal asks for it; returns ``up``'s exit code.

    With ``redis_url`` unset an embedded Redis is started, and the child finds it in its
    ``INTURN_REDIS_URL``. ``say`` takes what a person should know.

    Raises:
        StartRefused: ``up`` runs in ``folder`` already, or there is no Redis to embed.
    """
    prepare_folder(folder)
    lock = FolderLock(folder)
    left = lock.take()
    try:
        redis = None
        if redis_url is None:
            remove_left_socket(left)
            binary = find_server(folder / "bin", say)
            redis = EmbeddedRedis(binary, folder, inherited_fds=(lock.fd,))
            say(f"embedded Redis {binary.version_text} ({binary.path}), data in {redis.data}")
        note_up(folder, redis_pid=None, redis_socket=None)
        return Supervisor(serve, folder=folder, redis=redis, say=say).run()
    finally:
        lock.release()


class RedisState(Enum):
    """Of the embedded Redis, as the parent last saw it; one that is not ours counts as READY."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"


class Supervisor:
    """The parent's loop; every decision is taken between two waits for a signal."""

    def __init__(self, serve: Serve, *, folder: Path, redis: EmbeddedRedis | None, say: Say):
        self._serve = serve
        self._folder = folder
        self._redis = redis
        self._tell = say
        self._outcome: int | None = None
        self._asked_to_end = 0
        self._redis_restarts = redis_restarts()
        self._redis_state = RedisState.DOWN
        self._redis_started_s = 0.0
        self._redis_due_s: float | None = 0.0
        self._child_restarts = services_restarts()
        self._child: int | None = None
        self._child_started_s = 0.0
        self._child_due_s = 0.0
        self._kill_due_s: float | None = None

    def run(self) -> int:
        """Blocks until the end; nothing that was started here runs after it."""
        self._signals = Signals()
        try:
            while self._outcome is None:
                now_s = time.monotonic()
                self._look_after_redis(now_s)
                self._look_after_child(now_s)
                if self._outcome is None:
                    self._take_signals(self._signals.wait(self._pause_s(time.monotonic())))
            return self._outcome
        finally:
            self._kill_child()
            if self._redis is not None:
                self._redis.stop()
            self._signals.close()

    def _look_after_redis(self, now_s: float) -> None:
        redis = self._redis
        if redis is None:
            self._redis_state = RedisState.READY
            return
        if self._redis_state is not RedisState.DOWN and redis.exit_code() is not None:
            self._redis_died(redis, now_s)
        if self._redis_state is RedisState.DOWN and self._redis_due_s is not None:
            if now_s < self._redis_due_s:
                return
            redis.start()
            note_up(self._folder, redis_pid=redis.pid, redis_socket=redis.socket)
            self._redis_state, self._redis_started_s = RedisState.STARTING, now_s
        if self._redis_state is RedisState.STARTING and redis.is_ready():
            self._redis_state = RedisState.READY

    def _redis_died(self, redis: EmbeddedRedis, now_s: float) -> None:
        self._redis_state = RedisState.DOWN
        pause_s = self._redis_restarts.after_death(started_s=self._redis_started_s, died_s=now_s)
        how = describe_end(redis.exit_code() or 0)
        if pause_s is not None:
            self._say(f"Redis died ({how}), starting it again: {redis.last_log_line()}")
            self._redis_due_s = now_s + pause_s
            return
        self._say(f"Redis died ({how}) three times within a minute: {redis.last_log_line()}")
        self._redis_due_s = None
        self._kill_due_s = now_s + WITHOUT_REDIS_S
        self._ask_child_to_end()

    def _look_after_child(self, now_s: float) -> None:
        if self._child is not None:
            pid, status = os.waitpid(self._child, os.WNOHANG)
            if pid:
                self._child_ended(os.waitstatus_to_exitcode(status), now_s)
            elif self._kill_due_s is not None and now_s >= self._kill_due_s:
                self._kill_due_s = None
                os.kill(self._child, signal.SIGKILL)
        if self._outcome is not None or self._child is not None:
            return
        if self._redis_due_s is None:
            self._outcome = 1
        elif self._asked_to_end:
            self._outcome = 0
        elif self._redis_state is RedisState.READY and now_s >= self._child_due_s:
            self._fork_child(now_s)

    def _child_ended(self, code: int, now_s: float) -> None:
        self._child = None
        if self._redis_due_s is None:
            self._outcome = 1
        elif self._asked_to_end:
            self._outcome = orderly_code(code)
        elif code in FINAL_CODES:
            self._outcome = code
        else:
            self._child_died(code, now_s)

    def _child_died(self, code: int, now_s: float) -> None:
        pause_s = self._child_restarts.after_death(started_s=self._child_started_s, died_s=now_s)
        if pause_s is None:
            self._say(f"the services died ({describe_end(code)}) three times at their start")
            self._outcome = as_exit_code(code)
            return
        self._say(f"the services died ({describe_end(code)}), starting them again")
        self._child_due_s = now_s + pause_s

    def _fork_child(self, now_s: float) -> None:
        self._child = fork_child(self._serve_with_redis, self._signals)
        self._child_started_s = now_s

    def _serve_with_redis(self) -> int:
        """In the child."""
        if self._redis is not None:
            os.environ["INTURN_REDIS_URL"] = self._redis.url
        return self._serve()

    def _say(self, text: str) -> None:
        """A terminal that was closed is no reason to leave the services without their end."""
        with contextlib.suppress(OSError):
            self._tell(text)

    def _take_signals(self, arrived: list[int]) -> None:
        for signum in arrived:
            if signum not in ENDING:
                continue
            self._asked_to_end += 1
            if self._asked_to_end >= SIGNALS_BEFORE_KILL:
                self._kill_due_s = 0.0
            self._ask_child_to_end()

    def _ask_child_to_end(self) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGTERM)

    def _kill_child(self) -> None:
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = None

    def _pause_s(self, now_s: float) -> float | None:
        """Until something is due; None: until a signal."""
        due = [self._kill_due_s]
        if self._redis_state is RedisState.STARTING:
            due.append(now_s + STARTING_POLL_S)
        if self._redis_state is RedisState.DOWN:
            due.append(self._redis_due_s)
        if self._child is None and self._redis_state is RedisState.READY:
            due.append(self._child_due_s)
        return min((max(0.0, at - now_s) for at in due if at is not None), default=None)
