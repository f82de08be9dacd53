"""
What both services share: words, data in Redis, providers, handlers. Imports neither service.

A Python handler takes from here what it needs::

    from shared import Reject, Reply, RetryLater, Window


    async def answer(window: Window) -> str | Reply | None:
        return f"You wrote: {window.text}"

Importing it reads no environment, opens nothing and starts nothing.
"""

from shared.errors import Reject, RetryLater
from shared.handlers.request import Message, Window
from shared.model import Reply

__all__ = ["Message", "Reject", "Reply", "RetryLater", "Window"]
