"""What benches say: goals, ratios, void runs, and the table of the whole suite."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from bench import report as report_module
from bench import suite
from bench.report import Reach, Report, Void
from bench.suite import BENCHES, LONG, rows_with_goal, table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where benches write and the suite reads."""
    monkeypatch.setattr(report_module, "RESULTS", tmp_path)
    monkeypatch.setattr(report_module, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "value,met", [(59.0, False), (60.0, True), (61.0, True)], ids=["below", "at", "above"]
)
def test_goal_of_a_ratio_is_judged_by_the_ratio(value: float, met: bool) -> None:
    """A row reaches ``>= 0.6 x`` by its ratio to the peer, at the limit too."""
    report = Report("some")
    peer = report.add("peer", 100, "messages/s")
    reach = Reach(limit=0.6, at_least=True, of_ratio=True)
    row = report.add("ours", value, "messages/s", against=peer, reach=reach)
    assert (row.met, row.reach, row.ratio) == (met, ">= 0.6 x", value / 100)


def test_goal_of_a_value_is_judged_before_it_is_rounded() -> None:
    """A value just beyond its bound is not met, though the table shows the bound."""
    row = Report("some").add("late", 1000.4, "ms", reach=Reach(limit=1000))
    assert (row.value, row.met) == (1000, False)


def test_bench_with_a_void_run_writes_the_others_and_ends_with_one(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is left out is named, has no row, and shows in the exit code."""
    monkeypatch.setattr(report_module, "own_settings", list)

    async def measure(report: Report) -> None:
        report.add("fine", 1, "ms")
        report.leave_out("8,000/s", Void("too slow"))

    with pytest.raises(SystemExit) as ended:
        report_module.run_bench("some", measure)
    assert ended.value.code == 1
    assert [row["name"] for row in json.loads((results / "some.json").read_text())["rows"]] == [
        "fine"
    ]
    assert "VOID, left out: 8,000/s: too slow" in capsys.readouterr().out


def test_void_bench_writes_nothing(results: Path) -> None:
    """Figures of work that was not done are not kept, not even those before the failure."""

    async def measure(report: Report) -> None:
        report.add("before", 1, "ms")
        raise Void("not all were handled")

    with pytest.raises(SystemExit) as ended:
        report_module.run_bench("some", measure)
    assert ended.value.code == 1
    assert not list(results.iterdir())


def test_suite_shows_rows_with_a_goal_and_no_others(results: Path) -> None:
    """The closing table has each goal with its ratio; a bench that wrote nothing has no row."""
    report = Report("some")
    peer = report.add("peer", 1000, "messages/s")
    reach = Reach(limit=3, at_least=True, of_ratio=True)
    report.add("ours", 2500, "messages/s", against=peer, reach=reach)
    report.write()
    head, _rule, *rows = table(list(rows_with_goal(["some", "void"]))).splitlines()
    assert head.split("|")[1].strip() == "bench"
    assert [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows] == [
        ["some", "ours", "2,500 messages/s", "peer", "2.50", ">= 3 x", "NO"]
    ]


def test_suite_runs_every_module_that_measures() -> None:
    """A bench that somebody adds is part of ``make bench`` or long, and each name is a module."""
    measuring = {
        path.stem for path in (ROOT / "bench").glob("*.py") if "run_bench(" in path.read_text()
    }
    assert {*BENCHES, *LONG} == measuring - {"report"}
    assert all(importlib.util.find_spec(f"bench.{name}") for name in (*BENCHES, *LONG))


def test_readme_names_every_bench() -> None:
    """Whoever reads the README can run each by its name."""
    assert f"BENCH={'|'.join((*BENCHES, *LONG))}`" in (ROOT / "README.md").read_text()
