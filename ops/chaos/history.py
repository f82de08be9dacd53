"""
The stream's own history, out of Redis's append-only file: every entry that ever was, by its id.

The file holds what scripts *did* (``XADD`` with its id), also of entries that are long deleted, so
the raw stream is seen as it was, without asking anything that is judged and without MONITOR.
Rewrites of the file must be off. Key names are read by their words, not by the product's code.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import orjson

from ops.chaos.asking import asks_of
from ops.chaos.cutter import Raw
from ops.chaos.evidence import Who

_LENGTH = rb"\r\n\$\d+\r\n"


@dataclass(slots=True, kw_only=True)
class History:
    """Every entry by user in the order of their ids, and the replies put into outboxes."""

    raw: dict[Who, list[Raw]] = field(default_factory=lambda: defaultdict(list))
    outbox: Counter[str] = field(default_factory=Counter)


def append_only_files(data: Path) -> list[Path]:
    """The files that hold commands, oldest first, where 6.2 and where 7 have them."""
    newer = sorted(
        (data / "appendonlydir").glob("*.incr.aof"), key=lambda p: int(p.name.split(".")[-3])
    )
    older = data / "appendonly.aof"
    return newer or ([older] if older.exists() else [])


def read_history(data: Path, prefix: str) -> History:
    """What the append-only files in ``data`` tell of the deployment ``prefix``."""
    name = re.escape(prefix.encode()) + rb":\{\d+\}:"
    added = re.compile(
        rb"\$4\r\nXADD" + _LENGTH + name + rb"(stream:[^\r]*|outbox)" + _LENGTH +
        # options such as MAXLEN stand before the id, in a version with a bug
        rb"(?:(?:MAXLEN|MINID|=|~|\d+)" + _LENGTH + rb")*?" +
        rb"(\d+)-(\d+)" + _LENGTH + rb"m" + _LENGTH + rb"([^\r]*)\r\n"
    )  # fmt: skip
    history = History()
    for path in append_only_files(data):
        for kind, ms, seq, value in added.findall(path.read_bytes()):
            body = orjson.loads(value)
            if kind == b"outbox":
                history.outbox[body["window_id"]] += 1
            else:
                instance = unquote(kind.decode().removeprefix("stream:"))
                _add(history, instance, Raw(int(ms), int(seq), ""), body)
    for entries in history.raw.values():
        entries.sort()
    return history


def _add(history: History, instance: str, at: Raw, body: dict[str, object]) -> None:
    window = body.get("window")
    if isinstance(window, dict):
        who = (instance, str(window["user"]))
        raw = at._replace(message_id=str(window["window_id"]), is_replay=True)
    else:
        who = (instance, str(body["user"]))
        asks = asks_of(str(body.get("text", "")))
        raw = at._replace(message_id=str(body["message_id"]), asks=asks)
    history.raw[who].append(raw)
