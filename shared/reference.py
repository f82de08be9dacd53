"""Values that stand elsewhere: ``env:NAME`` and ``file:PATH`` in the settings."""

from __future__ import annotations

import os
import re
from pathlib import Path

_UNFILLED = re.compile(r"\$(?:[A-Z_][A-Z0-9_]*|\{\w+\})", re.ASCII)


def follow_reference(value: str) -> str:
    """
    The variable's value, the file's text, or the value itself.

    ``$NAME`` and ``${NAME}`` are for a shell, which has not seen them: only a file may hold such
    a text that is meant as it is.

    Raises:
        ValueError: there is no such variable or file, or nobody put a variable's value in.
    """
    scheme, _, name = value.partition(":")
    if scheme == "env":
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        value = os.environ[name]
    if _UNFILLED.fullmatch(value):
        raise ValueError("is the name of a variable that nobody put in: write env:NAME")
    if scheme == "file":
        try:
            return Path(name).read_text().strip()
        except OSError as error:
            raise ValueError(f"cannot read {Path(name).absolute()}: {error.strerror}") from error
    return value
