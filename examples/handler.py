"""
A handler that is a Python function. In this folder:

    INTURN_HANDLER=python:handler:answer inturn up
"""

from shared import Window


async def answer(window: Window) -> str | None:
    """Answer a user's whole burst at once; None sends nothing."""
    if not window.text:
        return None
    return f"You wrote {len(window.messages)} messages:\n{window.text}"
