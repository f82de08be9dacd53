"""What waits for an operator: a dead letter and a reply, as finish and send write them."""

from __future__ import annotations

import json

from redis import Redis

from shared.keys import Keys
from shared.model import EntryId, window_id
from shared.wire import DeadLetter, OutboxReply, encode_dead_letter, encode_reply
from tests.support.windows import make_window


def bury(client: Redis, keys: Keys, error: str, user: str, at: str = "*") -> str:
    """A dead letter of the instance ``shop``, at an id of the test's choice; its id."""
    partition = keys.of("shop", user)
    window = make_window(("please call me",), user=user)
    letter = DeadLetter(window=window, error=error, attempts=3, instance="shop")
    entry = client.xadd(partition.dead, {"m": encode_dead_letter(letter)}, id=at)
    assert isinstance(entry, bytes)
    return f"{partition.number}:{entry.decode()}"


def hold(client: Redis, keys: Keys, why: str, user: str) -> str:
    """A reply of the instance ``shop`` that waits for a person; its id."""
    partition = keys.of("shop", user)
    reply = OutboxReply(
        window_id=window_id("shop", user, EntryId(1, 0)),
        instance="shop",
        user=user,
        texts=("your secret answer",),
        provider="evolution",
        reply_to=None,
        message_ids=("M1",),
    )
    entry = client.xadd(partition.outbox, {"m": encode_reply(reply)})
    assert isinstance(entry, bytes)
    record = {"token": "us:1:send-1", "worker": "", "attempt": 2, "sent": 0, "held": why}
    whole = {**record, "retry_at": 1, "delay": 0, "error": ""}
    client.hset(partition.sending, entry.decode(), json.dumps(whole))
    return f"{partition.number}:{entry.decode()}"
