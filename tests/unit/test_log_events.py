"""``docs/logs.md`` lists every event that the code logs, at its level, and no other."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "logs.md").read_text()
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error"}
LEVELS |= {"exception": "error"}
SAYS = ("say", "_say")
"""What tells of single messages: at debug in services, at info in ``up``."""


def told_levels() -> dict[str, set[str]]:
    """The levels of each event, as the page tells them."""
    rows = re.findall(r"^\| `([^`]+)` \| ([a-z, ]+) \| \S.* \|$", PAGE, re.MULTILINE)
    names = [name for name, _ in rows]
    assert len(names) == len(set(names)), "an event stands there twice"
    return {name: set(levels.split(", ")) for name, levels in rows}


def constants(node: ast.expr, within: ast.AST) -> list[str]:
    """The texts that an expression may be: a constant, or what a name was set to."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if not isinstance(node, ast.Name):
        return []
    values = [
        one.value
        for one in ast.walk(within)
        if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == node.id
    ]
    return [
        each.value
        for value in values
        for each in ast.walk(value)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]


def levels_of(call: ast.Call, within: ast.AST) -> set[str]:
    """At which levels a call logs; none: it is no call of the log."""
    function = call.func
    name = ast.unparse(function)
    if name.startswith("log.") and name.count(".") == 1:
        return {LEVELS[name[4:]]} if name[4:] in LEVELS else set()
    last = name.rpartition(".")[2]
    if last not in SAYS:
        return set()
    if "." in name:
        return {"message"}
    found = re.findall(rf"\b{name} = (.*log\..*)", ast.unparse(within))
    return {LEVELS[level] for one in found for level in re.findall(r"log\.(\w+)", one)}


def logged_in(source: str) -> Iterator[tuple[str, set[str]]]:
    """Each event that a module logs, with the levels of that place."""
    tree = ast.parse(source)
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and call.args and (levels := levels_of(call, tree)):
            events = constants(call.args[0], tree)
            assert events, f"whatever this logs has no name: {ast.unparse(call)}"
            yield from ((event, levels) for event in events)


def logged_levels() -> dict[str, set[str]]:
    """All events of all services, with every level that one is logged at."""
    found: dict[str, set[str]] = defaultdict(set)
    for room in ("shared", "ingest", "consumer"):
        paths = sorted((ROOT / room).rglob("*.py"))
        for path in [*paths, ROOT / "ops" / "crew.py"]:
            for event, levels in logged_in(path.read_text()):
                found[event] |= levels
    return dict(found)


def test_every_event_is_on_the_page_at_its_level() -> None:
    """Whoever reads a line can look up what it means; and nothing is promised that never comes."""
    assert told_levels() == logged_levels()


def test_every_event_is_one_name() -> None:
    """``<noun>.<what became of it>``, with nothing in it that changes from line to line."""
    assert [event for event in logged_levels() if not EVENT.fullmatch(event)] == []


def test_ids_are_called_the_same_everywhere() -> None:
    """A filter by window, entry or user finds all lines: no line calls it otherwise."""
    for room in ("shared", "ingest", "consumer"):
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text())
            for call in ast.walk(tree):
                if isinstance(call, ast.Call) and call.args and levels_of(call, tree):
                    names = {keyword.arg for keyword in call.keywords}
                    wrong = names & {"window_id", "entry_id", "user_id", "reply_id", "text", "body"}
                    assert not wrong, f"{path.name}: {wrong}"


@pytest.mark.parametrize(
    "source, found",
    [
        ('log.info("a.b", x=1)', [("a.b", {"info"})]),
        ('log.exception("a.b")', [("a.b", {"error"})]),
        ('self._say("a.b")', [("a.b", {"message"})]),
        ('event = "a.b" if x else "c.d"\nself._say(event)',
         [("a.b", {"message"}), ("c.d", {"message"})]),
        ('say = log.warning if x else log.debug\nsay("a.b")', [("a.b", {"warning", "debug"})]),
        ('print("a.b")', []),
    ],
)  # fmt: skip
def test_events_are_seen_in_every_form(source: str, found: list[tuple[str, set[str]]]) -> None:
    """The judge itself: each way in which the code logs is seen."""
    assert list(logged_in(source)) == found


def test_an_event_that_is_put_together_is_refused() -> None:
    """Its name could hold anything."""
    with pytest.raises(AssertionError, match="no name"):
        list(logged_in('log.info(f"user {name} came")'))
