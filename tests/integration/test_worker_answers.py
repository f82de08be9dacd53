"""What handlers answer, through a worker: one reply to the user, and all of it in the status."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.handlers import Call
from shared.handlers.echo import EchoHandler
from shared.mutes import Mutes
from tests.support.deployment import deployment
from tests.support.handler_server import Answer, HandlerServer
from tests.support.pipes import running_pipe

PROSE = "مرحباً! نحتاج إلى رقم الحجز قبل أن نكمل."
BOOKED = {"response": PROSE, "needsDataCollection": True, "requestedFields": ["booking"]}


async def test_prose_and_the_same_in_json_is_said_once(redis_url: str, prefix: str) -> None:
    """What a model says twice the user reads once; its other fields are in the status."""
    text = f"{PROSE}\n\n```json\n{json.dumps(BOOKED, ensure_ascii=False)}\n```"
    answer = Answer(body=text.encode(), content_type="text/plain; charset=utf-8")
    async with HandlerServer([answer]) as handler:
        changes = {"handler": handler.url, "mode": "pass_through"}
        async with deployment(redis_url, prefix, **changes) as shop, shop.worker():
            await shop.say("alice", "hello")
            await shop.finished()
            [reply] = await shop.outbox()
    assert reply.texts == (PROSE,)
    assert reply.metadata == {"needsDataCollection": True, "requestedFields": ["booking"]}


async def test_an_answer_without_a_reply_is_counted_and_told(redis_url: str, prefix: str) -> None:
    """A workflow's status message reaches no user, and whoever runs it sees why."""
    answers = [Answer.json({"message": "Workflow was started"}), Answer(status=204)]
    async with HandlerServer(answers) as handler:
        changes = {"handler": handler.url, "mode": "pass_through"}
        async with deployment(redis_url, prefix, **changes) as shop, shop.worker() as worker:
            with capture_logs() as lines:
                await shop.say("alice", "one", "two")
                await handler.wait_for_calls(2)
                await shop.finished()
            assert [row["what"] for row in await shop.journal()] == ["silent", "silent"]
            assert await shop.outbox() == []
            assert worker.count("answers_without_reply_total") == 1
    [told] = [line for line in lines if line["event"] == "answer.no_reply"]
    assert told["reason"] == "no reply field; fields: message"
    assert (told["log_level"], told["instance"]) == ("warning", "shop")


async def test_a_window_that_is_left_to_a_person_is_told(redis_url: str, prefix: str) -> None:
    """Whoever wonders at info why a user gets no answer finds the window and its outcome."""
    async with HandlerServer() as handler:
        changes = {"handler": handler.url, "mode": "pass_through"}
        async with (
            deployment(redis_url, prefix, **changes) as shop,
            shop.worker(),
            running_pipe(redis_url) as pipe,
        ):
            await Mutes(pipe, shop.keys).mute("shop", "alice", 60_000)
            with capture_logs() as lines:
                await shop.say("alice", "one")
                await shop.say("bob", "one", with_human=True)
                await shop.say("carol", "one")
                await shop.finished()
            assert [call.json["user"] for call in handler.calls] == ["carol"]
    told = [line for line in lines if line["event"] == "window.finished"]
    assert {
        (line["user"], line["outcome"], line["log_level"]) for line in told if "user" in line
    } == {
        ("alice", "muted", "info"),
        ("bob", "with_human", "info"),
    }
    assert [line["log_level"] for line in told if line["outcome"] == "silent"] == ["debug"]


class Untold(Exception):
    """One whose text is asked for in vain."""

    def __str__(self) -> str:
        raise self


async def untold(_: Any) -> str:
    """A handler's function that raises one."""
    raise Untold


@pytest.mark.parametrize("handler", ["echo", f"python:{__name__}:untold"])
async def test_an_exception_that_cannot_be_told_ends_no_worker(
    redis_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch, handler: str
) -> None:
    """Whatever kind of handler lets it out: an attempt has failed, and others are answered."""

    async def answer(self: EchoHandler, _: Call) -> Any:
        raise Untold

    monkeypatch.setattr(EchoHandler, "answer", answer)
    changes = {"handler": handler, "mode": "pass_through", "max_attempts": 1}
    async with deployment(redis_url, prefix, **changes) as shop, shop.worker() as worker:
        await shop.say("alice", "hello")
        await shop.finished()
        [letter] = await shop.dead_letters()
        assert not worker.task.done()
    assert letter.error == "Untold: its text cannot be told (Untold)"
