"""
Tying a child process to this one: it ends when this one ends, also when that is SIGKILLed.

Linux alone offers it (``prctl(PR_SET_PDEATHSIG)``); elsewhere a killed parent leaves its children
behind, and the lock of ``shared/home.py`` still tells that they run. The kernel counts the
*thread* that forked as the parent, so the fork must happen in a thread that lives as long as the
process: the main one.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
"""From ``<linux/prctl.h>``."""


def tie_to_this_process(signum: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """
    Prepare, in the parent, what the child calls first after the fork.

    The child is sent ``signum`` when the parent ends. A parent that ended before the child could
    ask for it is seen by the changed parent pid, and the child ends at once.
    """
    if sys.platform != "linux":
        return _nothing
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        if prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0) != 0 or os.getppid() != parent:
            os._exit(1)

    return tie


def _nothing() -> None:
    return None
