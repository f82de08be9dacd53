"""What a worker makes of a handler's failures: attempts, backoff, dead letters, replay."""

from __future__ import annotations

import orjson
import pytest
from structlog.testing import capture_logs

from shared.dead_letters import ReplayCode
from tests.support.deployment import deployment, id_of_window, texts_of
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.http_handler import unused_port


async def test_two_failures_then_success(redis_url: str, prefix: str) -> None:
    """500, 500, 200 are three attempts with growing backoff between them, and one reply."""
    script = [Answer(status=500), Answer(status=500), Answer.reply("at last")]
    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, retry_base_ms=200
        ) as shop,
        shop.worker() as worker,
    ):
        with capture_logs() as said:
            await shop.say("alice", "hello")
            calls = await server.wait_for_calls(3)
            await shop.finished()
        assert server.attempts() == [1, 2, 3]
        retries = [one for one in said if one["event"] == "handler.retry"]
        assert [(one["instance"], one["attempt"]) for one in retries] == [("shop", 1), ("shop", 2)]
        assert len({call.json["window_id"] for call in calls}) == 1
        assert len({orjson.dumps(call.json["messages"]) for call in calls}) == 1
        # Equal jitter: half of 200 and half of 400 ms are sure.
        assert calls[1].at_s - calls[0].at_s >= 0.1
        assert calls[2].at_s - calls[1].at_s >= 0.2
        assert [reply.texts for reply in await shop.outbox()] == [("at last",)]
        assert worker.count("attempts_postponed_total", reason="retry") == 2


async def test_retry_after_is_obeyed(redis_url: str, prefix: str) -> None:
    """A ``Retry-After`` of a second goes before the backoff of 40 ms."""
    script = [Answer(status=429, headers={"Retry-After": "1"}), Answer(status=204)]
    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        calls = await server.wait_for_calls(2)
        assert calls[1].at_s - calls[0].at_s >= 1.0
        await shop.finished()


async def test_a_backoff_holds_its_user_alone(redis_url: str, prefix: str) -> None:
    """A window in backoff keeps its user's next one waiting, and nobody else's."""

    def script(call: HandlerCall) -> Answer:
        fails = call.json["text"] == "fails" and call.json["attempt"] == 1
        return Answer(status=500) if fails else Answer(status=204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_wait_ms=50, retry_base_ms=2000, partitions=1
        ) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "fails")
        await server.wait_for_calls(1)
        await shop.say("alice", "next")
        await shop.say("bob", "hello")
        await server.wait_for_calls(4)
        said = [(call.json["user"], call.json["text"]) for call in server.calls]
        assert said == [
            ("alice", "fails"),
            ("bob", "hello"),
            ("alice", "fails"),
            ("alice", "next"),
        ]
        await shop.finished()


async def test_the_last_attempt_makes_a_dead_letter(redis_url: str, prefix: str) -> None:
    """After ``MAX_ATTEMPTS`` the window is kept whole with its error, and the next one starts."""

    def script(call: HandlerCall) -> Answer:
        return Answer(status=500 if call.json["text"] == "bad\nworse" else 204)

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker() as worker,
    ):
        first, *_ = await shop.say("alice", "bad", "worse", "good", "better")
        await server.wait_for_calls(4)
        await shop.finished()
        assert server.attempts() == [1, 2, 3, 1]
        (letter,) = await shop.dead_letters()
        assert letter.window is not None
        assert letter.window.id == id_of_window("alice", first)
        assert texts_of(letter.window) == ["bad", "worse"]
        assert letter.attempts == 3
        assert "500" in letter.error
        assert await shop.outbox() == []
        assert worker.count("dead_letters_total") == 1


async def test_a_rejected_window_is_dead_at_once(redis_url: str, prefix: str) -> None:
    """A 400 is one attempt and a dead letter."""
    async with (
        HandlerServer([Answer(status=400)]) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        assert (letter.attempts, len(server.calls)) == (1, 1)


@pytest.mark.parametrize("status", [404, 401, 503])
async def test_an_unavailable_endpoint_does_not_count(
    redis_url: str, prefix: str, status: int
) -> None:
    """More failures than ``MAX_ATTEMPTS``, all the endpoint's: every call is attempt one."""
    script = [Answer(status=status)] * 5 + [Answer.reply("back")]
    async with (
        HandlerServer(script) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50, retry_max_ms=50) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "hello")
        await server.wait_for_calls(6)
        await shop.finished()
        assert server.attempts() == [1] * 6
        assert [reply.texts for reply in await shop.outbox()] == [("back",)]
        assert worker.count("attempts_postponed_total", reason="unavailable") == 5


async def test_unavailable_for_too_long_counts(redis_url: str, prefix: str) -> None:
    """After ``UNAVAILABLE_MS`` of refused connections each further one is an attempt."""
    async with (
        deployment(
            redis_url,
            prefix,
            handler=f"http://127.0.0.1:{unused_port()}/",
            max_wait_ms=50,
            unavailable_ms=300,
            retry_max_ms=60,
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        assert letter.attempts == 3
        assert "no connection" in letter.error
        # Of 300 ms at most 60 ms apart, at least five did not count before three did.
        assert worker.count("attempts_postponed_total", reason="unavailable") >= 5


async def test_unavailable_is_remembered_across_workers(redis_url: str, prefix: str) -> None:
    """``UNAVAILABLE_MS`` runs from the first failure on, though the worker changes."""
    async with (
        HandlerServer([Answer(status=404)]) as server,
        deployment(
            redis_url,
            prefix,
            handler=server.url,
            max_wait_ms=50,
            unavailable_ms=60_000,
            retry_max_ms=50,
        ) as shop,
    ):
        async with shop.worker():
            await shop.say("alice", "hello")
            await server.wait_for_calls(2)
        record = await shop.record("alice")
        assert record is not None
        assert record.worker == ""
        assert record.since > 0
        async with shop.worker():
            await server.wait_for_calls(len(server.calls) + 2)
        again = await shop.record("alice")
        assert again is not None
        assert again.since == record.since
        assert set(server.attempts()) == {1}


async def test_a_dead_window_can_be_replayed(redis_url: str, prefix: str) -> None:
    """Replay hands the same window over again: old id and members, a fresh count of attempts."""
    broken = [True]

    def script(call: HandlerCall) -> Answer:
        return Answer(status=500) if broken[0] else Answer.reply("sorry for the wait")

    async with (
        HandlerServer(script) as server,
        deployment(
            redis_url, prefix, handler=server.url, max_messages=2, max_wait_ms=60_000
        ) as shop,
        shop.worker() as worker,
    ):
        await shop.say("alice", "are you", "open?")
        await shop.finished()
        (letter,) = await shop.dead_letters()
        dead_calls = list(server.calls)
        assert letter.window is not None
        (letter_id,) = [kept.id for kept in await shop.letters.newest(9)]
        broken[0] = False
        await shop.say("alice", "hello?")
        assert (await shop.letters.replay(letter_id)).code is ReplayCode.REPLAYED
        await shop.finished()
        flushed, replayed = server.calls[len(dead_calls) :]
        assert (flushed.json["text"], flushed.json["closed_by"]) == ("hello?", "flush")
        assert replayed.json["closed_by"] == "replay"
        for name in ("window_id", "messages", "text", "opened_at"):
            assert replayed.json[name] == dead_calls[0].json[name]
        assert replayed.json["attempt"] == 1
        assert await shop.dead_letters() == []
        assert (await shop.letters.replay(letter_id)).code is ReplayCode.GONE
        assert await shop.backlog() == 0
        # what is counted twice is known: three messages were accepted
        assert worker.count("messages_finished_total", outcome="dead") == 2
        assert worker.count("messages_finished_total", outcome="answered") == 3
        assert worker.count("messages_replayed_total") == 2


async def test_a_replay_that_fails_is_dead_again(redis_url: str, prefix: str) -> None:
    """A replayed window has all its attempts anew, and can be replayed again."""
    async with (
        HandlerServer([Answer(status=500)]) as server,
        deployment(redis_url, prefix, handler=server.url, max_wait_ms=50, max_attempts=2) as shop,
        shop.worker(),
    ):
        await shop.say("alice", "hello")
        await shop.finished()
        (first,) = await shop.dead_letters()
        assert first.window is not None
        (letter_id,) = [kept.id for kept in await shop.letters.newest(9)]
        await shop.letters.replay(letter_id)
        await server.wait_for_calls(4)
        await shop.finished()
        (second,) = await shop.dead_letters()
        assert second.window is not None
        assert second.window.id == first.window.id
        assert texts_of(second.window) == ["hello"]
        assert server.attempts() == [1, 2, 1, 2]
