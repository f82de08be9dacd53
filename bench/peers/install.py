"""
Install the peers: ``make bench-setup``.

    python -m bench.peers.install

Python packages into one environment, Node packages into another; what is as pinned already is left
alone. What cannot be installed is said, does not keep the other from it, and ends with 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.peers.environment import (
    BULLMQ,
    FASTAPI,
    FASTSTREAM,
    FOLDER,
    HERE,
    NODE_MODULES,
    PYTHON,
    TASKIQ,
    versions,
)
from tests.support.redis_server import ROOT

REQUIREMENTS = HERE / "requirements.txt"
CONSTRAINTS = ROOT / "constraints.txt"
PACKAGES = HERE / "package.json"


def install_python() -> None:
    """A new environment; what it shares with inturn has inturn's versions."""
    folder = PYTHON.parents[1]
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(
        str(PYTHON), "-m", "pip", "install", "-qq", "-r", str(REQUIREMENTS), "-c", str(CONSTRAINTS)
    )


def install_node() -> None:
    """A new folder of modules; no script of a package is run."""
    folder = NODE_MODULES.parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(PACKAGES, folder)
    options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    _run("npm", "install", *options, "--prefix", str(folder))


def install_once(what: str, pins: str, install: Callable[[], None]) -> bool:
    """Install unless these pins are installed; whether they are now."""
    stamp = FOLDER / f"{what}.installed"
    if stamp.exists() and stamp.read_text() == pins:
        return True
    stamp.unlink(missing_ok=True)
    print(f"installing the {what} peers into {FOLDER.name}/{what}", flush=True)
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the {what} peers could not be installed, their rows will be left out: {error}")
        return False
    stamp.write_text(pins)
    return True


def main() -> int:
    """Install both, print what is there."""
    FOLDER.mkdir(exist_ok=True)
    done = [
        install_once("python", _text(REQUIREMENTS, CONSTRAINTS), install_python),
        install_once("node", _text(PACKAGES), install_node),
    ]
    for peer in (FASTAPI, FASTSTREAM, TASKIQ, BULLMQ):
        found = versions(peer.packages)
        print(f"{peer.name}: " + (", ".join(map(" ".join, found.items())) or "not installed"))
    return 0 if all(done) else 1


def _run(*command: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT)


def _text(*paths: Path) -> str:
    return "".join(path.read_text() for path in paths)


if __name__ == "__main__":
    sys.exit(main())
