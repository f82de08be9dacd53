"""A trace on a real Redis: each state is reached through the scripts that lead there."""

from __future__ import annotations

from redis.asyncio import Redis

from shared.connect import Pipe
from shared.keys import Keys
from shared.model import window_id
from shared.trace import Trace
from shared.trace.whereabouts import ReplyState, State
from tests.support.journey import INSTANCE, USER, Journey
from tests.support.tracing import states, where


async def test_nothing_is_known_of_a_stranger(trace: Trace) -> None:
    """Who never wrote has no conversation, also where not one key exists yet."""
    assert (await where(trace, "m1")).state is State.UNKNOWN
    assert not await trace.conversation(INSTANCE, USER)


async def test_a_message_that_nobody_read_waits(journey: Journey, trace: Trace) -> None:
    """Appended and not read: waiting, and it will open the window of its own id."""
    [first, second] = await journey.say("m1", "m2")

    one, two = await where(trace, "m1"), await where(trace, "m2")

    assert (one.state, two.state) == (State.WAITING, State.WAITING)
    assert (one.entry_id, two.entry_id) == (first, second)
    assert one.window_id == window_id(INSTANCE, USER, first)
    assert two.window_id is None


async def test_a_message_that_was_read_is_in_its_window(journey: Journey, trace: Trace) -> None:
    """Read and not started: in the window; what comes after the read still waits."""
    await journey.say("m1")
    await journey.read()
    await journey.say("m2")

    assert await states(trace) == [("m1", State.IN_WINDOW), ("m2", State.WAITING)]


async def test_a_running_window_keeps_the_next_message_waiting(
    journey: Journey, trace: Trace
) -> None:
    """Members of the started window run; what was read after it waits behind it, by its id."""
    await journey.say("m1", "m2", "m3")
    await journey.read()
    window = await journey.start(2)

    one, three = await where(trace, "m1"), await where(trace, "m3")

    assert (one.state, one.window_id, one.attempt) == (State.RUNNING, window.id, 1)
    assert (three.state, three.behind) == (State.WAITING, window.id)
    assert three.window_id == window_id(INSTANCE, USER, journey.unread[0].id)
    assert [state for _, state in await states(trace)] == [
        State.RUNNING,
        State.RUNNING,
        State.WAITING,
    ]


async def test_a_postponed_window_tells_attempt_error_and_next_try(
    journey: Journey, trace: Trace, redis_client: Redis
) -> None:
    """A failed attempt is retrying until it is started again, then it is the second one."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.postpone(60_000, "HTTP 500")
    seconds, micros = await redis_client.time()
    now_ms = seconds * 1000 + micros // 1000

    found = await where(trace, "m1")
    assert (found.state, found.attempt, found.error) == (State.RETRYING, 1, "HTTP 500")
    assert found.retry_at is not None
    assert now_ms < found.retry_at <= now_ms + 60_000

    await journey.start_again()
    again = await where(trace, "m1")
    assert (again.state, again.attempt, again.retry_at) == (State.RUNNING, 2, None)


async def test_an_answer_is_told_with_its_texts_until_it_is_sent(
    journey: Journey, trace: Trace
) -> None:
    """The reply stands in the outbox, is sent by a worker, and leaves only its journal."""
    await journey.say("m1")
    await journey.read()
    window = await journey.start(1)
    reply_id = await journey.answer("hello", "again")

    waiting = await where(trace, "m1")
    assert waiting.state is State.ANSWERED
    assert waiting.reply is not None
    assert (waiting.reply.state, waiting.reply.texts) == (ReplyState.WAITING, ("hello", "again"))
    assert (waiting.window_id, waiting.reply.reply_id) == (window.id, reply_id)

    token = await journey.begin_send(reply_id)
    [sending] = (await trace.conversation(INSTANCE, USER)).replies
    assert (sending.state, sending.attempt) == (ReplyState.SENDING, 1)

    await journey.end_reply(reply_id, token, "sent")
    sent = await where(trace, "m1")
    assert (sent.state, sent.window_id) == (State.SENT, window.id)
    [reply] = (await trace.conversation(INSTANCE, USER)).replies
    assert (reply.reply_id, reply.state, reply.texts) == (reply_id, ReplyState.SENT, None)


async def test_a_failed_send_is_retried_or_held(journey: Journey, trace: Trace) -> None:
    """A reply tells when it is sent again, or why it waits for a person, and keeps its texts."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    reply_id = await journey.answer("hello")
    token = await journey.begin_send(reply_id)

    await journey.outbox.unsend(reply_id, token, 60_000)
    [retrying] = (await trace.conversation(INSTANCE, USER)).replies
    assert retrying.state is ReplyState.RETRYING
    assert retrying.retry_at is not None

    token = await journey.begin_send(reply_id, replaces=token)
    await journey.outbox.unsend(reply_id, token, 0, held="loop limit")
    held = (await where(trace, "m1")).reply
    assert held is not None
    assert (held.state, held.held, held.texts) == (ReplyState.HELD, "loop limit", ("hello",))


async def test_a_reply_without_channel_is_kept_then_expires(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """Who knows that there is no channel is told that the reply is kept, later that it expired."""
    trace = Trace(pipe, keys, has_channel=lambda _reply: False)
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    reply_id = await journey.answer("hello")

    kept = await where(trace, "m1")
    assert kept.reply is not None
    assert (kept.state, kept.reply.state) == (State.ANSWERED, ReplyState.KEPT)
    assert kept.reply.texts == ("hello",)

    await journey.end_reply(reply_id, None, "kept")
    expired = await where(trace, "m1")
    assert expired.reply is not None
    assert (expired.state, expired.reply.state) == (State.ANSWERED, ReplyState.EXPIRED)


async def test_silence_is_told(journey: Journey, trace: Trace) -> None:
    """A window that the handler answered with nothing is silent."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.be_silent()

    assert (await where(trace, "m1")).state is State.SILENT


async def test_entries_that_somebody_deleted_are_told(journey: Journey, trace: Trace) -> None:
    """A window whose entries vanished is finished, and says why."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    await journey.lose()

    found = await where(trace, "m1")
    assert (found.state, found.error) == (
        State.FINISHED,
        "its entries were deleted from the stream",
    )


async def test_a_discarded_letter_leaves_a_dead_message(
    journey: Journey, trace: Trace, keys: Keys, redis_client: Redis
) -> None:
    """Dead without a dead letter: somebody threw it away."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    letter_id = await journey.give_up("HTTP 400")
    await redis_client.xdel(keys.partition(0).dead, str(letter_id.entry))

    found = await where(trace, "m1")
    assert (found.state, found.dead_letter_id, found.error) == (State.DEAD, None, None)
