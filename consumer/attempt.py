"""
One attempt: the handler is called, at most for its time, and what follows is decided.

Nothing is written here. A late result is dropped, and an attempt that shutdown cut short, or
that was not made because this worker may be taken for dead, does not count.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from consumer.membership import Membership
from consumer.retry import Attempt, Decision, Finish, GiveUp, Postpone, RetryRules, decide
from consumer.store import PartitionStore
from shared.handlers import Call, Handler
from shared.metrics import ConsumerMetrics
from shared.model import Result, Retry, Token, Window, WorkerId
from shared.probe import Point, reach
from shared.record import Record
from shared.wire import DeadLetter, OutboxReply, encode_dead_letter, encode_reply

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
    others may have taken it for dead and the window for theirs.
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
    deadline: asyncio.Timeout | None = None
    cut_short: bool = False

    def record(self, worker: WorkerId) -> Record:
        """What stands in Redis once the start was answered."""
        window = self.window
        return Record(
            ids=tuple(entry.id for entry in window.entries),
            window_id=window.id,
            closed_by=window.closed_by,
            opened_at=window.opened_at,
            closed_at=window.closed_at,
            token=self.token,
            worker=worker,
            attempt=self.attempt,
            started=self.started_ms,
        )

    def end_now(self) -> None:
        """Shutdown's end: a handler at work stops, and its attempt does not count."""
        self.cut_short = True
        if self.deadline is not None and not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """The settings' part that dispatching needs."""

    slots: int
    retention_ms: int
    retry: RetryRules
    timeout_ms_of: Callable[[str], int]
    handler_of: Callable[[str], Handler]
    say: Say


class Attempts:
    """Makes attempts, as far as the others must take this worker for alive since the start."""

    def __init__(
        self,
        settings: DispatchSettings,
        metrics: ConsumerMetrics,
        membership: Membership,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._membership = membership
        self._calls: set[asyncio.Task[Result]] = set()

    async def decide(self, running: Running) -> Decision:
        """Call the handler for a started window, if it may be, and say what is to be written."""
        rules = self._settings.retry
        if running.attempt > rules.max_attempts:
            running.attempt = rules.max_attempts  # this one is not made
            return GiveUp(error=running.error or "the last attempt died with its worker")
        trusted = self._membership.is_trusted(time.monotonic())
        if not trusted or running.joins != self._membership.joins or running.cut_short:
            return _not_run("the worker was not sure to be alive")
        began = time.perf_counter()
        result = await self._call_handler(running)
        reach(Point.HANDLER)
        outcome = "cut_short" if result is None else type(result).__name__.lower()
        self._metrics.handler_seconds.labels(outcome=outcome).observe(time.perf_counter() - began)
        if result is None:
            return _not_run("the worker shut down")
        elapsed_ms = round((time.monotonic() - running.started_s) * 1000)
        attempt = Attempt(
            number=running.attempt,
            delay_ms=running.delay_ms,
            unavailable_since_ms=running.since,
            now_ms=running.started_ms + elapsed_ms,
        )
        return decide(result, attempt, rules, random.random())

    async def _call_handler(self, running: Running) -> Result | None:
        """
        The attempt's result; None when shutdown cut it short. A late result is dropped.

        The call is a task outside every group: one that ignores its cancellation goes on by
        itself, and neither its user nor a drain waits for it.
        """
        window = running.window
        timeout_s = self._settings.timeout_ms_of(window.instance) / 1000
        handler = self._settings.handler_of(window.instance)
        answer = handler.answer(Call(window=window, attempt=running.attempt))
        call = asyncio.create_task(answer, name=f"call-{window.id}")
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        try:
            async with asyncio.timeout(timeout_s) as running.deadline:
                return await asyncio.shield(call)
        except TimeoutError:
            if running.cut_short:
                return None
            return Retry(error=f"no answer within {timeout_s:g} s")
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is its answer
            log.warning("handler.failed", window=window.id, error=type(error).__name__)
            return Retry(error=f"{type(error).__name__}: {error}")
        finally:
            running.deadline = None
            call.cancel()


def _not_run(reason: str) -> Postpone:
    return Postpone(delay_ms=NOT_RUN_DELAY_MS, counts=False, unavailable=False, error=reason)


def encode_outcome(running: Running, decision: Finish | GiveUp) -> tuple[str, bytes]:
    """The outcome's name, and what goes into the outbox or to the dead letters."""
    window = running.window
    if isinstance(decision, GiveUp):
        letter = DeadLetter(
            window=window,
            error=decision.error,
            attempts=running.attempt,
            instance=window.instance,
        )
        return "dead", encode_dead_letter(letter)
    if not decision.texts:
        return "silent", b""
    last = window.in_sent_order()[-1].message
    reply = OutboxReply(
        window_id=window.id,
        instance=window.instance,
        user=window.user,
        texts=decision.texts,
        provider=last.provider,
        reply_to=last.reply_to,
        message_ids=tuple(entry.message.message_id for entry in window.members),
    )
    return "answered", encode_reply(reply)


def kind_of_error(decision: Decision) -> str:
    """What a log may say of an error: an exception's text may hold what a user wrote."""
    return "" if isinstance(decision, Finish) else decision.error.partition(":")[0]
