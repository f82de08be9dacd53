"""``inturn chaos``: an operator's own look at what a fault costs, and what a buffer would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ops.chaos.processes import ROOT

pytestmark = pytest.mark.timeout(150)


def run_chaos(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """In a folder of its own, which must stay empty."""
    command = [sys.executable, "-c", "from ops.cli import main; main()", "chaos", *options]
    return subprocess.run(
        command,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_chaos_loses_nothing_and_shows_the_buffer_beside_it(tmp_path: Path) -> None:
    """
    Both rows of the table under the same seed; exit 0, for nothing of inturn's was lost.

    What the buffer loses in these few seconds is chance.
    """
    ended = run_chaos(tmp_path, "--minutes", "0.15", "--seed", "42", "--baseline")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    rows = {line.split("  ")[0]: line.split()[-8:] for line in ended.stdout.splitlines()}
    sent, accepted, handled, _, lost, reordered, split, _ = rows["inturn"]
    assert int(sent) == int(accepted) == int(handled) > 0
    assert (lost, reordered, split) == ("0", "0", "0")
    sent, accepted, handled, _, lost, _, _, _ = rows["buffer with TTL"]
    assert 0 < int(handled) <= int(sent)
    assert int(lost) >= int(accepted) - int(handled)
    assert "seed 42" in ended.stdout
    assert list(tmp_path.iterdir()) == []
