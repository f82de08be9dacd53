"""What the policy ``direct`` made of messages, asked of its spool and of its metrics."""

from __future__ import annotations

from ingest.spool.payload import key_of
from tests.support.spooling import Spooling, message
from tests.support.waiting import eventually


async def handled(made: Spooling, number: int, user: str = "ann") -> None:
    """Wait until a message's outcome is known."""
    key = key_of(message(number, user))
    await eventually(lambda: key in made.spool.outcomes, f"outcome of {key}")


def count(made: Spooling, outcome: str) -> float | None:
    """``inturn_direct_handled_total``."""
    labels = {"outcome": outcome}
    return made.metrics.registry.get_sample_value("inturn_direct_handled_total", labels)
