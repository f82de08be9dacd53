"""
A handler that is a Python function. In this folder:

    INTURN_HANDLER=python:handler:answer inturn up
"""


async def answer(window: dict) -> str | None:
    """Answer a user's whole burst at once; None sends nothing. ``def`` works too, and may block."""
    if not window["text"]:
        return None
    return f"You wrote {len(window['messages'])} messages:\n{window['text']}"
