"""What the audit makes of streams: what is pending and in no window is found, if it stays so."""

from __future__ import annotations

import pytest

from consumer.reclaimer import STREAMS_AT_ONCE
from shared.errors import BrokerRefused
from shared.model import EntryId
from tests.support.audits import IDLE_S, Audits, Held, ids
from tests.support.windows import make_window

LOST = BrokerRefused("NOGROUP", "no such group")


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> Audits:
    """None yet."""
    return Audits(monkeypatch)


async def test_entries_that_no_window_knows_are_found_when_they_stay(audits: Audits) -> None:
    """A read's answer may be on its way; what was lost with one stays for ``reclaim_idle_ms``."""
    held = audits.hold()
    held.pending["shop"] = ids(1, 2)
    await audits.after(1, IDLE_S - 0.1)
    held.restart.assert_not_called()
    await audits.after(0.1)
    held.restart.assert_called_once_with("audit: hidden entries")
    assert audits.reclaimed() == 2


async def test_each_partition_has_its_own(audits: Audits) -> None:
    """What was seen in one is not forgotten for what is seen in the next."""
    for number in range(3):
        audits.hold(number).pending["shop"] = ids(1)
    await audits.after(1, IDLE_S)
    assert [held.restart.call_count for held in audits.held.values()] == [1, 1, 1]


async def test_entries_that_come_and_go_are_hidden_from_nobody(audits: Audits) -> None:
    """Each has its own time."""
    held = audits.hold()
    for number in range(6):
        held.pending["shop"] = ids(number, number + 1)
        await audits.after(IDLE_S - 1)
    held.restart.assert_not_called()


def learn_two(held: Held, audits: Audits) -> list[EntryId]:
    """A window of the shop's gathers in memory; its entries."""
    entries = make_window(("a", "b")).entries
    held.memory.learn_page("shop", entries, audits.now_s)
    return [entry.id for entry in entries]


async def test_what_windows_hold_is_hidden_from_nobody(audits: Audits) -> None:
    """As many as are pending: nobody even asks which."""
    held = audits.hold()
    held.pending["shop"] = learn_two(held, audits)
    await audits.after(1, IDLE_S, IDLE_S)
    held.store.pending_ids.assert_not_awaited()
    held.restart.assert_not_called()


@pytest.mark.parametrize("known", [0, 2])
async def test_what_is_pending_beside_what_windows_hold_is_found(
    audits: Audits, known: int
) -> None:
    """And nothing else is counted; also where less is pending than windows hold."""
    held = audits.hold()
    held.pending["shop"] = [*learn_two(held, audits)[:known], *ids(7)]
    await audits.after(1, IDLE_S)
    held.restart.assert_called_once_with("audit: hidden entries")
    assert audits.reclaimed() == 1


async def test_what_another_instances_windows_hold_is_found(audits: Audits) -> None:
    """Ids are a stream's own."""
    held = audits.hold()
    held.pending["other"] = learn_two(held, audits)
    held.pending["shop"] = []
    await audits.after(1, IDLE_S)
    assert audits.found("hidden_entries") == 1


async def test_every_stream_has_its_turn(audits: Audits) -> None:
    """Those that memory knows and those that were odd, beside some that Redis names."""
    held = audits.hold()
    names = [f"shop-{number}" for number in range(2 * STREAMS_AT_ONCE + 1)]
    for number, name in enumerate(names):
        held.pending[name] = ids(number)
    held.store.some_streams.side_effect = [(5, names), (0, [])]
    await audits.after(1, IDLE_S)
    assert [call.args[0] for call in held.store.some_streams.await_args_list] == [0, 5]
    assert audits.found("hidden_entries") == len(names)


@pytest.mark.parametrize("is_gone", [True, False])
async def test_a_lost_group_is_found_unless_its_stream_is_over(
    audits: Audits, *, is_gone: bool
) -> None:
    """Where entries are left, they are read again by who owns them then."""
    held = audits.hold()
    held.pending["shop"] = LOST
    held.store.remove_stream.return_value = is_gone
    await audits.after(1)
    held.store.remove_stream.assert_awaited_once_with("shop", 7)
    assert held.restart.called is not is_gone


async def test_a_stream_in_which_nothing_is_pending_may_go(audits: Audits) -> None:
    """The script looks whether it may; one with something pending is not even asked for."""
    held = audits.hold()
    held.pending |= {"idle": [], "shop": ids(1)}
    await audits.after(1)
    held.store.remove_stream.assert_awaited_once_with("idle", 7)


async def test_a_stream_of_another_type_keeps_no_other_from_it(audits: Audits) -> None:
    """Somebody else wrote over it, which stops its instance alone."""
    held = audits.hold()
    held.pending |= {"broken": BrokerRefused("WRONGTYPE", "no stream"), "shop": ids(1)}
    await audits.after(1, IDLE_S)
    held.restart.assert_called_once_with("audit: hidden entries")


async def test_streams_that_memory_knows_are_asked_for(audits: Audits) -> None:
    """Also where Redis names none any more: their entries are gone."""
    held, audits.keys = audits.hold(), set()
    held.memory.learn(make_window(("a",)).entries[0], audits.now_s)
    held.pending["shop"] = []
    await audits.after(1)
    held.store.audit.assert_awaited_once_with("shop")


@pytest.mark.parametrize("known", [0, 2])
async def test_what_no_list_names_is_found_at_once(audits: Audits, known: int) -> None:
    """Also beside what windows hold: no healthy moment looks like that."""
    held = audits.hold()
    held.pending["shop"], held.unlisted["shop"] = learn_two(held, audits)[:known], 3
    await audits.after(1)
    held.restart.assert_called_once_with("audit: unlisted entries")
    assert audits.found("unlisted_entries") == 1
    held.store.remove_stream.assert_not_awaited()
