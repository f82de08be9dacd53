"""The bugs that the ledger is tested with still fit the scripts that they are planted into."""

from __future__ import annotations

import pytest

from shared import scripts
from tests.support.lua_files import LUA_FILES
from tests.support.planted.in_scripts import BUGS


@pytest.mark.parametrize("bug", BUGS)
def test_bug_changes_a_script(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One script is another one then; a line that a bug names and that is gone would fail here."""
    right = {name: scripts.load_script(name) for name in LUA_FILES}
    monkeypatch.setattr(scripts, "load_script", scripts.load_script)  # put back afterwards
    BUGS[bug]()
    wrong = {name: scripts.load_script(name) for name in LUA_FILES}
    assert sum(right[name].sha != wrong[name].sha for name in LUA_FILES) == 1
