"""What waits for an operator: a dead letter and a reply, as finish and send write them."""

from __future__ import annotations

import json

from redis import Redis

from shared.keys import Keys
from shared.model import EntryId, window_id
from shared.wire import DeadLetter, OutboxReply, encode_dead_letter, encode_reply
from tests.support.windows import make_window


def bury(
    client: Redis,
    keys: Keys,
    error: str,
    user: str,
    at: str = "*",
    *,
    instance: str = "shop",
    text: str = "please call me",
    provider: str | None = None,
) -> str:
    """A dead letter, at an id of the test's choice; its id."""
    partition = keys.of(instance, user)
    window = make_window((text,), instance=instance, user=user, provider=provider)
    letter = DeadLetter(window=window, error=error, attempts=3, instance=instance)
    entry = client.xadd(partition.dead, {"m": encode_dead_letter(letter)}, id=at)
    assert isinstance(entry, bytes)
    return f"{partition.number}:{entry.decode()}"


def hold(
    client: Redis,
    keys: Keys,
    why: str,
    user: str,
    *,
    instance: str = "shop",
    text: str = "your secret answer",
    provider: str = "evolution",
) -> str:
    """A reply that waits for a person; its id."""
    partition = keys.of(instance, user)
    reply = OutboxReply(
        window_id=window_id(instance, user, EntryId(1, 0)),
        instance=instance,
        user=user,
        texts=(text,),
        provider=provider,
        reply_to=None,
        message_ids=("M1",),
    )
    entry = client.xadd(partition.outbox, {"m": encode_reply(reply)})
    assert isinstance(entry, bytes)
    record = {"token": "us:1:send-1", "worker": "", "attempt": 2, "sent": 0, "held": why}
    whole = {**record, "retry_at": 1, "delay": 0, "error": ""}
    client.hset(partition.sending, entry.decode(), json.dumps(whole))
    return f"{partition.number}:{entry.decode()}"
