"""What the tests of the trace ask, of the one user of a journey."""

from __future__ import annotations

from shared.trace import Trace
from shared.trace.whereabouts import MessageTrace, State
from tests.support.journey import INSTANCE, USER


async def where(trace: Trace, message_id: str) -> MessageTrace:
    """Where a message of the user is."""
    return await trace.message(INSTANCE, USER, message_id)


async def states(trace: Trace) -> list[tuple[str | None, State]]:
    """The conversation's messages, each with its state."""
    found = await trace.conversation(INSTANCE, USER)
    return [(message.message_id, message.state) for message in found.messages]
