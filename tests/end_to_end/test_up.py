"""``inturn up`` as a person runs it: webhooks in, one reply out, and how it starts and ends."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import aiohttp
from redis.asyncio import Redis

from shared.home import FOLDER_NAME, find_running
from tests.support.command import UpCommand
from tests.support.evolution_channel import config_for, post_texts
from tests.support.evolution_payloads import INSTANCE, PHONE
from tests.support.handler_server import Answer, HandlerCall, HandlerServer
from tests.support.machine import watched_machine
from tests.support.waiting import eventually

SENT = Answer.json({"key": {"id": "3EB0SENT"}}, status=201)
TOKEN = "planted-token"
IDLE_END_S = 3.0
"""The goal is one second; a test's limit is three times the goal."""
END_TURNS = 6
"""Of the command, of its services and of Redis, which end one after the other."""
TURNS = 12
"""Five webhooks', one after the other, then a bell's, a read's, a start's and a call's."""


def sends_to(evolution: HandlerServer) -> list[HandlerCall]:
    """The calls that sent a text: "typing" and read marks come beside them."""
    return [call for call in evolution.calls if "/sendText/" in call.path]


async def end_at_once(up: UpCommand) -> None:
    """Ctrl-C: it is gone in time, with exit code 0."""
    with watched_machine() as machine:
        began_s = time.monotonic()
        up.press_ctrl_c()
        assert await up.ended(30.0) == 0
        took_s = time.monotonic() - began_s
    assert took_s < machine.allows_s(IDLE_END_S, END_TURNS)


async def test_three_webhooks_are_one_call_and_one_reply(folder: Path, redis_folder: Path) -> None:
    """Three webhooks of one user: one handler call, one ``sendText``, and a log line for each."""
    async with (
        HandlerServer([SENT]) as evolution,
        HandlerServer([Answer.reply("Yes, until six.")]) as handler,
        UpCommand(
            folder,
            redis_folder,
            {
                "handler": handler.url,
                "max_wait_ms": 1500,
                "config": config_for(folder, evolution.url, TOKEN),
            },
        ) as up,
    ):
        await up.serving()
        await post_texts(up.url, "hi", "are you open?", "on friday I mean")
        (call,) = await handler.wait_for_calls(1)
        assert call.json["text"] == "hi\nare you open?\non friday I mean"
        assert (call.json["instance"], call.json["user"]) == (INSTANCE, PHONE)
        await eventually(lambda: sends_to(evolution), "a send")
        (send,) = sends_to(evolution)
        assert send.path == "/message/sendText/Front Desk"
        assert send.headers["apikey"] == TOKEN
        assert send.json["text"] == "Yes, until six."
        assert PHONE in send.json["number"]
        await eventually(lambda: up.events("reply.sent"), "the reply in the log")
        accepted = up.events("message.accepted")
        (opened,) = up.events("window.opened")
        joined = up.events("window.joined")
        (closed,) = up.events("window.closed")
        assert len(accepted) == 3
        assert opened["entry"] == accepted[0]["entry"] == call.json["messages"][0]["entry_id"]
        assert [line["entry"] for line in joined] == [line["entry"] for line in accepted[1:]]
        assert (closed["reason"], closed["count"]) == ("max_wait", 3)
        assert closed["window"] == up.events("reply.sent")[0]["window"] == call.json["window_id"]
        await end_at_once(up)
        assert (len(handler.calls), len(sends_to(evolution))) == (1, 1)
        for secret in (PHONE, TOKEN, "planted-api-key", "are you open", "until six"):
            assert secret not in up.output


async def test_five_webhooks_are_handled_at_once(folder: Path, redis_folder: Path) -> None:
    """The fifth message of a user closes the window long before the eight seconds are over."""
    async with (
        HandlerServer() as handler,
        UpCommand(folder, redis_folder, {"handler": handler.url}) as up,
    ):
        await up.serving()
        with watched_machine() as machine:
            began_s = time.monotonic()
            await post_texts(up.url, *"12345")
            (call,) = await handler.wait_for_calls(1)
            took_s = time.monotonic() - began_s
        assert took_s < machine.allows_s(4.0, TURNS)
        assert call.json["text"] == "1\n2\n3\n4\n5"
        assert call.json["closed_by"] == "max_messages"


async def test_a_webhook_sent_twice_is_one_message(folder: Path, redis_folder: Path) -> None:
    """What the provider sends again after a lost answer is not handed over again."""
    async with (
        HandlerServer() as handler,
        UpCommand(folder, redis_folder, {"handler": handler.url, "max_wait_ms": 800}) as up,
    ):
        await up.serving()
        await post_texts(up.url, "hi")
        await post_texts(up.url, "hi")
        (call,) = await handler.wait_for_calls(1)
        assert call.json["text"] == "hi"
        assert len(up.events("message.accepted")) == 1


async def test_what_was_accepted_survives_a_restart(folder: Path, redis_folder: Path) -> None:
    """Messages that gather when Ctrl-C comes are handled by the next ``up`` of the folder."""
    async with HandlerServer() as handler:
        settings = {"handler": handler.url, "max_wait_ms": 1500}
        # however long it takes to end, no window closes before
        patient = {**settings, "max_wait_ms": 60_000}
        async with UpCommand(folder, redis_folder, patient) as up:
            await up.serving()
            await post_texts(up.url, "hi", "there")
            await end_at_once(up)
        assert handler.calls == []
        async with UpCommand(folder, redis_folder, settings) as up:
            await up.serving()
            (call,) = await handler.wait_for_calls(1)
        assert call.json["text"] == "hi\nthere"


async def test_both_services_tell_of_the_store(folder: Path, redis_folder: Path) -> None:
    """What is in Redis, and that everything is gone, stands in the metrics of both."""
    async with UpCommand(folder, redis_folder, {}) as up:
        await up.serving()

        async def both_show(line: str) -> bool:
            return all([line in await scrape(port) for port in (up.port, up.consumer_port)])

        await eventually(lambda: both_show("\ninturn_backlog_messages 0.0\n"), "the survey")
        running = find_running(folder / FOLDER_NAME)
        assert running is not None
        assert running.redis_url is not None
        async with Redis.from_url(running.redis_url) as redis:
            await redis.flushall()
        await eventually(lambda: both_show("\ninturn_data_lost_total 1.0\n"), "the loss")


async def scrape(port: int) -> str:
    """What a service shows on ``/metrics``."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        return await answer.text()


async def test_it_names_a_playground_that_is_there(folder: Path, redis_folder: Path) -> None:
    """Without any setting, and before all else: the first thing that one can try."""
    async with UpCommand(folder, redis_folder, {}) as up, aiohttp.ClientSession() as session:
        await up.serving()
        told = up.output.partition("inturn listens on")[2]
        assert told.index(f"{up.url}/playground\n") < told.index("curl")
        async with session.get(f"{up.url}/playground") as answer:
            assert answer.status == 200
        async with session.get(f"{up.url}/api/v1/playground") as answer:
            assert (await answer.json())["handler"] == "echo"


async def test_ctrl_c_ends_it_when_idle(folder: Path, redis_folder: Path) -> None:
    """An idle ``up`` is gone soon after Ctrl-C, with exit code 0 and no traceback."""
    async with UpCommand(folder, redis_folder, {}) as up:
        await up.serving()
        await end_at_once(up)
        assert "Traceback" not in up.output


async def test_a_port_in_use_is_refused(folder: Path, redis_folder: Path) -> None:
    """Exit 2, and the message names the setting and the port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with UpCommand(folder, redis_folder, {"port": port}) as up:
            assert await up.ended(20.0) == 2
            assert "INTURN_PORT" in up.output
            assert str(port) in up.output
            assert "Traceback" not in up.output


async def test_every_wrong_setting_is_named(folder: Path, redis_folder: Path) -> None:
    """Three wrong settings are three lines of one message, and exit 2."""
    wrong = {"max_wait_ms": "soon", "max_messages": 0, "no_such_thing": 1}
    async with UpCommand(folder, redis_folder, wrong) as up:
        assert await up.ended(20.0) == 2
        for name in ("INTURN_MAX_WAIT_MS", "INTURN_MAX_MESSAGES", "INTURN_NO_SUCH_THING"):
            assert name in up.output
        assert "Traceback" not in up.output


async def test_a_handler_that_cannot_be_loaded_is_refused(folder: Path, redis_folder: Path) -> None:
    """A handler that cannot be imported ends ``up`` with exit 2 and the setting's name."""
    async with UpCommand(folder, redis_folder, {"handler": "python:no_such:thing"}) as up:
        assert await up.ended(20.0) == 2
        assert "INTURN_HANDLER" in up.output
        assert "Traceback" not in up.output


async def test_a_second_up_is_refused(folder: Path, redis_folder: Path) -> None:
    """The second one in a folder says who runs there, and leaves the first alone."""
    async with UpCommand(folder, redis_folder, {}) as up:
        await up.serving()
        async with UpCommand(folder, redis_folder, {}) as second:
            assert await second.ended(20.0) == 2
            assert "already running" in second.output
            assert str(up.port) in second.output
        assert not up.has_ended
