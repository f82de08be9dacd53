"""The direction of imports: ``ingest -> shared <- consumer``, ``ops`` above, nothing back."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("shared", "ingest", "consumer", "ops", "bench", "tests")
MAY_IMPORT = {
    "shared": {"shared"},
    "ingest": {"ingest", "shared"},
    "consumer": {"consumer", "shared"},
    "ops": {"ops", "ingest", "consumer", "shared"},
}
SMALL = ("errors", "model", "keys")


def our_imports(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, also inside functions, by its full name."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            names = [".".join((*above, *([node.module] if node.module else [])))]
            if node.module in ROOMS:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name.split(".")[0] in ROOMS)


def files_of(room: str) -> list[Path]:
    """All Python files of a room."""
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_room_imports_only_what_lies_below_it(room: str) -> None:
    """No service knows the other, ``shared`` knows neither, and nobody imports ``ops``."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files_of(room)
        for name in our_imports(path)
        if name.split(".")[0] not in MAY_IMPORT[room]
    }
    assert not wrong


@pytest.mark.parametrize("name", SMALL)
def test_small_module_imports_nothing_of_ours_but_errors(name: str) -> None:
    """The words that everything else is built from depend on nothing."""
    path = ROOT / "shared" / f"{name}.py"
    assert set(our_imports(path)) <= {"shared.errors"} - {f"shared.{name}"}


def test_imports_are_seen_in_every_form() -> None:
    """The judge itself: plain, from, from a package and within a function are all found."""
    here = set(our_imports(Path(__file__).parents[1] / "conftest.py"))
    assert "shared.errors" in here
    assert "tests.support.redis_server" in here


MAY_JUDGE_WITH = {"shared.embedded", "shared.errors", "shared.lifeline", "shared.redis_binary"}
"""What the fault bench may use of ``shared``: starting a Redis, and tying processes to it."""


def test_fault_bench_imports_nothing_of_what_it_judges() -> None:
    """The ledger, its cutter and its checks know neither service, nor how they write and read."""
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / "ops" / "chaos").rglob("*.py"))
        for name in our_imports(path)
        if not name.startswith("ops.chaos")
        and not any(name == known or name.startswith(f"{known}.") for known in MAY_JUDGE_WITH)
    }
    assert not wrong
