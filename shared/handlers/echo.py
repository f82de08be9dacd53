"""``echo``: answers a window with its own text, to see the way of a message without a bot."""

from __future__ import annotations

from shared.handlers import Call, call_to_dict
from shared.handlers.replies import reply_of
from shared.model import Result


class EchoHandler:
    """Replies with the window's texts joined; a window without text is counted instead."""

    in_process = False
    remembers = False

    async def answer(self, call: Call) -> Result:
        """One reply text, at once."""
        count = len(call.window.members)
        counted = "1 message" if count == 1 else f"{count} messages"
        text: str = call_to_dict(call)["text"]
        return reply_of([text if text.strip() else counted])

    async def close(self) -> None:
        """Nothing is held."""
