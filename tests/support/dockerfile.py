"""A Dockerfile's steps, done on this machine without Docker: each stage in a folder of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

STEPS_WITHOUT_EFFECT = {"VOLUME", "EXPOSE", "STOPSIGNAL", "USER"}
"""What only says something about the container."""


@dataclass
class Stage:
    """
    A stage's root on this machine, its environment, and where it works.

    ``entry`` and ``command`` are what a container of it runs, ``health`` what asks how it is.
    """

    root: Path
    variables: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def on_disk(self, path: str) -> Path:
        """Where a path of the container is here; what is in ``root`` already stays."""
        if path.startswith(str(self.root)):
            return Path(path)
        absolute = path if path.startswith("/") else f"{self.workdir}/{path}"
        return Path(f"{self.root}/{absolute}")


class Builder:
    """
    Does the steps in order, as far as they can be done without root and containers.

    The images that it begins with are this machine, whose Python comes first on PATH. What is
    installed is installed below ``root``, by the build arguments that name folders: a stage finds
    there what it copies from the stage before.
    """

    def __init__(self, context: Path, root: Path, *, arguments: dict[str, str], path: str) -> None:
        self._context = context
        self._root = root
        self._arguments = arguments
        self._path = path
        self.stages: list[Stage] = []
        self._steps: dict[str, Callable[[str, Stage], None]] = {
            "ARG": self._argue,
            "ENV": self._set_variables,
            "WORKDIR": self._change_folder,
            "COPY": self._copy,
            "RUN": self._run,
            "ENTRYPOINT": self._name_entry,
            "CMD": self._name_command,
            "HEALTHCHECK": self._name_health,
        }

    def build(self, dockerfile: str) -> Stage:
        """
        The last stage.

        Raises:
            ValueError: an instruction that is none, or not where it may be.
            OSError: what is to be copied is not there.
            subprocess.CalledProcessError: a command failed.
        """
        for line in _lines(dockerfile):
            name, _, rest = line.partition(" ")
            self._step(name, rest.strip())
        return self.stages[-1]

    def _step(self, name: str, rest: str) -> None:
        if name == "FROM":
            root = self._root / f"stage-{len(self.stages)}"
            root.mkdir(parents=True)
            self.stages.append(Stage(root))
            return
        if not self.stages:
            if name != "ARG":
                raise ValueError(f"{name} before the first FROM")
            return
        step = self._steps.get(name)
        if step is not None:
            step(rest, self.stages[-1])
        elif name not in STEPS_WITHOUT_EFFECT:
            raise ValueError(f"there is no instruction {name}")

    def _argue(self, rest: str, stage: Stage) -> None:
        name, _, default = rest.partition("=")
        stage.variables[name] = self._arguments.get(name, default)

    def _set_variables(self, rest: str, stage: Stage) -> None:
        for pair in shlex.split(self._filled(rest, stage)):
            name, _, value = pair.partition("=")
            stage.variables[name] = value

    def _change_folder(self, rest: str, stage: Stage) -> None:
        stage.workdir = self._filled(rest, stage)
        stage.on_disk("").mkdir(parents=True, exist_ok=True)

    def _copy(self, rest: str, stage: Stage) -> None:
        words = shlex.split(self._filled(rest, stage))
        sources, into = [word for word in words[:-1] if not word.startswith("--")], words[-1]
        from_stage = any(word.startswith("--from") for word in words)
        for source in sources:
            origin = Path(source) if from_stage else self._context / source
            target = stage.on_disk(into)
            if from_stage and origin == target:
                assert origin.exists(), f"{origin} was not made by the stage before"
                continue
            if origin.is_dir():
                shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target = target / origin.name if into.endswith("/") else target
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)

    def _name_entry(self, rest: str, stage: Stage) -> None:
        stage.entry = json.loads(rest)

    def _name_command(self, rest: str, stage: Stage) -> None:
        stage.command = json.loads(rest)

    def _name_health(self, rest: str, stage: Stage) -> None:
        stage.health = json.loads(rest.partition("CMD ")[2])

    def _run(self, command: str, stage: Stage) -> None:
        subprocess.run(
            ["sh", "-ec", command],
            cwd=stage.on_disk(""),
            env=self.environment(stage),
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=100,
        )

    def environment(self, stage: Stage) -> dict[str, str]:
        """A clean one: what the stage says, and how packages are found."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        kept |= {"HOME": os.environ.get("HOME", "/"), "PIP_NO_COMPILE": "1"}  # half the time
        return {"PATH": self._path, **kept, **stage.variables}

    def _filled(self, text: str, stage: Stage) -> str:
        variables = {"PATH": self._path, **stage.variables}
        for key in sorted(variables, key=len, reverse=True):
            text = text.replace(f"${{{key}}}", variables[key]).replace(f"${key}", variables[key])
        return text


def _lines(dockerfile: str) -> list[str]:
    """The instructions, each on one line."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]
