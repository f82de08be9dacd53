"""
Tickets: numbers for walk-in queues, beside the messages, on the same Redis.

Each verb is one script on one slot, so that a number is never given twice and none is left out:
a call that dies half-way has given its number, or has not. Redis's time is the clock. Each change
is an entry in the clinic's event stream, written by the same script, and then told on a channel.

Nothing here is ever kept elsewhere while Redis is away: no Redis, no number. A handler that is a
Python function gets at the queues by ``open_tickets``.
"""

from __future__ import annotations

from shared.tickets.connect import open_tickets
from shared.tickets.model import (
    Called,
    Change,
    Day,
    Entered,
    Event,
    Gap,
    Place,
    PlaceState,
    Snapshot,
    Status,
)
from shared.tickets.store import Tickets

__all__ = [
    "Called",
    "Change",
    "Day",
    "Entered",
    "Event",
    "Gap",
    "Place",
    "PlaceState",
    "Snapshot",
    "Status",
    "Tickets",
    "open_tickets",
]
