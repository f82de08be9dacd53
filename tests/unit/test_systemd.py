"""The units for systemd: read by its own checker, and shut in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.deploy_files import DEPLOY, run_check
from tests.support.tools import require_tool

UNITS = ("inturn-ingest.service", "inturn-consumer.service")

EXPOSURE_MAX = 16
"""Tenths, of ten: what systemd calls OK begins at 3.4."""


@pytest.fixture
def analyze() -> str:
    """Comes with systemd, and needs none to run."""
    return require_tool("systemd-analyze", "systemd")


def unit(name: str, folder: Path, right: str = "", wrong: str = "") -> Path:
    """A copy whose program is there, with ``wrong`` for ``right``."""
    text = (DEPLOY / "systemd" / name).read_text()
    assert right in text
    text = text.replace(right, wrong, 1) if right else text
    path = folder / name
    path.write_text(text.replace("/opt/inturn/bin/inturn", f"{Path(sys.executable)} -m ops.cli"))
    return path


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_understood_and_shut_in(analyze: str, tmp_path: Path, name: str) -> None:
    """Systemd has nothing to say against it, and knows of little that it could do to others."""
    file = unit(name, tmp_path)
    assert run_check(analyze, "verify", "--man=no", file) == (0, "")
    code, said = exposure(analyze, file)
    assert code == 0, said


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("NoNewPrivileges=", "NoNewPriviliges="),
        ("ProtectSystem=strict", "ProtectSystem=very"),
        ("ExecStart=", "ExecStart=no/such/"),
        ("[Install]", "[Instal]"),
    ],
)
def test_a_mistake_in_a_unit_is_found(analyze: str, tmp_path: Path, right: str, wrong: str) -> None:
    """A misspelt key, value or section, a program that is not there."""
    assert run_check(analyze, "verify", "--man=no", unit(UNITS[0], tmp_path, right, wrong)) != (
        0,
        "",
    )


@pytest.mark.parametrize(
    "right",
    [
        "CapabilityBoundingSet=\n",
        "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged\n",
        "DynamicUser=yes\nUser=inturn-ingest\n",
    ],
)
def test_a_sandbox_with_a_hole_is_found(analyze: str, tmp_path: Path, right: str) -> None:
    """Without its walls a unit is too exposed."""
    code, said = exposure(analyze, unit(UNITS[0], tmp_path, right))
    assert code != 0, said


def exposure(analyze: str, file: Path) -> tuple[int, str]:
    """What ``systemd-analyze security`` thinks of it, and whether that is little enough."""
    limit = f"--threshold={EXPOSURE_MAX}"
    return run_check(analyze, "security", "--offline=yes", limit, file)
