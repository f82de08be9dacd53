"""A handler (``python:tests.support.noting:note``) that answers nothing and notes each call."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

import orjson

from tests.support.backlog import calls_file

_files: list[BinaryIO] = []


async def note(window: dict[str, Any]) -> None:
    """One line for each call; ``size`` counts what its media hold."""
    if not _files:
        _files.append(calls_file().open("ab", buffering=0))
    messages = window["messages"]
    line = {
        "instance": window["instance"],
        "window_id": window["window_id"],
        "attempt": window["attempt"],
        "entry_ids": [message["entry_id"] for message in messages],
        "size": sum(len((message.get("media") or {}).get("data") or "") for message in messages),
        "late_ms": round(time.time() * 1000) - window["closed_at"],
    }
    _files[0].write(orjson.dumps(line) + b"\n")
