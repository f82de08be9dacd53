"""
The Lua scripts: one file each in ``lua/``, loaded by name.

A script's header is its contract (purpose, keys, arguments, return codes); a test compares it
with its body. Whoever sends one to Redis has one typed method for it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text, and the hash that Redis knows it by once it has seen the text."""

    name: str
    source: str
    sha: str


@cache
def load_script(name: str) -> Script:
    """The script ``lua/<name>.lua``."""
    source = files("shared").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())
