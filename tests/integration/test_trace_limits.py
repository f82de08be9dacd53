"""What a trace tells when Redis has forgotten, holds too much, or is damaged."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from shared.keys import GROUP, Keys
from shared.model import EntryId
from shared.trace import Trace, search
from shared.trace.whereabouts import MessageTrace, State
from tests.support.journey import INSTANCE, USER, Journey
from tests.support.tracing import forget_journal, states, where


async def test_a_dead_window_is_found_by_letter_after_the_journal(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Dead letters are kept: their id, error and messages are told also when the journal is not."""
    [entry_id] = await journey.say("m1")
    await journey.read()
    window = await journey.start(1)
    letter_id = await journey.give_up("HTTP 400")

    for _ in range(2):
        found = await where(trace, "m1")
        assert (found.state, found.error, found.window_id) == (State.DEAD, "HTTP 400", window.id)
        assert (found.entry_id, found.dead_letter_id) == (entry_id, letter_id)
        [dead] = (await trace.conversation(INSTANCE, USER)).dead
        assert (dead.dead_letter_id, dead.message_ids) == (letter_id, ("m1",))
        await forget_journal(redis_client, keys)


async def test_what_has_no_ending_is_finished(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Past ``retention_ms`` a message whose ending got lost is known to be finished, no more."""
    [entry_id] = await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.be_silent()
    await forget_journal(redis_client, keys)
    for name in keys.partition(0).both_seen(INSTANCE, USER):
        await redis_client.hdel(name, str(entry_id))

    assert await where(trace, "m1") == MessageTrace(
        state=State.FINISHED, entry_id=entry_id, message_id="m1", accepted_at=entry_id.ms
    )
    assert await states(trace) == [(None, State.FINISHED)]


async def test_an_unsent_reply_tells_after_the_journal(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """A reply that is held for hours still says whose messages it answers."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.answer("hello")
    await forget_journal(redis_client, keys)

    assert await states(trace) == [("m1", State.ANSWERED)]
    found = await where(trace, "m1")
    assert found.reply is not None
    assert found.reply.texts == ("hello",)


async def test_messages_are_found_when_dedupe_forgot(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """A backlog older than ``dedupe_ms`` is found in the stream itself."""
    await journey.say("m1")
    partition = keys.partition(0)
    await redis_client.delete(*(partition.seen(one, INSTANCE, USER) for one in (0, 1)))

    assert (await where(trace, "m1")).state is State.WAITING
    assert await states(trace) == [("m1", State.WAITING)]


async def test_a_message_far_back_in_a_backlog_is_found(
    journey: Journey, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of the look at the stream, dedupe leads to the entry itself."""
    monkeypatch.setattr(search, "PAGE", 3)
    monkeypatch.setattr(search, "SCAN_ROWS", 6)
    await journey.of("other").say(*(f"o{number}" for number in range(20)))
    [entry_id] = await journey.say("m1")
    await journey.read()

    found = await where(trace, "m1")
    assert (found.state, found.entry_id) == (State.IN_WINDOW, entry_id)
    assert found.window_id is None
    assert await states(trace) == [("m1", State.IN_WINDOW)]
    await journey.start(1)
    assert (await where(trace, "m1")).state is State.RUNNING


async def test_an_answer_far_back_in_the_outbox_is_found(
    journey: Journey, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of the look at the outbox, the journal leads to the reply itself."""
    monkeypatch.setattr(search, "PAGE", 2)
    monkeypatch.setattr(search, "SCAN_ROWS", 2)
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.answer("hello")
    other = journey.of("other")
    for number in range(4):
        await other.say(f"o{number}")
        await other.read()
        await other.start(1)
        await other.answer("not yours")

    [reply] = (await trace.conversation(INSTANCE, USER)).replies
    assert reply.texts == ("hello",)


async def test_other_users_and_instances_are_never_told(journey: Journey, trace: Trace) -> None:
    """A user whose name stands in others' texts and ids is told of nothing but the own messages."""
    other = journey.of(f'other "{USER}"')
    await other.say(USER)
    await other.read()
    await other.start(1)
    await other.answer(f'"{USER}"')
    await journey.say("m1")

    found = await trace.conversation(INSTANCE, USER)
    assert [message.message_id for message in found.messages] == ["m1"]
    assert not found.replies
    assert (await where(trace, USER)).state is State.UNKNOWN
    assert not await trace.conversation("another shop", USER)


async def test_a_destroyed_group_means_that_nothing_was_read(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Without a group the entries are where they were: in the stream, waiting."""
    await journey.say("m1")
    await journey.read()
    await redis_client.xgroup_destroy(keys.partition(0).stream(INSTANCE), GROUP)

    assert (await where(trace, "m1")).state is State.WAITING


async def test_an_entry_that_cannot_be_decoded_hides_no_other(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """What is damaged is left out; the rest of the conversation is told."""
    stream = keys.partition(0).stream(INSTANCE)
    await redis_client.xadd(stream, {"m": f'{{"v":9,"user":"{USER}"}}'})
    await redis_client.xadd(keys.partition(0).outbox, {"m": f'{{"v":9,"user":"{USER}"}}'})
    await redis_client.xadd(keys.partition(0).dead, {"m": f'{{"v":9,"user":"{USER}"}}'})
    await journey.say("m1")

    assert await states(trace) == [("m1", State.WAITING)]


async def test_large_entries_end_the_look_at_a_stream(
    journey: Journey, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few entries full of pictures are read no further than many short ones."""
    monkeypatch.setattr(search, "FIRST_PAGE", 2)
    monkeypatch.setattr(search, "SCAN_BYTES", 1000)
    await journey.of("other").say(*(f"o{number}-{'x' * 500}" for number in range(6)))
    [first, second] = await journey.say("m1", "m2")

    found = await trace.conversation(INSTANCE, USER)

    assert [(one.entry_id, one.window_id) for one in found.messages] == [
        (first, None),
        (second, None),
    ]


async def test_only_the_newest_messages_are_listed(journey: Journey, trace: Trace) -> None:
    """Of a long conversation the newest hundred are told, in order."""
    ids = await journey.say(*(f"m{number}" for number in range(130)))

    found = await trace.conversation(INSTANCE, USER)

    listed = [message.entry_id for message in found.messages]
    assert listed == ids[-100:]
    assert all(isinstance(entry_id, EntryId) for entry_id in listed)


async def test_a_trace_writes_nothing(
    journey: Journey, trace: Trace, redis_client: Redis, prefix: str
) -> None:
    """Looking leaves every key as it was."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)

    async def dump() -> dict[bytes, bytes | None]:
        names = [name async for name in redis_client.scan_iter(f"{prefix}:*")]
        return {name: await redis_client.dump(name) for name in names}

    before = await dump()
    await where(trace, "m1")
    await trace.conversation(INSTANCE, USER)
    assert await dump() == before
