"""
The end of an attempt: what was decided is written, for as long as the process lives.

One script finishes a window or puts it off, guarded by its token alone: whoever owns the
partition by then, one attempt's result counts, and the memory of today's owner is told.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial

import structlog
from msgspec.structs import replace

from consumer.answers import FinishAnswer, FinishCode, FinishRequest
from consumer.attempt import DispatchSettings, Running
from consumer.conversation import Phase, State
from consumer.finisher import Finisher
from consumer.mute import MUTED, WITH_HUMAN
from consumer.outcome import encode_outcome, kind_of_error
from consumer.owner import Owner
from consumer.retry import Decision, Finish, GiveUp, Postpone
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.metrics import ConsumerMetrics
from shared.model import ClosedBy, WorkerId
from shared.probe import Point, reach

RETRY_S = 0.1
RETRY_MAX_S = 2.0

LEFT_TO_A_PERSON = frozenset({MUTED.silence, WITH_HUMAN.silence})
"""Outcomes that are told at info: nothing else says why these users get no answer."""

log = structlog.get_logger()


class Settler:
    """
    Writes what was decided; ``settled`` hears of each window that is not in hand any more.

    The owner is woken after those who wait for the slot that is given back: it is theirs.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        settings: DispatchSettings,
        metrics: ConsumerMetrics,
        owner_of: Callable[[int], Owner | None],
        settled: Callable[[Running], None],
    ) -> None:
        self._tasks = tasks
        self._finisher = Finisher(tasks, settings.retention_ms)
        self._metrics = metrics
        self._owner_of = owner_of
        self._settled = settled
        self._say = settings.say

    def settle(self, running: Running, decision: Decision) -> None:
        """Write the decision, for as long as the process lives, and tell the memory."""
        if isinstance(decision, Postpone):
            postponing = self._postpone(running, decision)
            self._tasks.create_task(postponing, name=f"postpone-{running.window.id}")
            return
        outcome, value = encode_outcome(running, decision)
        request = FinishRequest(
            conversation=running.window.conversation,
            first=running.window.entries[0].id,
            token=running.token,
            outcome=outcome,
            value=value,
            memory=decision.memory if isinstance(decision, Finish) else None,
            mute_ms=decision.mute_ms if isinstance(decision, Finish) else 0,
        )
        self._finish(running, decision, request)

    def _finish(self, running: Running, decision: Finish | GiveUp, request: FinishRequest) -> None:
        hear = partial(self._hear_finish, running, decision, request)
        self._finisher.finish(running.store, request, hear)

    def _hear_finish(
        self,
        running: Running,
        decision: Finish | GiveUp,
        request: FinishRequest,
        answer: FinishAnswer | BrokerUnavailable,
    ) -> None:
        if isinstance(answer, FinishCode):
            self._finished(running, decision, request.outcome, answer)
            return
        self._note_delay(running, answer)

        async def finish_again() -> None:
            await self._pause(running)
            self._finish(running, decision, request)

        self._tasks.create_task(finish_again(), name=f"finish-{running.window.id}")

    def _finished(
        self, running: Running, decision: Finish | GiveUp, outcome: str, code: FinishCode
    ) -> None:
        """
        ALREADY is the answer to an earlier call of ours only where one got no answer; else
        another worker has finished the window, and has counted it.
        """
        reach(Point.FINISH)
        if code is FinishCode.REFUSED or (code is FinishCode.ALREADY and not running.may_be_done):
            self._refused(running, "finish")
            self._settled(running)
            return
        if code is FinishCode.MUTED:
            outcome = MUTED.silence
        self._tell_finished(running, decision, outcome)
        found = self._find(running)
        if found is None:
            self._settled(running)
            return
        owner, state = found
        owner.memory.settle(state)
        self._settled(running)
        if outcome == "answered":
            owner.load_replies()
        else:
            owner.wake()

    def _tell_finished(self, running: Running, decision: Finish | GiveUp, outcome: str) -> None:
        window = running.window
        self._metrics.messages_finished_total.labels(outcome).inc(len(window.members))
        if window.closed_by is ClosedBy.REPLAY:
            self._metrics.messages_replayed_total.inc(len(window.members))
        if outcome == "dead":
            self._metrics.dead_letters_total.inc()
            log.error(
                "window.dead",
                window=window.id,
                instance=window.instance,
                user=window.user,
                attempt=running.attempt,
                error=kind_of_error(decision),
            )
        elif outcome in LEFT_TO_A_PERSON:
            log.info(
                "window.finished",
                window=window.id,
                instance=window.instance,
                user=window.user,
                outcome=outcome,
            )
        else:
            self._say("window.finished", window=window.id, outcome=outcome)

    async def _postpone(self, running: Running, decision: Postpone) -> None:
        while True:
            try:
                ours = await running.store.postpone(
                    running.window.conversation,
                    running.token,
                    decision.delay_ms,
                    counts=decision.counts,
                    unavailable=decision.unavailable,
                    error=decision.error,
                )
                break
            except (BrokerUnavailable, BrokerRefused) as error:
                self._note_delay(running, error)
            await self._pause(running)
        reach(Point.POSTPONE)
        owner = self._postponed(running, decision) if ours else None
        if not ours:
            self._refused(running, "postpone")
        self._settled(running)
        if owner is not None:
            owner.wake()

    def _postponed(self, running: Running, decision: Postpone) -> Owner | None:
        """Whose memory was told, if any."""
        counted = "retry" if decision.counts else "given_back"
        reason = "unavailable" if decision.unavailable else counted
        self._metrics.attempts_postponed_total.labels(reason=reason).inc()
        log.info(
            "handler.retry",
            window=running.window.id,
            instance=running.window.instance,
            attempt=running.attempt,
            delay_ms=decision.delay_ms,
            counts=decision.counts,
            error=kind_of_error(decision),
        )
        found = self._find(running)
        if found is None:
            return None
        owner, state = found
        assert state.record is not None
        record = replace(
            state.record, worker=WorkerId(""), delay_ms=decision.delay_ms, error=decision.error
        )
        owner.memory.postponed(state, record, time.monotonic() + decision.delay_ms / 1000)
        return owner

    def _note_delay(self, running: Running, error: BrokerUnavailable | BrokerRefused) -> None:
        never_left = isinstance(error, (BrokerRefused, NotConnected))
        running.may_be_done = running.may_be_done or not never_left
        log.warning("finish.delayed", window=running.window.id, error=str(error))

    async def _pause(self, running: Running) -> None:
        running.finish_wait_s = min(max(2 * running.finish_wait_s, RETRY_S), RETRY_MAX_S)
        await asyncio.sleep(running.finish_wait_s * (0.5 + random.random()))

    def _refused(self, running: Running, call: str) -> None:
        self._metrics.fenced_total.labels(call=call).inc()
        log.warning("window.fenced", window=running.window.id, call=call)
        found = self._find(running)
        if found is not None:
            found[0].restart(f"{call} refused")

    def _find(self, running: Running) -> tuple[Owner, State] | None:
        """The conversation in the partition's memory of today, if it still has our token."""
        owner = self._owner_of(running.partition)
        state = owner.memory.states.get(running.window.conversation) if owner else None
        if owner is None or state is None or state.record is None:
            return None
        if state.record.token != running.token or state.phase is not Phase.RUNNING:
            return None
        return owner, state
