"""
The parent of ``inturn ingest --processes N``: N processes of one service, each kept alive.

They share nothing but the port, the folder of spools and Redis, as processes on several machines
do, so that whichever dies takes along only its own connections: the others serve on, and adopt
what it had spooled. What dies is started again, always, as long as one of the others lives. A
process that somebody ends by SIGTERM drains, and is replaced, too: so one can be renewed at a time.
SIGTERM to the parent ends all, and it leaves when the last has drained; killed, it takes all of
them along (``shared/lifeline.py``).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog
from structlog.typing import FilteringBoundLogger

from ops.forked import as_exit_code, describe_end, fork_child, orderly_code
from ops.restarts import PAUSE_MAX_S, Restarts, services_restarts
from ops.signals import ENDING, Signals

REFUSED = 2
"""A process that refused to start (StartRefused)."""

SIGNALS_BEFORE_KILL = 3

log: FilteringBoundLogger = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class Place:
    """One of the N: its process, if it lives, and when the next one is due."""

    number: int
    pid: int | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    lives: int = 0
    restarts: Restarts = field(default_factory=services_restarts)


class Crew:
    """Runs ``serve(number)``, counted from 0, in each of ``count`` forked processes."""

    def __init__(self, serve: Callable[[int], int], count: int) -> None:
        self._serve = serve
        self._places = [Place(number=number) for number in range(count)]
        self._asked_to_end = 0
        self._is_ending = False
        self._code = 0

    def run(self) -> int:
        """
        Block until a signal asks for the end, or until it makes no sense to go on.

        The exit code: 0 if all ended in order; 2 if one refused its first start; else how the one
        ended that was given up, or the first that did not end well. No process runs after it.
        """
        self._signals = Signals()
        try:
            while True:
                now_s = time.monotonic()
                self._reap(now_s)
                if self._is_ending and not self._living():
                    return self._code
                self._start_due(now_s)
                self._take_signals(self._signals.wait(self._pause_s(time.monotonic())))
        finally:
            self._send(signal.SIGKILL)
            for place in self._living():
                os.waitpid(place.pid or 0, 0)
            self._signals.close()

    def _living(self) -> list[Place]:
        return [place for place in self._places if place.pid is not None]

    def _reap(self, now_s: float) -> None:
        for place in self._living():
            pid, status = os.waitpid(place.pid or 0, os.WNOHANG)
            if pid:
                place.pid = None
                self._ended(place, os.waitstatus_to_exitcode(status), now_s)

    def _ended(self, place: Place, code: int, now_s: float) -> None:
        if self._is_ending:
            self._code = self._code or orderly_code(code)
            return
        if code == REFUSED and place.lives == 1:
            self._end(REFUSED)
            return
        pause_s = place.restarts.after_death(started_s=place.started_s, died_s=now_s)
        if pause_s is None and not self._living():
            log.error("process.given_up", number=place.number, how=describe_end(code))
            self._end(as_exit_code(code) or 1)
            return
        log.warning("process.ended", number=place.number, how=describe_end(code))
        place.due_s = now_s + (PAUSE_MAX_S if pause_s is None else pause_s)

    def _start_due(self, now_s: float) -> None:
        for place in self._places:
            if place.pid is None and not self._is_ending and now_s >= place.due_s:
                self._start(place, now_s)

    def _start(self, place: Place, now_s: float) -> None:
        """A machine that has no room for one more process is no reason to end those that serve."""
        try:
            place.pid = fork_child(partial(self._serve, place.number), self._signals)
        except OSError as error:
            if not self._living():
                raise
            place.due_s = now_s + PAUSE_MAX_S
            log.warning("process.not_started", number=place.number, error=error.strerror)
            return
        place.lives += 1
        place.started_s = now_s

    def _take_signals(self, arrived: list[int]) -> None:
        for signum in arrived:
            if signum in ENDING:
                self._asked_to_end += 1
                self._end(0)
        if self._asked_to_end >= SIGNALS_BEFORE_KILL:
            self._send(signal.SIGKILL)

    def _end(self, code: int) -> None:
        if not self._is_ending:
            self._is_ending, self._code = True, code
        self._send(signal.SIGTERM)

    def _send(self, signum: signal.Signals) -> None:
        for place in self._living():
            os.kill(place.pid or 0, signum)

    def _pause_s(self, now_s: float) -> float | None:
        """Until a process is due; None: until a signal."""
        due = [place.due_s for place in self._places if place.pid is None and not self._is_ending]
        return min((max(0.0, at - now_s) for at in due), default=None)
