"""What the audit makes of records: nothing at once, and of what stays a takeover."""

from __future__ import annotations

import pytest

from shared.errors import NotConnected
from shared.model import Conversation, Token
from tests.support.audits import LIMIT_S, THEM, US, Audits, record

ANN: Conversation = ("shop", "ann")


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> Audits:
    """None yet."""
    return Audits(monkeypatch)


async def test_our_own_record_without_a_handler_is_found_the_second_time(audits: Audits) -> None:
    """The first time its start or its end may be on the way."""
    held = audits.hold()
    held.records[ANN] = record(US)
    await audits.after(1)
    held.restart.assert_not_called()
    await audits.after(1)
    held.restart.assert_called_once_with("audit: own record")
    assert audits.found("own_record") == 1
    held.store.postpone.assert_not_called()


async def test_what_a_handler_of_ours_has_in_hand_is_as_it_should_be(audits: Audits) -> None:
    """However long; and so is what is nobody's until it is due."""
    held = audits.hold()
    held.records |= {ANN: record(US), ("shop", "bob"): record("", "u")}
    audits.running[Token("t")] = object()
    await audits.after(1, 1, LIMIT_S + 1)
    held.restart.assert_not_called()


@pytest.mark.parametrize("worker", [US, THEM])
async def test_what_waits_for_a_slot_is_as_it_should_be(
    audits: Audits, monkeypatch: pytest.MonkeyPatch, worker: str
) -> None:
    """Memory knows it, and it runs when its turn comes, whosever it was."""
    held = audits.hold()
    held.records[ANN] = record(worker)
    monkeypatch.setattr(held.memory, "is_waiting", lambda *whose: whose == (ANN, Token("t")))
    await audits.after(1, 1, LIMIT_S + 1)
    held.restart.assert_not_called()


async def test_each_partition_has_its_own(audits: Audits) -> None:
    """What was seen in one is not forgotten for what is seen in the next."""
    for number in range(3):
        audits.hold(number).records[ANN] = record(US, f"t{number}")
    await audits.after(1, 1)
    assert [held.restart.call_count for held in audits.held.values()] == [1, 1, 1]


async def test_another_workers_record_is_left_as_long_as_a_handler_may_take(
    audits: Audits,
) -> None:
    """Then its attempt counts, whoever died of it, and the takeover finds it nobody's."""
    held = audits.hold()
    held.records[ANN] = record(THEM)
    await audits.after(1, LIMIT_S)
    held.restart.assert_not_called()
    held.store.postpone.assert_not_called()
    await audits.after(0.1)
    held.store.postpone.assert_awaited_once_with(ANN, Token("t"), 0, counts=True)
    held.restart.assert_called_once_with("audit: foreign record")


async def test_another_attempt_is_another_record(audits: Audits) -> None:
    """Each has its own time; one that ended and came again began anew."""
    held = audits.hold()
    for number in range(5):
        held.records = {ANN: record(THEM, f"t{number}")}
        await audits.after(LIMIT_S)
    held.records = {}
    await audits.after(1)
    held.records = {ANN: record(THEM, "t4")}
    await audits.after(1, LIMIT_S)
    held.restart.assert_not_called()


async def test_damaged_records_are_found_at_once(audits: Audits) -> None:
    """Of windows and of sends: no attempt ends them."""
    held, other = audits.hold(), audits.hold(1)
    held.damaged = [(b"f", b"v")]
    other.sender.count_damaged.return_value = 1
    await audits.after(1)
    held.restart.assert_called_once_with("audit: damaged record")
    other.restart.assert_called_once_with("audit: damaged record")


@pytest.mark.parametrize("wrong", ["not loaded", "stopped"])
async def test_what_is_not_ours_or_not_known_yet_is_not_audited(audits: Audits, wrong: str) -> None:
    """Its memory says nothing."""
    held = audits.hold()
    held.loaded, held.stopped = wrong != "not loaded", wrong == "stopped"
    held.damaged = [(b"f", b"v")]
    await audits.after(1)
    held.restart.assert_not_called()


async def test_a_partition_that_cannot_be_asked_keeps_no_other_from_it(audits: Audits) -> None:
    """In a cluster it may be the only one."""
    first, second = audits.hold(), audits.hold(1)
    first.store.running.side_effect = NotConnected("its server is away")
    second.damaged = [(b"f", b"v")]
    await audits.after(1)
    second.restart.assert_called_once_with("audit: damaged record")


async def test_an_outage_makes_nothing_anew(audits: Audits) -> None:
    """Nobody can be asked: what was seen before is known behind it."""
    held = audits.hold()
    held.records[ANN] = record(US)
    await audits.after(1)
    audits.is_away = True
    await audits.after(1, 1)
    held.restart.assert_not_called()
    audits.is_away, held.records = False, {ANN: record(US)}
    await audits.after(1)
    held.restart.assert_called_once_with("audit: own record")


@pytest.mark.parametrize("key, asked", [("running", 1), ("sending", 1), ("streams", 0)])
async def test_what_there_may_be_is_asked_for(audits: Audits, key: str, asked: int) -> None:
    """Records of windows and sends; a stream that memory knows also where Redis names none."""
    held = audits.hold()
    audits.keys = {key}
    await audits.after(1)
    assert held.store.running.await_count == asked
    assert held.store.some_streams.await_count == 1 - asked
