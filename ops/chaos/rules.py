"""What the checks depend on besides the evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ops.chaos.evidence import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """
    The settings that the checks depend on; ``quiet_ms`` 0 is off.

    ``is_direct``: what Redis does not take is handled without it, closed by ``bypass`` as well.
    ``is_steered``: they were changed meanwhile, so who changed them judges the windows.
    """

    max_wait_ms: int
    max_messages: int = 5
    quiet_ms: int = 0
    pass_through: bool = False
    max_attempts: int = 3
    has_channel: bool = True
    clocks_touched: bool = False
    is_direct: bool = False
    is_steered: bool = False


Check = Callable[[Evidence, Rules], Iterator[str]]
