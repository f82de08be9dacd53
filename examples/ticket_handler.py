"""
A handler that gives numbers out: who writes "number" gets the next one. In this folder:

    INTURN_HANDLER=python:ticket_handler:answer inturn up
"""

from shared import Window
from shared.errors import RequestRefused
from shared.tickets import open_tickets


async def answer(window: Window) -> str:
    """The queue is the instance's; asked twice for one window, it gives one number."""
    if "number" not in window.text.lower().split():
        return 'Write "number" to get one.'
    async with open_tickets() as tickets:
        try:
            entered = await tickets.enter(window.instance, window.user, key=window.window_id)
        except RequestRefused as refused:  # the queue is full, or there is none of this name
            return str(refused)
    return f"you are number {entered.number}, {entered.ahead} ahead"
