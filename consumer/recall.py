"""What was said before, for a handler that wants to know: read before the call, kept by finish."""

from __future__ import annotations

from consumer.store import PartitionStore
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.handlers import Call, Handler
from shared.model import Result, Unavailable, Window


async def answer_with_history(
    handler: Handler, store: PartitionStore, window: Window, attempt: int
) -> Result:
    """
    The handler's answer, given what its earlier ones left.

    The user has no other window in hand, so nobody writes between the read and this window's
    finish. A history that cannot be read costs no attempt: a finish would need Redis, too.
    """
    try:
        history = await store.history(window.conversation)
    except (BrokerUnavailable, BrokerRefused) as error:
        return Unavailable(error=f"the history cannot be read: {type(error).__name__}")
    return await handler.answer(Call(window=window, attempt=attempt, history=history))
