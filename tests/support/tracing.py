"""What the tests of the trace ask, of the one user of a journey."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis

from shared.keys import Keys
from shared.trace import Trace
from shared.trace.whereabouts import ConversationTrace, MessageTrace, ReplyTrace, State
from tests.support.journey import INSTANCE, USER


async def where(trace: Trace, message_id: str) -> MessageTrace:
    """Where a message of the user is."""
    return await trace.message(INSTANCE, USER, message_id)


async def states(trace: Trace) -> list[tuple[str | None, State]]:
    """The conversation's messages, each with its state."""
    found = await trace.conversation(INSTANCE, USER)
    return [(message.message_id, message.state) for message in found.messages]


async def forget_journal(redis_client: Redis, keys: Keys) -> None:
    """``retention_ms`` are over."""
    await redis_client.xtrim(keys.partition(0).journal, maxlen=0, approximate=False)


def reply_told(reply: ReplyTrace | None) -> tuple[Any, ...] | None:
    """What must be told of a reply for good."""
    if reply is None:
        return None
    return reply.reply_id, reply.window_id, reply.state, reply.at, reply.held, reply.texts


def told(found: MessageTrace) -> tuple[Any, ...]:
    """What must be told of a message for good."""
    letter = found.dead_letter_id
    times = (found.at, found.accepted_at)
    return found.state, times, found.window_id, found.error, letter, reply_told(found.reply)


def all_told(found: ConversationTrace) -> tuple[Any, ...]:
    """What must be told of a conversation for good."""
    messages = [(one.entry_id, told(one)) for one in found.messages]
    replies = [reply_told(reply) for reply in found.replies]
    return messages, replies, found.dead, found.last_message_at, found.last_reply_at
