"""
What a message costs a worker in Python at the least: the floor under the steps of ``cost``.

Each step is done as barely as its contract allows, in a loop of its own over few messages, so that
the processor has them at hand; nothing is checked, counted, timed, guarded or tried again. What the
worker takes beyond the sum is what its promises cost, and memory that it has to wait for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from hiredis import Reader, pack_command
from msgspec.json import Decoder

from bench.drain import WINDOW, stored_messages
from bench.report import Report
from shared.handlers import Call, call_to_dict
from shared.keys import GROUP, Keys, conversation_field, conversation_hash
from shared.model import (
    ClosedBy,
    Conversation,
    Entry,
    EntryId,
    Message,
    Window,
    WindowId,
    window_id,
)
from shared.record import encode_extent
from shared.scripts import load_script
from shared.window import freeze
from shared.wire import decode_message, encode_message
from shared.written import EntryBody

MESSAGES = 1000
PAGE = 250
BATCH = 64
REPEATS = 25

FIRST_MS = 1_700_000_000_000
INSTANCE = "instance-0"
TOKEN = "worker-2222222222222:1:1000"

Row = tuple[bytes, bytes]
"""An entry's id and value, as Redis gives them."""


async def add_floor(report: Report) -> None:
    """The least of many repeats of each step: others only add."""
    messages = list(stored_messages(MESSAGES, 1, per_user=WINDOW))
    rows = [
        (f"{FIRST_MS + number}-0".encode(), encode_message(message))
        for number, message in enumerate(messages)
    ]
    windows = list(_windows(messages))
    steps: dict[str, Callable[[], object]] = {
        "take what was read from the connection": _reading(rows),
        "decode": lambda: _decode(rows),
        "gather by user": lambda: _gather(messages),
        "name each window": lambda: _name(windows),
        "ask for its start": lambda: _start(windows),
        "make the handler's request": lambda: _make_requests(windows),
        "call the handler": lambda: _call(len(windows)),
        "ask for its finish": lambda: _finish(windows),
    }
    least = {name: await _least_s(step) for name, step in steps.items()}
    for name, seconds in least.items():
        report.add(f"floor of Python: {name}", seconds / MESSAGES * 1e6, "us/message")
    report.add("floor of Python", sum(least.values()) / MESSAGES * 1e6, "us/message")


async def _least_s(step: Callable[[], object]) -> float:
    least_s = float("inf")
    for _ in range(REPEATS):
        began_s = time.process_time()
        done = step()
        if isinstance(done, Awaitable):
            await done
        least_s = min(least_s, time.process_time() - began_s)
    return least_s


def _windows(messages: list[Message]) -> Iterator[Window]:
    """The messages in windows, as the worker would hold them."""
    gathered: dict[str, list[Entry]] = {}
    for number, message in enumerate(messages):
        own = decode_message(INSTANCE, encode_message(message))
        entry = Entry(id=EntryId(FIRST_MS + number, 0), message=own)
        gathered.setdefault(message.user, []).append(entry)
    for entries in gathered.values():
        yield freeze(entries, ClosedBy.MAX_MESSAGES, entries[-1].id.ms)


def _reading(rows: list[Row]) -> Callable[[], object]:
    """Answers of a page each, in the form that Redis writes them in."""
    pages = [rows[at : at + PAGE] for at in range(0, len(rows), PAGE)]
    answers = []
    for page in pages:
        parts = [part for row in page for part in row]
        bulks = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
        answers.append(b"*%d\r\n" % len(parts) + b"".join(bulks))

    def take() -> None:
        reader = Reader()
        for answer in answers:
            reader.feed(answer)
            reader.gets()

    return take


def _decode(rows: list[Row]) -> list[tuple[EntryId, EntryBody]]:
    decode, parse = Decoder(EntryBody).decode, EntryId.parse
    return [(parse(entry_id), decode(value)) for entry_id, value in rows]


def _gather(messages: list[Message]) -> int:
    gathered: dict[Conversation, list[Message]] = {}
    closed = 0
    for message in messages:
        user = (INSTANCE, message.user)
        held = gathered.get(user)
        if held is None:
            held = gathered[user] = []
        held.append(message)
        if len(held) == WINDOW:
            del gathered[user]
            closed += 1
    return closed


def _start(windows: list[Window]) -> None:
    keys, script = Keys("inturn", 16).partition(0), load_script("start").sha
    stream = keys.stream(INSTANCE)
    for at in range(0, len(windows), BATCH):
        args: list[Any] = []
        for window in windows[at : at + BATCH]:
            ids = [f"{(i := entry.id).ms}-{i.seq}" for entry in window.entries]
            field = conversation_field(window.instance, window.user)
            args += (field, "", TOKEN, ids[0], encode_extent(window, ids))
        streams = [stream] * len(windows[at : at + BATCH])
        declared: Any = (3 + len(streams), keys.lease, keys.running, keys.muted, *streams)
        pack_command(("EVALSHA", script, *declared, TOKEN, 1, GROUP, *args))


def _name(windows: list[Window]) -> list[WindowId]:
    return [window_id(w.instance, w.user, w.entries[0].id) for w in windows]


def _make_requests(windows: list[Window]) -> list[dict[str, Any]]:
    return [call_to_dict(Call(window=window, attempt=1)) for window in windows]


async def _nothing(_request: object) -> None:
    """What the handler of the benches does."""


async def _call(windows: int) -> None:
    """A task for each call: it may be late, cancelled or left alone by itself."""
    ended: list[asyncio.Task[None]] = []
    for at in range(0, windows, BATCH):
        for _ in range(min(BATCH, windows - at)):
            asyncio.create_task(_nothing(None)).add_done_callback(ended.append)
        await asyncio.sleep(0)


def _finish(windows: list[Window]) -> None:
    keys, script = Keys("inturn", 16).partition(0), load_script("finish").sha
    stream = keys.stream(INSTANCE)
    for at in range(0, len(windows), BATCH):
        args: list[Any] = []
        seen: list[str] = []
        for window in windows[at : at + BATCH]:
            field = conversation_field(window.instance, window.user)
            hashed = conversation_hash(window.instance, window.user)
            seen += keys.both_seen_of(hashed)
            args += (field, TOKEN, str(window.entries[0].id), "silent", b"", hashed)
        streams = [stream] * len(windows[at : at + BATCH])
        declared: Any = (1 + 3 * len(streams), keys.running, *streams, *seen)
        pack_command(("EVALSHA", script, *declared, TOKEN, GROUP, 300_000, len(streams), *args))
