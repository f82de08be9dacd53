"""A trace of windows: every attempt with its time, and what those wait for that go on."""

from __future__ import annotations

from ops.trace import render, render_way
from shared.connect import Pipe
from shared.keys import Keys
from shared.model import window_id
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.trace import Trace
from shared.trace.whereabouts import State, WindowState
from tests.support.journey import INSTANCE, USER, Journey
from tests.support.tracing import where


async def test_a_replayed_window_is_followed_to_its_new_end(journey: Journey, trace: Trace) -> None:
    """The messages of a dead window go through every state again under their own entries."""
    entries = await journey.say("m1", "m2")
    await journey.read()
    window = await journey.start(2)
    carrier = await journey.replay(await journey.give_up("HTTP 400"))

    async def both() -> set[State]:
        found = await trace.conversation(INSTANCE, USER)
        assert [message.entry_id for message in found.messages] == entries
        assert {message.window_id for message in found.messages} == {window.id}
        return {message.state for message in found.messages}

    assert await both() == {State.WAITING}
    await journey.read()
    assert await both() == {State.IN_WINDOW}
    again = await journey.start(1)
    assert (again.id, again.entries[0].id) == (window.id, carrier)
    assert await both() == {State.RUNNING}
    await journey.answer("hello")
    assert await both() == {State.ANSWERED}
    assert (await where(trace, "m2")).state is State.ANSWERED


async def test_every_attempt_is_told_with_its_time(journey: Journey, trace: Trace) -> None:
    """While it is tried again and after its finish; an error's own words are not kept."""
    await journey.say("m1")
    await journey.read()
    window = await journey.start(1)
    await journey.postpone(0, "HTTP 500: what the user wrote")
    await journey.start_again()
    await journey.start_again()
    await journey.postpone(60_000, "no answer within 60 s")
    waiting = await where(trace, "m1")
    await journey.start_again()
    await journey.answer("hello")
    done = await where(trace, "m1")

    assert waiting.state is State.RETRYING
    for found in (waiting, done):
        assert found.failures is not None
        assert [(one.attempt, one.error) for one in found.failures] == [
            (1, "HTTP 500"),
            (2, "its worker died"),
            (3, "no answer within 60 s"),
        ]
        assert [one.at is None for one in found.failures] == [False, True, False]
        assert (found.opened_at, found.closed_at) == (window.opened_at, window.closed_at)
        assert found.closed_by == "max_wait"
    assert (done.state, done.attempt) == (State.ANSWERED, 4)
    assert waiting.accepted_at is not None
    assert done.started_at is not None
    assert waiting.accepted_at <= done.started_at <= (done.at or 0)


async def test_of_many_attempts_the_newest_are_told(journey: Journey, trace: Trace) -> None:
    """An endpoint that is away for hours makes no record grow without end."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    for number in range(60):
        await journey.postpone(0, f"{'x' * 200} {number}")
        await journey.start_again()

    failures = (await where(trace, "m1")).failures
    assert failures is not None
    assert 10 < len(failures) < 30
    assert failures[-1].attempt == 60


async def test_a_reply_says_when_it_was_sent(journey: Journey, trace: Trace) -> None:
    """The end of a message's way."""
    await journey.say("m1")
    await journey.read()
    await journey.start(1)
    reply_id = await journey.answer("hello")
    token = await journey.begin_send(reply_id)
    await journey.end_reply(reply_id, token, "sent")

    reply = (await where(trace, "m1")).reply
    assert reply is not None
    assert reply.at is not None
    assert reply.at >= reply_id.ms


async def test_windows_that_are_not_finished_are_told(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """What is in hand, and the next one with its due time, by the settings of now."""
    entries = await journey.say("m1", "m2", "m3")
    await journey.read()
    await journey.start(1)
    trace = Trace(pipe, keys, settings=Settings(max_messages=2))
    in_hand, closed = (await trace.conversation(INSTANCE, USER)).windows
    assert (in_hand.state, in_hand.messages, in_hand.due_at) == (WindowState.RUNNING, 1, None)
    assert (closed.state, closed.messages, closed.due_at) == (
        WindowState.CLOSED,
        2,
        entries[2].ms,
    )
    await journey.postpone(60_000, "HTTP 500")
    trace = Trace(pipe, keys, settings=Settings(max_wait_ms=60_000))
    in_hand, gathering = (await trace.conversation(INSTANCE, USER)).windows
    assert in_hand.state is WindowState.RETRYING
    assert (gathering.state, gathering.messages) == (WindowState.OPEN, 2)
    assert gathering.due_at == entries[1].ms + 60_000
    assert gathering.window_id == window_id(INSTANCE, USER, entries[1])


async def test_what_waits_for_the_end_of_a_pause_says_so(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """Since when; not of what a handler has, nor where nobody's settings are asked."""
    await journey.say("m1", "m2")
    await journey.read()
    await journey.start(1)
    store = SteeringStore(pipe, keys)
    await store.change(INSTANCE, {"paused": True, "max_messages": 1})
    since = (await store.read()).paused_since(INSTANCE, None)
    assert since is not None
    trace = Trace(pipe, keys, settings=Settings())
    in_hand, closed = (await trace.conversation(INSTANCE, USER)).windows
    assert (in_hand.state, in_hand.paused_since) == (WindowState.RUNNING, None)
    assert (closed.state, closed.paused_since) == (WindowState.CLOSED, since)
    assert (await trace.message(INSTANCE, USER, "m1")).paused_since is None
    waits = await trace.message(INSTANCE, USER, "m2")
    assert (waits.state, waits.paused_since) == (State.WAITING, since)
    assert "its instance is paused since" in render_way(waits)

    await journey.postpone(60_000, "HTTP 500")
    found = await trace.conversation(INSTANCE, USER)
    assert [one.paused_since for one in found.windows] == [since, since]
    assert "paused since" in render(found, 0)
    assert (await trace.message(INSTANCE, USER, "m1")).paused_since == since
    await store.take_back(INSTANCE)
    assert (await trace.message(INSTANCE, USER, "m1")).paused_since is None


async def test_a_window_that_a_message_closed_is_told_as_closed(
    journey: Journey, pipe: Pipe, keys: Keys
) -> None:
    """A stop word ends it, a command ends it before itself: due then, and not in a minute."""
    entries = await journey.say("m1", "m2", "m3")
    await journey.read()
    word = ("secret m2",)
    for patterns, count in ((Settings(flush=word), 2), (Settings(bypass=word), 1)):
        settings = patterns.model_copy(update={"max_wait_ms": 60_000})
        (window,) = (
            await Trace(pipe, keys, settings=settings).conversation(INSTANCE, USER)
        ).windows
        told = (window.state, window.messages, window.due_at)
        assert told == (WindowState.CLOSED, count, entries[1].ms)
