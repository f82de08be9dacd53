"""
Which slot a key is in, and where the keys stand in a command. Pure.

Only commands that inturn uses are known: one that is not here is a mistake of ours, and named.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

SLOTS = 16384

Key = str | bytes


def slot_of(key: Key) -> int:
    """The slot of a key: of what stands between its first braces, if anything does."""
    text = key if isinstance(key, str) else key.decode(errors="surrogateescape")
    begin = text.find("{")
    if begin >= 0:
        end = text.find("}", begin + 1)
        if end > begin + 1:
            text = text[begin + 1 : end]
    return _slot_of_tag(text)


@lru_cache(maxsize=4096)
def _slot_of_tag(tag: str) -> int:
    # Redis's CRC16 is the one of XMODEM, which is this one from 0
    return crc_hqx(tag.encode(errors="surrogateescape"), 0) % SLOTS


def slot_of_all(keys: Sequence[Key], command: str) -> int:
    """
    The one slot of all ``keys``.

    Raises:
        ValueError: there is none, and ``command`` cannot be run.
    """
    slots = {slot_of(key) for key in keys}
    if len(slots) != 1:
        what = "keys of several slots" if slots else "no key"
        raise ValueError(f"{command} names {what}: {list(keys)[:5]}")
    return slots.pop()


def keys_of(command: Sequence[Any]) -> Sequence[Key]:
    """
    The keys that a command names.

    Raises:
        ValueError: it names none, or it is unknown where they stand.
    """
    find = _KEYS.get(command[0])
    if find is None:
        raise ValueError(
            f"{command[0]}: it is not known where its keys stand; what names none is asked "
            "by call_at or call_everywhere"
        )
    return find(command)


def _first(command: Sequence[Any]) -> Sequence[Key]:
    return command[1:2]


def _second(command: Sequence[Any]) -> Sequence[Key]:
    return command[2:3]


def _all(command: Sequence[Any]) -> Sequence[Key]:
    return command[1:]


def _counted(command: Sequence[Any]) -> Sequence[Key]:
    return command[2 : 2 + int(command[1])]


def _counted_behind(command: Sequence[Any]) -> Sequence[Key]:
    return command[3 : 3 + int(command[2])]


def _streams(command: Sequence[Any]) -> Sequence[Key]:
    rest = command[command.index("STREAMS") + 1 :]
    return rest[: len(rest) // 2]


_OF_ONE_KEY = (
    "GET SET INCR TYPE PTTL PEXPIRE PERSIST HDEL HEXISTS HGET HGETALL HINCRBY HLEN HMGET HSCAN "
    "HSET HSETNX LLEN LPUSH LRANGE LTRIM RPUSH SADD SCARD SISMEMBER SMEMBERS SREM SSCAN XACK "
    "XADD XDEL XLEN XPENDING XRANGE XREVRANGE XTRIM XAUTOCLAIM ZADD ZCARD ZRANGE ZREM ZSCORE"
)

_KEYS: dict[str, Callable[[Sequence[Any]], Sequence[Key]]] = {
    **dict.fromkeys(_OF_ONE_KEY.split(), _first),
    **dict.fromkeys(("DEL", "EXISTS", "UNLINK"), _all),
    **dict.fromkeys(("XGROUP", "XINFO"), _second),
    **dict.fromkeys(("EVAL", "EVALSHA"), _counted_behind),
    **dict.fromkeys(("XREAD", "XREADGROUP"), _streams),
    "ZUNION": _counted,
}
