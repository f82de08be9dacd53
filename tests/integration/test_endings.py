"""What became of a message is told as long as its id is known, long after the journal is over."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from ingest.remember import RedisMemory
from ingest.spool.payload import Became, Outcome
from shared.connect import Pipe
from shared.keys import Keys
from shared.model import EntryId, window_id
from shared.trace import Trace, search
from shared.trace.whereabouts import State
from shared.wire import OutboxReply
from tests.support.journey import DEDUPE_MS, INSTANCE, RETENTION_MS, USER, Journey
from tests.support.tracing import all_told, forget_journal, told, where
from tests.support.ways import WAYS

STANDS_FOR = EntryId(1_760_000_000_000, 900_000_001)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("way", WAYS)
async def test_a_state_and_its_time_outlive_the_journal(
    way: str, size: int, journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Whatever became of a window: of each of its messages the same is told, and when."""
    ids = [f"m{number}" for number in range(size)]
    await journey.say(*ids)
    await journey.read()
    window = await journey.start(size)
    await WAYS[way](journey)

    before = [told(await where(trace, one)) for one in ids]
    whole = all_told(await trace.conversation(INSTANCE, USER))
    assert {(one[2], one[1][0] is None) for one in before} == {(window.id, False)}
    await forget_journal(redis_client, keys)

    assert [told(await where(trace, one)) for one in ids] == before
    assert all_told(await trace.conversation(INSTANCE, USER)) == whole


async def test_each_message_has_the_ending_of_its_own_window(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Of a user's many windows, also those around one that has not ended and has no ending."""
    ends = [("silent", 2), ("sent", 1), ("dead, discarded", 3)]
    for number, (way, size) in enumerate(ends):
        await journey.say(*(f"{number}-{at}" for at in range(size)))
        await journey.read()
        await journey.start(size)
        await WAYS[way](journey)
    await journey.say("open")
    await forget_journal(redis_client, keys)

    found = await trace.conversation(INSTANCE, USER)

    states = [State.SILENT] * 2 + [State.SENT] + [State.DEAD] * 3 + [State.WAITING]
    assert [one.state for one in found.messages] == states
    for number, (_, size) in enumerate(ends):
        alone = {(await where(trace, f"{number}-{at}")).window_id for at in range(size)}
        assert len(alone) == 1
    assert (await where(trace, "open")).state is State.WAITING


async def test_a_message_that_is_sent_again_stays_a_duplicate(
    journey: Journey, keys: Keys, redis_client: Redis
) -> None:
    """The ending stands beside the id, not in its place."""
    entries = await journey.say("m1", "m2")
    await journey.read()
    await journey.start(2)
    await WAYS["sent"](journey)
    await forget_journal(redis_client, keys)

    assert await journey.say("m1", "m2") == entries
    assert await redis_client.xlen(keys.partition(0).stream(INSTANCE)) == 0


async def test_an_ending_is_no_longer_remembered_than_the_id(
    journey: Journey, trace: Trace, redis_client: Redis, prefix: str
) -> None:
    """Nothing is left that would tell of a message whose id is forgotten."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.be_silent()
    async for key in redis_client.scan_iter(f"{prefix}:*"):
        await redis_client.delete(key)

    assert (await where(trace, "m1")).state is State.UNKNOWN
    assert not await trace.conversation(INSTANCE, USER)


@pytest.mark.parametrize("way", ["silent", "sent", "kept", "discarded", "replayed, dead"])
async def test_what_somebody_wrote_in_its_place_stops_nothing(
    way: str, journey: Journey, keys: Keys, redis_client: Redis
) -> None:
    """A key of another type: the window ends, and its reply, as if there were no endings."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    for name in keys.partition(0).both_seen(INSTANCE, USER):
        await redis_client.set(name, "in the way", px=60_000)

    await WAYS[way](journey)

    assert await redis_client.hlen(keys.partition(0).running) == 0


async def test_endings_are_found_among_many_thousand_ids(
    journey: Journey,
    trace: Trace,
    keys: Keys,
    redis_client: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message's own is looked for page by page, where the conversation is not listed any more."""
    monkeypatch.setattr(search, "SEEN_MAX", 100)
    monkeypatch.setattr(search, "ENDINGS_PAGE", 50)
    for number in range(30):
        await journey.say(*(f"{number}-{at}" for at in range(25)))
        await journey.read()
        await journey.start(25)
        await journey.be_silent()
    await forget_journal(redis_client, keys)

    for number in (0, 13, 29):
        assert (await where(trace, f"{number}-{number % 25}")).state is State.SILENT
    assert not await trace.conversation(INSTANCE, USER)


@pytest.mark.parametrize("became", Became)
async def test_what_was_handled_while_redis_was_away_is_told_as_long(
    became: Became, pipe: Pipe, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """A message that never had an entry has its ending all the same."""
    reply = OutboxReply(
        window_id=window_id(INSTANCE, USER, STANDS_FOR),
        instance=INSTANCE,
        user=USER,
        texts=("hello",),
        provider=None,
        reply_to=None,
        message_ids=("m1",),
    )
    left = reply if became is Became.ANSWERED else None
    outcome = Outcome(key=(INSTANCE, USER, "m1"), entry_id=STANDS_FOR, became=became, reply=left)
    assert await RedisMemory(pipe, keys, DEDUPE_MS, RETENTION_MS).remember(outcome)
    before = told(await where(trace, "m1"))
    whole = all_told(await trace.conversation(INSTANCE, USER))
    await forget_journal(redis_client, keys)

    assert before[0] == became
    assert told(await where(trace, "m1")) == before
    assert all_told(await trace.conversation(INSTANCE, USER)) == whole


async def test_a_later_versions_ending_is_left_alone(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """What cannot be read hides nothing else: the message is finished, and nobody knows how."""
    [entry_id] = await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.be_silent()
    await forget_journal(redis_client, keys)
    for name in keys.partition(0).both_seen(INSTANCE, USER):
        if await redis_client.hdel(name, str(entry_id)):
            await redis_client.hset(name, str(entry_id), "zz of a later version")

    found = await where(trace, "m1")
    assert (found.state, found.at, found.accepted_at) == (State.FINISHED, None, entry_id.ms)
    [listed] = (await trace.conversation(INSTANCE, USER)).messages
    assert (listed.entry_id, listed.state) == (entry_id, State.FINISHED)
