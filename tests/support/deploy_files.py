"""The files of ``deploy/``, read, and copies with a mistake in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"


def load_yaml(path: str) -> Any:
    """One document of ``deploy/``."""
    return yaml.safe_load((DEPLOY / path).read_text())


def alerting_rules() -> dict[str, dict[str, Any]]:
    """Every alert, by its name."""
    groups = load_yaml("prometheus/alerts.yml")["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def recording_rules() -> dict[str, str]:
    """Every recorded name, and what is recorded."""
    groups = load_yaml("prometheus/recording.yml")["groups"]
    return {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]}


def copy_with_mistake(folder: str, into: Path, file: str, right: str, wrong: str) -> Path:
    """A copy of a folder of ``deploy/`` in which ``file`` says ``wrong`` once, for ``right``."""
    copied = into / folder
    shutil.copytree(DEPLOY / folder, copied)
    text = (copied / file).read_text()
    assert right in text, f"{file} does not say {right!r}: there is nothing to get wrong"
    (copied / file).write_text(text.replace(right, wrong, 1))
    return copied


def impatient_rules(into: Path) -> Path:
    """A copy of Prometheus's rules in which no alert waits before it fires."""
    copied = into / "rules"
    shutil.copytree(DEPLOY / "prometheus", copied)
    alerts = copied / "alerts.yml"
    text, waiting = re.subn(r"^( +for:) .+$", r"\1 0s", alerts.read_text(), flags=re.MULTILINE)
    assert waiting, "no alert waits: there is nothing to shorten"
    alerts.write_text(text)
    return copied


def prepared_copy(into: Path, **environment: str) -> Path:
    """The folder ``private`` of a copy of ``deploy/`` after ``deploy/prepare``."""
    copied = shutil.copytree(DEPLOY, into / "deploy", ignore=lambda *_: ["private"])
    words = (f"{name}={value}" for name, value in environment.items())
    code, said = run_check("env", *words, copied / "prepare")
    assert code == 0, said
    return copied / "private"


def run_check(*command: str | Path, stdin: bytes = b"") -> tuple[int, str]:
    """A checking program's exit code, and all that it says."""
    done = subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=50,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def strings_of(node: Any, name: str) -> Iterator[str]:
    """Every text under ``name``, however deep in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name and isinstance(value, str):
                yield value
            yield from strings_of(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from strings_of(value, name)
