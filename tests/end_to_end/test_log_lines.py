"""The log of a running ``up``: each step of a burst is a line, and no line tells who or what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from shared.home import FOLDER_NAME, find_running
from tests.support.command import UpCommand
from tests.support.evolution_channel import config_for, post_texts
from tests.support.evolution_payloads import INSTANCE, PHONE
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.waiting import eventually

SENT = Answer.json({"key": {"id": "3EB0SENT"}}, status=201)
TOKEN = "planted-token"
REFUSED_PHONE = "5511987650002"


def answer(call: HandlerCall) -> Answer:
    """The first attempt fails; one user is never answered."""
    if call.json["user"] == REFUSED_PHONE:
        return Answer(status=422)
    if call.json["attempt"] == 1:
        return Answer(status=500, body=b"cannot answer: on friday I mean")
    return Answer.reply("Yes, until six.")


def lines_of(up: UpCommand, **facts: Any) -> list[dict[str, Any]]:
    """The lines that have these facts."""
    return [line for line in up.lines() if facts.items() <= line.items()]


async def test_a_burst_can_be_followed_from_line_to_line(folder: Path, redis_folder: Path) -> None:
    """By the window's id, and by entry ids before it; the levels are those of ``up``."""
    async with (
        HandlerServer([SENT]) as evolution,
        HandlerServer(answer) as handler,
        UpCommand(
            folder,
            redis_folder,
            {
                "handler": handler.url,
                "max_wait_ms": 1500,
                "retry_base_ms": 100,
                "config": config_for(folder, evolution.url, TOKEN),
            },
        ) as up,
    ):
        await up.serving()
        await post_texts(up.url, "hi", "are you open?", "on friday I mean")
        await post_texts(up.url, "hi")
        await post_texts(up.url, "how are you", user=REFUSED_PHONE)
        await eventually(lambda: up.events("reply.sent"), "the reply in the log")
        await eventually(lambda: up.events("window.dead"), "the other one given up")

        (opened, _) = up.events("window.opened")
        steps = lines_of(up, window=opened["window"])
        assert [line["event"] for line in steps] == [
            "window.opened",
            "window.joined",
            "window.joined",
            "window.closed",
            "handler.retry",
            "window.finished",
            "reply.sent",
        ]
        assert {line["level"] for line in steps} == {"info"}
        entries = [line["entry"] for line in steps if "entry" in line]
        ours = [line for line in up.events("message.accepted") if line["user"] == opened["user"]]
        assert [line["entry"] for line in ours] == entries
        assert [line["entry"] for line in up.events("message.duplicate")] == entries[:1]
        (dead,) = up.events("window.dead")
        assert dead["user"] != opened["user"]
        assert dead["level"] == "error"
        assert_nothing_told(up)


def assert_nothing_told(up: UpCommand) -> None:
    """Neither who wrote nor what, nor with which secrets."""
    for told in (
        PHONE,
        REFUSED_PHONE,
        "friday",
        "until six",
        "how are you",
        TOKEN,
        "planted-api-key",
    ):
        assert told not in up.output


async def test_leases_are_told_by_name(folder: Path, redis_folder: Path) -> None:
    """Had, lost, had again and given back: what a partition's owner goes through."""
    settings = {"log_level": "debug", "partitions": 1}
    async with UpCommand(folder, redis_folder, settings) as up:
        await up.serving()
        running = find_running(folder / FOLDER_NAME)
        assert running is not None
        assert running.redis_url is not None
        async with Redis.from_url(running.redis_url) as redis:
            assert await redis.delete("inturn:{0}:lease") == 1
        await eventually(lambda: len(up.events("lease.acquired")) == 2, "the lease again")
        await post_texts(up.url, "are you open?")
        up.press_ctrl_c()
        await eventually(lambda: up.has_ended, "its end")
        leases = [line for line in up.lines() if line["event"].startswith("lease.")]
        assert [(line["event"], line["level"]) for line in leases] == [
            ("lease.acquired", "debug"),
            ("lease.lost", "warning"),
            ("lease.acquired", "debug"),
            ("lease.released", "debug"),
        ]
        assert {line["partition"] for line in leases} == {0}
        assert lines_of(up, event="message.accepted", instance=INSTANCE)
        assert_nothing_told(up)
