"""
Clients that send webhooks: ``wrk`` where it is installed, else one of our own.

wrk costs a fraction of a server's CPU. Our own costs about as much as a server, on the same
cores, so every ratio it measures is nearer to 1 than it is; the report says which one it was.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orjson

from bench.figures import percentile
from bench.payloads import (
    HEADERS,
    INSTANCE,
    PATH,
    SECRET,
    TEXT,
    WebhookTemplate,
    message_digits,
    user_digits,
    webhook_template,
)
from bench.report import Void
from bench.servers import HOST

USERS = 10_000

WRK_NUMBERS = 1_000_000
"""Message numbers set apart for one call of wrk: more than it can send."""

OK, ACCEPTED = 200, 202

API_PATH = "/api/v1/messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a client saw: answered requests, those of them that were not 2xx, and its times."""

    answered: int
    refused: int
    seconds: float
    p99_ms: float

    @property
    def per_s(self) -> float:
        """Answered requests in a second."""
        return self.answered / self.seconds


class Webhooks:
    """Numbers the messages of a bench, so that each is new, whoever sends it."""

    def __init__(self, *, users: int = USERS) -> None:
        self.users = users
        self.template: WebhookTemplate = webhook_template()
        self._next = 0

    def take(self, count: int) -> int:
        """Reserve ``count`` numbers; the first one."""
        first, self._next = self._next, self._next + count
        return first

    def body(self, number: int) -> bytes:
        """The webhook of message ``number``."""
        return self.template.body(self.user(number), number)

    def bulk(self, first: int, count: int) -> bytes:
        """Several messages of ours in one request of the API, from number ``first`` on."""
        messages = [
            {
                "instance": INSTANCE,
                "user": user_digits(self.user(number)),
                "text": TEXT,
                "message_id": message_digits(number),
            }
            for number in range(first, first + count)
        ]
        return orjson.dumps({"messages": messages})

    def user(self, number: int) -> int:
        """Who wrote message ``number``: looks chosen by chance, and is the same every time."""
        return zlib.crc32(b"%d" % number) % self.users


class Connection:
    """One HTTP/1.1 connection that posts webhooks, one after the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self._head = f" HTTP/1.1\r\nHost: {HOST}\r\n{fields}Content-Length: "

    @classmethod
    async def open(cls, port: int) -> Self:
        """Connect to a server of this machine."""
        return cls(*await asyncio.open_connection(HOST, port))

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def post(self, body: bytes, path: str = PATH) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._writer.write(f"POST {path}{self._head}{len(body)}\r\n\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        return status, await self._reader.readexactly(int(length))


Client = Callable[[int, Webhooks, int, float], Awaitable[Sent]]
"""Sends webhooks to a port over so many connections for so many seconds, as fast as it can."""


def choose_client() -> tuple[str, Client]:
    """The cheapest client there is, and its name."""
    if shutil.which("wrk"):
        return "wrk", send_with_wrk
    return "own client (wrk is not installed: the ratios are nearer to 1 than they are)", send


async def send_with_wrk(port: int, webhooks: Webhooks, connections: int, seconds: float) -> Sent:
    """
    Let wrk send. It stops hard: requests that it has not counted may have been served.

    Raises:
        Void: it failed, or a connection did.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(webhooks.template.marked())
        file.flush()
        script = Path(__file__).with_name("wrk.lua")
        command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "-s", str(script)]
        command += [f"http://{HOST}:{port}", "--", file.name, PATH, SECRET]
        command += [str(webhooks.take(WRK_NUMBERS)), str(webhooks.users)]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        output, _ = await process.communicate()
    if process.returncode != 0:
        raise Void(f"wrk ended with {process.returncode}")
    answered, refused, failed, took_s, p99 = output.decode().splitlines()[-1].split()
    if int(failed):
        raise Void(f"{failed} connections of wrk failed")
    return Sent(
        answered=int(answered),
        refused=int(refused),
        seconds=float(took_s),
        p99_ms=float(p99),
    )


async def send(port: int, webhooks: Webhooks, connections: int, seconds: float) -> Sent:
    """Send from this process; every request is waited for."""
    began_s = time.perf_counter()
    took_s: list[float] = []
    refused = 0

    async def keep_sending(connection: Connection) -> None:
        nonlocal refused
        while (sent_s := time.perf_counter()) < began_s + seconds:
            status, _ = await connection.post(webhooks.body(webhooks.take(1)))
            took_s.append(time.perf_counter() - sent_s)
            refused += status != OK

    await with_connections(port, connections, keep_sending)
    return Sent(
        answered=len(took_s),
        refused=refused,
        seconds=time.perf_counter() - began_s,
        p99_ms=percentile(took_s, 0.99) * 1000,
    )


@dataclass(slots=True)
class Paced:
    """
    What a paced sender did: the first message of each request with the answer, and how late it
    was sent.
    """

    answers: list[tuple[int, bytes]] = field(default_factory=list)
    refused: int = 0
    late_s: list[float] = field(default_factory=list)


async def send_at_rate(
    port: int, webhooks: Webhooks, *, per_s: int, seconds: float, bulk: int, connections: int = 32
) -> Paced:
    """
    Send so many messages a second, evenly; a busy server makes it late, never fewer.

    ``bulk``: how many in one request; 1: each is a webhook.
    """
    result = Paced()
    began_s = time.perf_counter()
    total = round(per_s * seconds)
    numbers: Iterator[int] = iter(range(0, total, bulk))
    first = webhooks.take(total)

    async def keep_sending(connection: Connection) -> None:
        for number in numbers:
            due_s = began_s + number / per_s
            if (pause_s := due_s - time.perf_counter()) > 0:
                await asyncio.sleep(pause_s)
            result.late_s.append(time.perf_counter() - due_s)
            at = first + number
            if bulk == 1:
                status, body = await connection.post(webhooks.body(at))
            else:
                status, body = await connection.post(webhooks.bulk(at, bulk), API_PATH)
            result.answers.append((at, body))
            result.refused += status not in (OK, ACCEPTED)

    await with_connections(port, connections, keep_sending)
    return result


async def with_connections(
    port: int, count: int, use: Callable[[Connection], Awaitable[None]]
) -> None:
    """Use so many connections side by side, each to its end."""
    opened = [await Connection.open(port) for _ in range(count)]
    try:
        await asyncio.gather(*(use(connection) for connection in opened))
    finally:
        for connection in opened:
            connection.close()
