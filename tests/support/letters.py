"""Dead letters as finish writes them, through a client of a test with a loop."""

from __future__ import annotations

from redis.asyncio import Redis

from shared.kept_letters import LetterId
from shared.keys import Keys, partition_of
from shared.model import EntryId, Window
from shared.wire import DeadLetter, encode_dead_letter
from tests.support.windows import make_window

PARTITIONS = 3


async def bury(
    client: Redis, keys: Keys, window: Window, at: str = "*", error: str = "answered 500"
) -> LetterId:
    """Write a dead letter as finish does, at an id of the test's choice."""
    number = partition_of(window.instance, window.user, keys.partitions)
    letter = DeadLetter(window=window, error=error, attempts=3, instance=window.instance)
    value = encode_dead_letter(letter)
    entry = await client.xadd(keys.partition(number).dead, {"m": value}, id=at)
    return LetterId(EntryId.parse(entry), number)


async def bury_many(client: Redis, keys: Keys, count: int) -> list[LetterId]:
    """Letters of as many users, at rising times."""
    return [
        await bury(client, keys, make_window(user=f"user-{n}"), f"{1000 + n}-0")
        for n in range(count)
    ]
