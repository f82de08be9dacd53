"""
Named points between two awaits, at which a test can stop, kill or hold up a process.

Nothing happens at them otherwise: no setting and no variable of the environment arms a point, only
code that runs in the same process (the fault bench starts services through a module of its own).

Each point stands *after* an effect on the outside and *before* this process has taken note of it:
the moments at which a death costs most.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Point(StrEnum):
    """What has just happened when a process passes the point."""

    READ = "read"
    """Entries are in our pending list; memory does not know them."""
    CLAIM = "claim"
    """A takeover has claimed a page of pending entries."""
    START = "start"
    """Records stand; no handler was called."""
    HANDLER = "handler"
    """The handler has answered; nothing is written."""
    POSTPONE = "postpone"
    """The record is nobody's; memory does not know it."""
    FINISH = "finish"
    """The window is finished in Redis; nobody was told."""
    RENEW = "renew"
    """A renewal was answered; the trust is not lengthened."""
    SENDING = "sending"
    """The record of a send stands; the provider was not called."""
    SEND = "send"
    """The provider took the reply; Redis does not know it."""
    APPEND = "append"
    """A message is in its stream; its request is not answered."""
    SPOOL = "spool"
    """Messages are written to the spool's file, not yet synced."""
    REPLAY = "replay"
    """Messages of the spool are in their streams; the spool still holds them."""


Hook = Callable[[Point], None]

_hook: Hook | None = None


def install(hook: Hook | None) -> None:
    """Call ``hook`` at every point from now on; None: nothing any more."""
    global _hook  # noqa: PLW0603  one process, one bench
    _hook = hook


def reach(point: Point) -> None:
    """This process is at ``point``; called where the effect has just happened."""
    if _hook is not None:
        _hook(point)
