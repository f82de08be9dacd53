"""Waiting for a condition with a deadline; never for a time."""

from ops.chaos.waiting import LIMIT_S, POLL_S, eventually, wait_until

__all__ = ["LIMIT_S", "POLL_S", "eventually", "wait_until"]
