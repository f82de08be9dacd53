"""A proxy on loopback between inturn and a server, which a test may cut or hold up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ops.chaos.proxy import TcpProxy
from shared.scripts import load_script

__all__ = ["TcpProxy", "runs"]


def runs(script: str) -> Callable[[Sequence[bytes]], bool]:
    """Whether a command runs that script, by its hash (the first run of each is by its text)."""
    sha = load_script(script).sha.encode()
    return lambda command: command[:2] == [b"EVALSHA", sha]
