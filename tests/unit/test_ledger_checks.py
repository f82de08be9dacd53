"""The ledger's checks, each on evidence that is clean and on evidence that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ops.chaos.asking import Asks
from ops.chaos.checks import judge
from ops.chaos.cutter import Raw
from ops.chaos.evidence import Disturbance, Evidence
from ops.chaos.report import make_row, render
from ops.chaos.rules import Rules
from ops.chaos.tally import tally
from tests.support.harmed_evidence import (
    ANN,
    CASES,
    call,
    clean,
    cut_early,
    drop_direct_reply,
    give_up_early,
    lose,
    never_send,
    overlap,
    reorder,
    repeat,
    reply,
    see_nothing,
    send_in_disorder,
    send_to_another,
)

RULES = Rules(max_wait_ms=1000)


def failed(evidence: Evidence) -> set[str]:
    """The names of the checks that found something."""
    return {problem.check for problem in judge(evidence, RULES)}


def test_clean_evidence_has_no_problem() -> None:
    """What the promises allow is not complained of."""
    assert failed(clean()) == set()


@pytest.mark.parametrize("check", CASES)
def test_check_finds_what_it_is_for(check: str) -> None:
    """Each check complains of the evidence that breaks its promise."""
    evidence = clean()
    CASES[check](evidence)
    assert check in failed(evidence)


@pytest.mark.parametrize(
    "change, check",
    [
        (give_up_early, "attempts"),
        (never_send, "sends"),
        (never_send, "lost"),
        (send_to_another, "sends"),
        (send_in_disorder, "order"),
        (see_nothing, "entries"),
        (drop_direct_reply, "lost"),
    ],
)
def test_check_finds_the_other_thing_it_is_for(
    change: Callable[[Evidence], None], check: str
) -> None:
    """What breaks the same promise in another way is found, too."""
    evidence = clean()
    change(evidence)
    assert check in failed(evidence)


@pytest.mark.parametrize("harm, check", [(repeat, "repeats"), (overlap, "overlaps")])
def test_a_kill_explains_a_repeat_of_its_worker_alone(
    harm: Callable[[Evidence], None], check: str
) -> None:
    """What a fault may cause is a problem only where no fault of that worker can have caused it."""
    evidence = clean()
    harm(evidence)
    began_s = 7.2 if check == "repeats" else 5.1
    other = Disturbance(what="kill", victims=frozenset({"w2"}), began_s=began_s, kills=True)
    evidence.disturbances = [other]
    assert check in failed(evidence)
    evidence.disturbances = [replace(other, victims=frozenset({"w1"}))]
    assert check not in failed(evidence)


def test_a_late_call_of_a_sleeper_is_counted() -> None:
    """A call under an older attempt is explained by the stop of the worker that made it."""
    evidence = clean()
    evidence.calls[1].attempt = 2
    evidence.disturbances = [
        Disturbance(what="stop", victims=frozenset({"w2"}), began_s=6.0, ended_s=8.9)
    ]
    late = call("b", 9.0, "M3", worker="w2")
    evidence.calls.append(late)
    assert "repeats" not in failed(evidence)
    assert tally(evidence).outlived == 1


def test_a_late_send_of_a_sleeper_is_explained_by_its_stop_alone() -> None:
    """Stopped after its last look at its trust, it sends what another has sent meanwhile."""
    evidence = clean()
    evidence.delivered.append(replace(reply("b", 9.0), worker="w2"))
    stop = Disturbance(what="stop", victims=frozenset({"w2"}), began_s=6.0, ended_s=8.9)
    for other in (replace(stop, victims=frozenset({"w3"})), replace(stop, ended_s=7.0)):
        evidence.disturbances = [other]
        assert "sends" in failed(evidence)
    evidence.disturbances = [stop]
    assert "sends" not in failed(evidence)


@pytest.mark.parametrize("lasted_s, is_explained", [(0.2, False), (1.5, True)])
def test_an_attempt_without_a_call_is_explained_by_a_long_stop(
    lasted_s: float, is_explained: bool
) -> None:
    """Stopped after a start and taken for dead: that attempt counts, and nobody made it."""
    evidence = clean()
    evidence.calls[1].attempt = 2
    assert "attempts" in failed(evidence)
    stop = Disturbance(what="stop", began_s=6.5, ended_s=6.5 + lasted_s, settle_s=3.0)
    evidence.disturbances = [stop]
    assert ("attempts" not in failed(evidence)) is is_explained


@pytest.mark.parametrize("is_kill, is_explained", [(False, True), (True, False)])
def test_what_was_sent_during_a_stall_may_be_started_in_it_but_not_by_the_dead(
    is_kill: bool, is_explained: bool
) -> None:
    """M3 is sent at 3: its start may be held up by a stall of then, and no dead worker makes it."""
    evidence = clean()
    evidence.calls[1].attempt = 2
    stall = Disturbance(what="stall", began_s=2.5, ended_s=5.0, settle_s=3.0)
    kill = Disturbance(what="kill", began_s=2.5, kills=True)
    evidence.disturbances = [kill if is_kill else stall]
    assert ("attempts" not in failed(evidence)) is is_explained


def test_what_is_handled_without_redis_needs_no_entry_where_that_is_set() -> None:
    """Closed by ``bypass`` alone it may be a command, which must be in Redis like any other."""
    evidence = clean()
    evidence.calls[1].closed_by = "bypass"
    evidence.raw[ANN].pop()
    direct = replace(RULES, is_direct=True)
    assert "entries" in failed(evidence)
    assert "entries" not in {problem.check for problem in judge(evidence, direct)}
    evidence.delivered.pop()
    del evidence.outbox["b"]
    kept = replace(direct, has_channel=False)
    assert "lost" in failed(evidence)
    assert "lost" not in {problem.check for problem in judge(evidence, kept)}
    evidence.raw[ANN].append(Raw(2000, 0, "M3"))
    assert "lost" in {problem.check for problem in judge(evidence, kept)}


@pytest.mark.parametrize("asks", ["bypass", "flush"])
def test_what_asks_closes_its_window_in_the_judges_eyes(asks: Asks) -> None:
    """By the judge's own cutter, and as nothing that was split; without being asked it is both."""
    evidence = clean()
    cut_early(evidence)
    assert "cuts" in failed(evidence)
    last = 1 if asks == "flush" else 2
    raw = evidence.raw[ANN]
    raw[last] = raw[last]._replace(asks=asks)
    assert "cuts" not in failed(evidence)
    for one in evidence.calls:
        one.began_s = one.ended_s = float(evidence.sent[one.members[0]].number) + 0.1
    assert make_row("x", evidence, RULES, []).split == 3
    evidence.sent[f"M{last + 1}"].asks = asks
    assert make_row("x", evidence, RULES, []).split == (1 if asks == "flush" else 0)


def test_row_counts_messages() -> None:
    """The table says what was lost, repeated, reordered and split, in messages."""
    evidence = clean()
    assert make_row("x", evidence, RULES, [1.0, 2.0]).is_clean
    lose(evidence)
    repeat(evidence)
    row = make_row("x", evidence, RULES, [1.0, 2.0])
    assert (row.sent, row.handled, row.lost, row.repeated, row.recovery_s) == (4, 3, 1, 1, 2.0)
    assert not row.is_clean
    reorder(evidence)
    assert make_row("x", evidence, RULES, []).reordered > 0
    assert "lost" in render([row])
