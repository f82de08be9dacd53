"""
One attempt: the handler is called, at most for its time, and what follows is decided.

Nothing is written here. A late result is dropped, and an attempt that shutdown cut short, or
that was not made because this worker may be taken for dead, does not count.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from consumer.alarm import Alarm
from consumer.courtesy import Courtesy, Typing
from consumer.membership import Membership
from consumer.places import LimitOf, PoolOf
from consumer.recall import answer_with_history
from consumer.retry import Attempt, Decision, GiveUp, Postpone, RetryRules, decide
from consumer.store import PartitionStore
from shared.errors import describe_error
from shared.handlers import Call, Handler
from shared.handlers.unread import count_unread
from shared.metrics import ConsumerMetrics
from shared.model import Reply, Result, Retry, Token, Window, WorkerId
from shared.probe import Point, reach
from shared.record import Record

NOT_RUN_DELAY_MS = 200

Say = Callable[..., None]
"""Logs an event of one window: at debug in the services, at info where a person watches."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class Running:
    """
    A window under a token of ours, from before its start script leaves.

    ``held`` is what the owner's memory has of it, maybe bare; ``window`` is whole once the start
    script leaves. ``bulk_bytes`` is what it takes of the room for bulky windows.
    ``joins`` is how often this worker had joined by then: when it had to join again since, the
    others may have taken it for dead and the window for theirs. ``call`` is the handler's task
    while its result counts, from ``called_s`` until ``late_s`` at most. ``may_be_done``: a finish
    got no answer; ``finish_wait_s`` is the last pause before another. ``mute_ms``: how long a
    person's message mutes its user; ``is_muted``: somebody had muted the user by the start.
    """

    window: Window
    held: Window
    token: Token
    partition: int
    store: PartitionStore
    orphaned: bool
    joins: int
    attempt: int = 0
    delay_ms: int = 0
    since: int = 0
    started_ms: int = 0
    started_s: float = 0.0
    error: str = ""
    bulk_bytes: int = 0
    cut_short: bool = False
    call: asyncio.Task[Result] | None = None
    called_s: float = 0.0
    late_s: float = 0.0
    finish_wait_s: float = 0.0
    may_be_done: bool = False
    mute_ms: int = 0
    is_muted: bool = False
    typing: Typing | None = None

    def record(self, worker: WorkerId) -> Record:
        """What stands in Redis once the start was answered."""
        window = self.window
        return Record(
            ids=tuple([entry.id for entry in window.entries]),
            window_id=window.id,
            closed_by=window.closed_by,
            opened_at=window.opened_at,
            closed_at=window.closed_at,
            token=self.token,
            worker=worker,
            attempt=self.attempt,
            started=self.started_ms,
        )


def _never_steered(_instance: str, _connection: str | None) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """
    The settings' part that dispatching needs. What is asked of an instance is asked with the
    connection that its messages came through, if nobody names it. ``steered_ms_of``: when its
    run-time settings changed last.
    """

    slots: int
    retention_ms: int
    retry: RetryRules
    timeout_ms_of: Callable[[str, str | None], int]
    handler_of: Callable[[str, str | None], Handler]
    say: Say
    limit_of: LimitOf | None = None
    pool_of: PoolOf | None = None
    mute_ms_of: Callable[[str, str | None], int] | None = None
    steered_ms_of: Callable[[str, str | None], int] = _never_steered


class Attempts:
    """
    Makes attempts, as far as the others must take this worker for alive since the start.

    Each call is a task outside every group: one that ignores its cancellation goes on by itself,
    and neither its user nor a drain waits for it. ``decided`` hears what is to be written.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        metrics: ConsumerMetrics,
        membership: Membership,
        decided: Callable[[Running, Decision], None],
        courtesy: Courtesy | None = None,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._membership = membership
        self._decided = decided
        self._courtesy = courtesy
        self._calls: dict[asyncio.Task[Result], Running] = {}
        self._left_alone: set[asyncio.Task[Result]] = set()
        self._ended: list[asyncio.Task[Result]] = []
        self._alarm = Alarm()
        self._late_s = math.inf

    async def run(self) -> None:
        """
        Decide what follows from calls, as they end or their time does, until cancelled; then
        every call is cancelled.
        """
        try:
            while True:
                is_time_up = await self._alarm.wait(self._late_s)
                ended, self._ended = self._ended, []
                for call in ended:
                    self._take(call)
                if is_time_up:
                    self._give_up_late()
        finally:
            for call in self._calls:
                call.cancel()

    def begin(self, running: Running) -> None:
        """Call the handler for a started window, if it may be."""
        now_s = time.monotonic()
        refusal = self._refuse(running, now_s)
        if refusal is not None:
            self._decided(running, refusal)
            return
        window = running.window
        instance, connection = window.instance, window.entries[0].message.connection
        handler = self._settings.handler_of(instance, connection)
        if handler.remembers:
            answer = answer_with_history(handler, running.store, window, running.attempt)
        else:
            answer = handler.answer(Call(window=window, attempt=running.attempt))
        call = running.call = asyncio.create_task(answer, name=f"call-{window.id}")
        self._calls[call] = running
        call.add_done_callback(self._note)
        running.called_s = now_s
        running.late_s = now_s + self._settings.timeout_ms_of(instance, connection) / 1000
        if running.late_s < self._late_s:
            self._late_s = running.late_s
            self._alarm.ring()
        if self._courtesy is not None:
            running.typing = self._courtesy.begin(window)

    def cut_short(self, running: Running) -> None:
        """Shutdown's end: a handler at work stops, and its attempt does not count."""
        running.cut_short = True
        if running.call is not None and not running.call.done():
            self._leave_alone(running.call)
            self._decide(running, None)

    def _refuse(self, running: Running, now_s: float) -> Decision | None:
        rules = self._settings.retry
        if running.attempt > rules.max_attempts:
            running.attempt = rules.max_attempts  # this one is not made
            return GiveUp(error=running.error or "the last attempt died with its worker")
        trusted = self._membership.is_trusted(now_s)
        if not trusted or running.joins != self._membership.joins or running.cut_short:
            return _not_run("the worker was not sure to be alive")
        return None

    def _note(self, call: asyncio.Task[Result]) -> None:
        if not call.cancelled():
            call.exception()  # looked at, or asyncio complains of those that were left alone
        self._ended.append(call)
        self._alarm.ring()

    def _take(self, call: asyncio.Task[Result]) -> None:
        """A call has ended. Of one that was left alone the result is dropped."""
        running = self._calls.pop(call, None)
        if running is None:
            self._left_alone.discard(call)
            return
        running.call = None
        self._decide(running, _result_of(call, running))

    def _decide(self, running: Running, result: Result | None) -> None:
        """``result``: None when shutdown cut the attempt short."""
        reach(Point.HANDLER)
        now_s = time.monotonic()
        outcome = "cut_short" if result is None else type(result).__name__.lower()
        self._metrics.handler_seconds.labels(outcome).observe(now_s - running.called_s)
        if self._courtesy is not None and running.typing is not None:
            self._courtesy.end(running.typing, text_follows=_has_text(result))
        count_unread(result, running.window, self._metrics.answers_without_reply_total)
        if result is None:
            self._decided(running, _not_run("the worker shut down"))
            return
        attempt = Attempt(
            number=running.attempt,
            delay_ms=running.delay_ms,
            unavailable_since_ms=running.since,
            now_ms=running.started_ms + round((now_s - running.started_s) * 1000),
        )
        self._decided(running, decide(result, attempt, self._settings.retry, random.random()))

    def _give_up_late(self) -> None:
        """
        Calls whose time is over have failed, whether they go on or not.

        One time is waited for, of all calls at work then: few of them live to see it.
        """
        now_s, self._late_s = time.monotonic(), math.inf
        for call, running in list(self._calls.items()):
            if call.done():
                continue
            if running.late_s > now_s:
                self._late_s = min(self._late_s, running.late_s)
                continue
            self._leave_alone(call)
            limit_s = running.late_s - running.called_s
            self._decide(running, Retry(error=f"no answer within {limit_s:g} s"))

    def _leave_alone(self, call: asyncio.Task[Result]) -> None:
        self._calls.pop(call).call = None
        self._left_alone.add(call)
        call.cancel()


def _result_of(call: asyncio.Task[Result], running: Running) -> Result:
    """What a call that has ended came to; whatever a handler raises is its answer."""
    if call.cancelled():
        return Retry(error="CancelledError: the handler cancelled itself")
    error = call.exception()
    if error is None:
        return call.result()
    if not isinstance(error, Exception):
        raise error
    log.warning("handler.failed", window=running.window.id, error=type(error).__name__)
    return Retry(error=describe_error(error))


def _has_text(result: Result | None) -> bool:
    return isinstance(result, Reply) and bool(result.texts)


def _not_run(reason: str) -> Postpone:
    return Postpone(delay_ms=NOT_RUN_DELAY_MS, counts=False, unavailable=False, error=reason)
