"""Endings and the two generations of ids: they are forgotten together."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.keys import Keys
from shared.model import EntryId
from shared.trace import Trace
from shared.trace.whereabouts import State
from shared.unsent import ReplyId, Unsent
from tests.support.journey import DEDUPE_MS, INSTANCE, USER, Journey
from tests.support.tracing import forget_journal, told, where
from tests.support.ways import WAYS

STANDS_FOR = EntryId(1_760_000_000_000, 900_000_001)


class Generations:
    """The ids of the user, of the generation before and of this one."""

    def __init__(self, redis_client: Redis, keys: Keys) -> None:
        self._redis = redis_client
        self._names = keys.partition(0).both_seen(INSTANCE, USER)

    async def now(self) -> str:
        """The one that is written to, once there is something in it."""
        times = {await self._redis.pttl(name): name for name in self._names}
        return times[max(times)]

    async def begin(self) -> str:
        """A generation ends: what is in it is forgotten at the end of the next one."""
        now = await self.now()
        [before] = set(self._names) - {now}
        await self._redis.rename(now, before)
        await self._redis.pexpire(before, DEDUPE_MS // 2)
        return before


@pytest.fixture
def generations(redis_client: Redis, keys: Keys) -> Generations:
    """Of the user's ids."""
    return Generations(redis_client, keys)


async def test_an_ending_lasts_as_long_as_the_last_id_of_its_window(
    journey: Journey,
    trace: Trace,
    keys: Keys,
    redis_client: Redis,
    generations: Generations,
) -> None:
    """A window that began in one generation and ended in the next is told while one id is left."""
    await journey.say("m1")
    old = await generations.begin()
    await journey.say("m2")
    await journey.read()
    await journey.start(2)
    await journey.be_silent()
    before = [told(await where(trace, one)) for one in ("m1", "m2")]
    await forget_journal(redis_client, keys)
    assert [told(await where(trace, one)) for one in ("m1", "m2")] == before

    await redis_client.delete(old)

    assert (await where(trace, "m1")).state is State.UNKNOWN
    assert told(await where(trace, "m2")) == before[1]


@pytest.mark.parametrize("way", ["sent", "discarded", "replayed, sent", "replayed twice"])
async def test_a_window_that_ends_a_generation_later_is_told(
    way: str,
    journey: Journey,
    trace: Trace,
    keys: Keys,
    redis_client: Redis,
    generations: Generations,
) -> None:
    """Its ending stands where the ids are, whichever generation that is."""
    await journey.say("m1", "m2")
    await generations.begin()
    await journey.read()
    await journey.start(2)
    await WAYS[way](journey)
    before = [told(await where(trace, one)) for one in ("m1", "m2")]
    await forget_journal(redis_client, keys)

    assert [told(await where(trace, one)) for one in ("m1", "m2")] == before


async def test_of_two_endings_the_newer_counts(
    journey: Journey,
    trace: Trace,
    keys: Keys,
    redis_client: Redis,
    generations: Generations,
) -> None:
    """A window dies in one generation, is replayed and answered in the next: both are written."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    letter_id = await journey.give_up("HTTP 400")
    await generations.begin()
    await journey.say("m2")
    await journey.replay(letter_id)
    await journey.read()
    journey.unread.reverse()
    await journey.start(1)
    await WAYS["sent"](journey)
    before = told(await where(trace, "m1"))
    await forget_journal(redis_client, keys)

    assert before[0] is State.SENT
    assert told(await where(trace, "m1")) == before


async def test_where_no_id_is_left_nothing_is_written(
    journey: Journey, keys: Keys, redis_client: Redis
) -> None:
    """An ending that nobody could find takes no memory, and no key appears that never expires."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    names = keys.partition(0).both_seen(INSTANCE, USER)
    await redis_client.delete(*names)
    await WAYS["sent"](journey)

    assert not await redis_client.exists(*names)


async def test_an_ending_takes_no_time_from_the_ids_and_gives_none(
    journey: Journey, redis_client: Redis, generations: Generations
) -> None:
    """The key expires when it would have."""
    await journey.say("m1")
    await redis_client.pexpire(await generations.now(), DEDUPE_MS // 2)
    await journey.read()
    await journey.start(1)
    await WAYS["sent"](journey)

    left_ms = await redis_client.pttl(await generations.now())
    assert DEDUPE_MS // 2 - 600_000 < left_ms <= DEDUPE_MS // 2


@pytest.mark.parametrize("end", ["sent", "discarded"])
async def test_a_reply_of_days_ago_changes_no_later_window(
    end: str, journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """It was held until its message's id was forgotten, and that id came again."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    reply_id = await journey.answer("hello")
    await redis_client.delete(*keys.partition(0).both_seen(INSTANCE, USER))
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.be_silent()
    before = told(await where(trace, "m1"))
    if end == "sent":
        await journey.end_reply(reply_id, await journey.begin_send(reply_id), "sent")
    else:
        await Unsent(journey.pipe, keys).discard(ReplyId(reply_id, journey.partition))
    await forget_journal(redis_client, keys)

    assert before[0] is State.SILENT
    assert told(await where(trace, "m1")) == before
