"""Bugs in the Lua scripts: a line is replaced before any script is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from shared import scripts
from shared.scripts import Script

_load = scripts.load_script


def replace(script: str, *pairs: tuple[str, str]) -> None:
    """
    Load ``script`` with each first text replaced by the second, from now on.

    It must be called before the services' modules are imported: they name ``load_script``.
    """

    def load(name: str) -> Script:
        loaded = _load(name)
        if name != script:
            return loaded
        source = loaded.source
        for right, wrong in pairs:
            assert right in source, f"{script}.lua has no {right!r} any more"
            source = source.replace(right, wrong, 1)
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        return Script(name, source, sha)

    module: Any = scripts
    module.load_script = load


def ack_before_handler() -> None:
    """``start`` acknowledges and deletes the entries."""
    written = "string.sub(body, 1, -2), token, worker, attempt, delay, since, failed, started))"
    acked = """
  local ids = cjson.decode(body).ids
  redis.call('XACK', stream, group, unpack(ids))
  redis.call('XDEL', stream, unpack(ids))"""
    replace("start", (written, written + acked))


def unfenced_finish() -> None:
    """``finish`` does not look at the token."""
    replace("finish", ("or record.token ~= token", ""))


def ack_before_reply() -> None:
    """``finish`` acknowledges before the reply is written, which Redis may refuse."""
    acked = """  redis.call('XACK', stream, group, unpack(record.ids))
  redis.call('XDEL', stream, unpack(record.ids))
  streams[stream], finished = is_stream, redis.call('HDEL', running, conversation)
"""
    first = "  local ids, target, is_stream = "
    replace("finish", (acked, ""), (first, acked + first))


def max_length() -> None:
    """``append`` trims the stream."""
    replace("append", ("'XADD', stream, '*'", "'XADD', stream, 'MAXLEN', '4', '*'"))


def delivery_counter() -> None:
    """``start`` takes the attempt from the group's delivery counter."""
    counted = "local attempt, delay, since, failed = 1, 0, 0"
    taken = """local row = redis.call('XPENDING', stream, group, first, first, '1')[1]
  local attempt, delay, since, failed = row and row[4] or 1, 0, 0"""
    kept = "attempt, delay, since, failed = current.attempt + 1, "
    replace("start", (counted, taken), (kept, "delay, since, failed = "))


BUGS: dict[str, Callable[[], None]] = {
    "ack before the handler": ack_before_handler,
    "unfenced finish": unfenced_finish,
    "XACK before a refused XADD": ack_before_reply,
    "MAXLEN": max_length,
    "attempts taken from the delivery counter": delivery_counter,
}
