"""The connection that batches by itself, beside a real Redis."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from ops.chaos.processes import free_port
from shared.command import Call
from shared.errors import BrokerRefused, BrokerUnavailable, NotConnected
from tests.support.let_go import left_of
from tests.support.pipes import running_pipe


async def test_calls_of_one_turn_share_a_batch(redis_url: str, prefix: str) -> None:
    """What comes while a batch is on its way forms the next one, in the order of the calls."""
    sizes: list[int] = []
    async with running_pipe(redis_url) as pipe:
        pipe.on_batch = sizes.append
        numbers = await asyncio.gather(*(pipe.call("INCR", f"{prefix}:n") for _ in range(100)))
    assert numbers == list(range(1, 101))
    assert len(sizes) < 5


async def test_a_command_that_cannot_be_packed_fails_alone(redis_url: str, prefix: str) -> None:
    """Half a surrogate pair in one call costs nothing to those beside it."""
    async with running_pipe(redis_url) as pipe:
        answers = await asyncio.gather(
            pipe.call("SET", f"{prefix}:a", "1"),
            pipe.call("SET", f"{prefix}:b", "\udcff"),
            pipe.call("SET", f"{prefix}:c", "1"),
            return_exceptions=True,
        )
    assert isinstance(answers[1], UnicodeEncodeError)
    assert [answers[0], answers[2]] == [b"OK", b"OK"]


async def test_an_error_reply_fails_alone(redis_url: str, prefix: str) -> None:
    """A command that Redis refuses is named by its code; its neighbours get their answers."""
    async with running_pipe(redis_url) as pipe:
        await pipe.call("SET", f"{prefix}:text", "a")
        answers = await asyncio.gather(
            pipe.call("INCR", f"{prefix}:n"),
            pipe.call("XLEN", f"{prefix}:text"),
            pipe.call("INCR", f"{prefix}:n"),
            return_exceptions=True,
        )
    assert isinstance(answers[1], BrokerRefused)
    assert answers[1].code == "WRONGTYPE"
    assert [answers[0], answers[2]] == [1, 2]


async def test_calls_that_leave_together_answer_in_order(redis_url: str, prefix: str) -> None:
    """Their first error is raised; what cannot be packed keeps all of them back."""
    async with running_pipe(redis_url) as pipe:
        await pipe.call("SET", f"{prefix}:text", "a")
        counting = [("INCR", f"{prefix}:n")] * 3
        assert await pipe.call_each([]) == []
        assert await pipe.call_each(counting) == [1, 2, 3]
        with pytest.raises(BrokerRefused, match="WRONGTYPE"):
            await pipe.call_each([("XLEN", f"{prefix}:text"), *counting])
        assert await pipe.call("GET", f"{prefix}:n") == b"6"
        with pytest.raises(UnicodeEncodeError):
            await pipe.call_each([*counting, ("SET", f"{prefix}:b", "\udcff")])
        assert await pipe.call("GET", f"{prefix}:n") == b"6"


async def test_a_closed_connection_is_made_again(redis_url: str, prefix: str) -> None:
    """Whoever waits when the connection ends is told so; the next call works again."""
    async with running_pipe(redis_url) as pipe:
        connection = await pipe.call_at(f"{prefix}:n", "CLIENT", "ID")
        async with running_pipe(redis_url) as other:
            await other.call_at(f"{prefix}:n", "CLIENT", "KILL", "ID", connection)
        with pytest.raises(BrokerUnavailable):
            await pipe.call("INCR", f"{prefix}:n")
        assert await pipe.call("SET", f"{prefix}:n", 1) == b"OK"


async def test_the_timeout_is_for_the_next_answer(redis_url: str, prefix: str) -> None:
    """Answers that come one after the other are waited for, though all of them take longer."""
    async with running_pipe(redis_url, timeout_ms=2000) as pipe:
        block = ("XREAD", "BLOCK", 400, "STREAMS", f"{prefix}:bell", "$")
        assert await asyncio.gather(*(pipe.call(*block) for _ in range(6))) == [None] * 6
        with pytest.raises(BrokerUnavailable):
            await pipe.call("XREAD", "BLOCK", 20_000, "STREAMS", f"{prefix}:bell", "$")


async def test_nobody_listens() -> None:
    """A refused connection is no answer, said within the timeout."""
    async with running_pipe("redis://127.0.0.1:1/0") as pipe:
        with pytest.raises(BrokerUnavailable):
            await pipe.call("PING")


async def test_a_pipe_that_ended_takes_nothing(redis_url: str, prefix: str) -> None:
    """After its task has ended a call fails at once instead of waiting for ever."""
    async with running_pipe(redis_url) as pipe:
        assert await pipe.call("EXISTS", prefix) == 0
    with pytest.raises(BrokerUnavailable):
        await pipe.call("EXISTS", prefix)


async def test_what_waits_when_a_pipe_ends_is_told(redis_url: str, prefix: str) -> None:
    """A blocking read is not left hanging by shutdown."""
    async with running_pipe(redis_url) as pipe:
        waiting = asyncio.ensure_future(
            pipe.call("XREAD", "BLOCK", 60_000, "STREAMS", f"{prefix}:bell", "$")
        )
        while not await _is_blocked(redis_url):
            pass
    with pytest.raises(BrokerUnavailable):
        await waiting


async def _is_blocked(url: str) -> bool:
    async with running_pipe(url) as other:
        return any(b"blocked_clients:1" in one for one in await other.call_everywhere("INFO"))


async def test_a_cancellation_while_a_pipe_ends_is_heard(redis_url: str, prefix: str) -> None:
    """Whoever is ended at that very moment ends, too, and does not go on after the block."""
    went_on = False

    async def work() -> None:
        nonlocal went_on
        async with running_pipe(redis_url) as pipe:
            await pipe.call("EXISTS", prefix)
            asyncio.get_running_loop().call_soon(task.cancel)
        went_on = True

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


@pytest.mark.parametrize("is_away", [False, True], ids=["refused", "away"])
async def test_what_a_failed_call_held_is_let_go_at_once(
    redis_url: str, prefix: str, is_away: bool
) -> None:
    """A reply of megabytes that is written again and again in an outage is in memory once."""
    url = f"redis://127.0.0.1:{free_port()}" if is_away else redis_url
    async with running_pipe(url) as pipe:
        with left_of(Call) as left:
            for _ in range(3):
                with suppress(BrokerUnavailable, BrokerRefused):
                    await pipe.call("HSET", f"{prefix}:h", "lacks a value")
                with suppress(BrokerUnavailable, BrokerRefused):
                    await pipe.call_each([("HSET", f"{prefix}:h", "lacks a value")] * 2)
            await asyncio.sleep(0)  # the turn of the loop that has told the error ends
            assert left() == []


async def test_what_led_to_a_failure_names_no_frames() -> None:
    """They would hold the batch that failed, and it the failure, until a collection."""
    async with running_pipe(f"redis://127.0.0.1:{free_port()}") as pipe:
        with pytest.raises(NotConnected) as met:
            await pipe.call("PING")
        led: list[BaseException] = []
        before = met.value.__cause__
        while before is not None:
            led.append(before)
            before = before.__cause__ or before.__context__
        assert [type(one).__name__ for one in led] == ["ConnectionError", "ConnectionRefusedError"]
        assert [one.__traceback__ for one in led] == [None, None]
