"""What several unit tests begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.outages import Policy


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that ``INTURN_CONFIG`` names; empty."""
    path = tmp_path / "inturn.toml"
    path.touch()
    monkeypatch.setenv("INTURN_CONFIG", str(path))
    return path


@pytest.fixture
async def policy(tmp_path: Path) -> AsyncIterator[Policy]:
    """Online, and nothing is drained before the test says so."""
    made = Policy(tmp_path)
    await made.appender.start()
    yield made
    await made.end()
