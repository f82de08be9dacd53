"""What was decided is written while the process lives, and counted by who has written it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from consumer.answers import FinishAnswer, FinishCode, FinishRequest
from consumer.attempt import Running
from consumer.retry import Decision, Finish, Postpone
from consumer.settle import Settler
from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from shared.keys import Keys
from shared.metrics import ConsumerMetrics
from shared.model import Token
from tests.support.dispatching import dispatch_settings
from tests.support.windows import make_window

LOST, AWAY = BrokerUnavailable("no answer"), NotConnected("away")
FULL = BrokerRefused("OOM", "full")
SILENT = Finish(texts=())
LATER = Postpone(delay_ms=1, counts=True, unavailable=False, error="answered 500")


class Store:
    """A partition whose scripts are answered with ``answers``, one after the other."""

    def __init__(self, answers: Sequence[Any]) -> None:
        self.keys = Keys("t", 1).partition(0)
        self.answers = list(answers)

    async def finish(self, requests: Sequence[FinishRequest], _keep_ms: int) -> list[FinishAnswer]:
        """The script that ends windows."""
        return [self._next() for _ in requests]

    async def postpone(self, *_args: Any, **_named: Any) -> bool:
        """The script that puts one off."""
        return bool(self._next())

    def _next(self) -> Any:
        answer = self.answers.pop(0)
        if isinstance(answer, BrokerUnavailable | BrokerRefused):
            raise answer
        return answer


async def settled(
    decision: Decision, answers: Sequence[Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[float, float]:
    """How often it counts as finished by us, and as refused, once it is not in hand any more."""
    monkeypatch.setattr("consumer.settle.RETRY_S", 0.0)
    monkeypatch.setattr("consumer.settle.RETRY_MAX_S", 0.0)
    settings = dispatch_settings()
    store, metrics, ended = Store(answers), ConsumerMetrics(), list[Running]()
    window = make_window()
    running = Running(
        window, window, Token("w:1:1"), 0, cast("PartitionStore", store), orphaned=False, joins=0
    )
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        settler = Settler(tasks, settings, metrics, lambda _number: None, ended.append)
        settler.settle(running, decision)
    assert store.answers == []
    assert ended == [running]
    value = metrics.registry.get_sample_value
    finished = value("inturn_messages_finished_total", {"outcome": "silent"})
    call = "finish" if decision is SILENT else "postpone"
    return finished or 0, value("inturn_fenced_total", {"call": call}) or 0


@pytest.mark.parametrize(
    "decision, end", [(SILENT, FinishCode.FINISHED), (LATER, True)], ids=["finish", "postpone"]
)
async def test_it_is_repeated_until_there_is_an_answer(
    decision: Decision, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was in its way: the user's next message waits for it."""
    told = await settled(decision, [LOST, FULL, AWAY, end], monkeypatch)
    assert told == (float(decision is SILENT), 0.0)


@pytest.mark.parametrize(
    "before, is_ours",
    [([], False), ([FULL, AWAY], False), ([LOST], True), ([LOST, AWAY, FULL], True)],
    ids=["at once", "never left", "lost", "lost once"],
)
async def test_what_is_done_already_is_ours_where_an_answer_was_lost(
    before: Sequence[Any], is_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else another worker has finished the window, and has counted it."""
    told = await settled(SILENT, [*before, FinishCode.ALREADY], monkeypatch)
    assert told == (float(is_ours), float(not is_ours))


@pytest.mark.parametrize(
    "decision, end", [(SILENT, FinishCode.REFUSED), (LATER, False)], ids=["finish", "postpone"]
)
async def test_a_refused_result_counts_for_nothing(
    decision: Decision, end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is not ours any more, however the calls before went; the slot is given back."""
    assert await settled(decision, [LOST, end], monkeypatch) == (0.0, 1.0)
