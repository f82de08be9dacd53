"""
A handler that blocks: a plain function runs in a thread, and holds nobody else up. In this folder:

    INTURN_HANDLER=python:blocking_handler:answer inturn up
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from shared import Reject, Reply, RetryLater, Window

ORDERS = Path("orders.sqlite")  # CREATE TABLE orders (number TEXT PRIMARY KEY, state TEXT)


def answer(window: Window) -> str | Reply | None:
    """Say how the order is that the user names; anything else is left to a person."""
    if all(message.kind == "sticker" for message in window.messages):
        return None  # silence
    number = re.search(r"\d{4,8}", window.text)
    if number is None:
        return Reply(("One moment, a colleague will answer.",), mute_ms=30 * 60_000)
    if not ORDERS.exists():
        raise RetryLater(30, "the orders are not there yet")  # the window comes again
    with closing(sqlite3.connect(ORDERS, timeout=5)) as orders:
        found = orders.execute("SELECT state FROM orders WHERE number = ?", [number[0]]).fetchone()
    if found is None:
        raise Reject("names an order that there is not")  # kept: inturn dead list
    return f"Your order is {found[0]}."
