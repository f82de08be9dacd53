"""
What the doctor asks Redis, without judging the answers.

By INFO, for CONFIG is blocked on managed services, and by probes on keys of its own, which are
removed at once and expire by themselves if that fails.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.broker_errors import OUTAGES
from shared.connect import Pipe
from shared.errors import BrokerRefused
from shared.keys import GROUP, Keys
from shared.live_workers import live_workers
from shared.preflight import Meta, is_not_permitted, meta_problems, read_meta
from shared.server_info import ServerInfo
from shared.settings import Settings
from shared.survey import Kept, StoreSurvey, count_kept, survey_store

PROBE_TTL_MS = 60_000

_NOT_LET_IN = ("NOAUTH", "WRONGPASS")

_SCRIPT = "return 1"
_SCRIPT_SHA = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest()

Command = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """``denied``: commands that are not allowed. ``writes_refused``: Redis's words, or None."""

    denied: tuple[str, ...] = ()
    writes_refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataState:
    """What is under the prefix, at one moment; ``workers`` are states by id."""

    survey: StoreSurvey
    kept: Kept
    workers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """
    Everything that was asked.

    ``info`` is None where INFO is denied, ``fsync`` where CONFIG is, ``rights`` where they were not
    tried. ``skew_ms`` is Redis's clock less this machine's. ``meta`` is None where it cannot be
    read, ``data`` where there is none.
    """

    info: ServerInfo | None
    fsync: str | None
    skew_ms: int
    rights: Rights | None
    meta: Meta | None
    meta_problems: tuple[str, ...] = ()
    data: DataState | None = None
    has_waitaof: bool = False


async def examine(pipe: Pipe, settings: Settings, *, probing: bool = True) -> Examination:
    """
    Ask everything. Without ``probing`` nothing is written, and no command is tried that this user
    may lack: so a service asks, whose rights are its own.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: user or password is wrong.
    """
    info = await _info(pipe)
    rights = await _probe_rights(pipe, settings.prefix) if probing else None
    keys = Keys(settings.prefix, settings.partitions)
    meta = await _meta(pipe, keys)
    return Examination(
        info=info,
        fsync=await _fsync(pipe),
        skew_ms=await _skew_ms(pipe),
        rights=rights,
        meta=meta,
        meta_problems=tuple(meta_problems(meta, keys)) if meta is not None else (),
        data=await _data(pipe, settings.prefix, meta),
        has_waitaof=(probing or settings.durability == "fsync") and await _has_waitaof(pipe),
    )


def probes(key: str) -> list[Command]:
    """Every command that inturn uses, on keys that begin with ``key``; it leaves none behind."""
    stream, names, scores, table, number, items = (f"{key}:{i}" for i in range(6))
    made = (stream, names, scores, table, number, items)
    return [
        ("PING",),
        ("TIME",),
        ("EVAL", _SCRIPT, 1, number),
        ("EVALSHA", _SCRIPT_SHA, 1, number),
        ("XADD", stream, "MAXLEN", 1, "*", "r", 1),
        ("XGROUP", "CREATE", stream, GROUP, 0),
        ("XREADGROUP", "GROUP", GROUP, "probe", "COUNT", 1, "STREAMS", stream, ">"),
        ("XAUTOCLAIM", stream, GROUP, "probe", 0, "0-0", "COUNT", 1),
        ("XPENDING", stream, GROUP),
        ("XINFO", "CONSUMERS", stream, GROUP),
        ("XINFO", "STREAM", stream),
        ("XRANGE", stream, "-", "+", "COUNT", 1),
        ("XREVRANGE", stream, "+", "-", "COUNT", 1),
        ("XREAD", "COUNT", 1, "STREAMS", stream, "0"),
        ("XLEN", stream),
        ("XACK", stream, GROUP, "1-1"),
        ("XDEL", stream, "1-1"),
        ("XTRIM", stream, "MINID", "~", 1),
        ("XGROUP", "DELCONSUMER", stream, GROUP, "probe"),
        ("RPUSH", items, "a"),
        ("LTRIM", items, -1, -1),
        ("LRANGE", items, 0, -1),
        ("LLEN", items),
        ("SADD", names, "a"),
        ("SMEMBERS", names),
        ("SSCAN", names, 0),
        ("SREM", names, "b"),
        ("ZADD", scores, "NX", 1, "a"),
        ("ZRANGE", scores, 0, -1),
        ("ZSCORE", scores, "a"),
        ("ZUNION", 1, scores),
        ("ZREM", scores, "b"),
        ("ZREMRANGEBYSCORE", scores, 0, 0),
        ("HSET", table, "a", 1),
        ("HSETNX", table, "a", 1),
        ("HGET", table, "a"),
        ("HMGET", table, "a"),
        ("HGETALL", table),
        ("HSCAN", table, 0),
        ("HEXISTS", table, "a"),
        ("HLEN", table),
        ("HINCRBY", table, "a", 1),
        ("HDEL", table, "b"),
        ("SET", number, 1),
        ("GET", number),
        ("PERSIST", number),
        ("PTTL", number),
        ("WAIT", 0, 1),
        ("EXISTS", number),
        ("PEXPIREAT", number, int(time.time() * 1000) + PROBE_TTL_MS),
        *(("PEXPIRE", name, PROBE_TTL_MS) for name in made),
        ("UNLINK", number),
        ("DEL", *made),
        ("PUBLISH", f"{key}:6", ""),
    ]


def judge_refusals(refusals: Sequence[tuple[str, BrokerRefused]]) -> Rights:
    """What the refused probes come to; one that failed because another did tells nothing."""
    denied, writes_refused = [], None
    for name, error in refusals:
        if is_not_permitted(error) or "unknown command" in str(error).lower():
            denied.append(name)
        elif error.code in OUTAGES:
            writes_refused = f"{error.code} {error}"
    return Rights(denied=tuple(dict.fromkeys(denied)), writes_refused=writes_refused)


async def _probe_rights(pipe: Pipe, prefix: str) -> Rights:
    commands = probes(f"{prefix}:{{doctor-{secrets.token_hex(6)}}}")
    answers = await asyncio.gather(
        *(pipe.call(*command) for command in commands), return_exceptions=True
    )
    refusals = []
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, BrokerRefused):
            refusals.append((_name_of(command), answer))
        elif isinstance(answer, BaseException):
            raise answer
    return judge_refusals(refusals)


def _name_of(command: Command) -> str:
    has_subcommand = command[0] in ("XGROUP", "XINFO")
    return f"{command[0]} {command[1]}" if has_subcommand else str(command[0])


async def _info(pipe: Pipe) -> ServerInfo | None:
    try:
        return ServerInfo.parse(await pipe.call("INFO"))
    except BrokerRefused as error:
        if error.code in _NOT_LET_IN:
            raise
        return None


async def _fsync(pipe: Pipe) -> str | None:
    try:
        answer = await pipe.call("CONFIG", "GET", "appendfsync")
    except BrokerRefused:
        return None
    return answer[1].decode() if len(answer) == 2 else None


async def _has_waitaof(pipe: Pipe) -> bool:
    try:
        await pipe.call("WAITAOF", 0, 0, 1)
    except BrokerRefused:
        return False
    return True


async def _skew_ms(pipe: Pipe) -> int:
    before_s = time.time()
    try:
        seconds, micros = await pipe.call("TIME")
    except BrokerRefused:
        return 0
    return round((int(seconds) + int(micros) / 1e6 - (before_s + time.time()) / 2) * 1000)


async def _meta(pipe: Pipe, keys: Keys) -> Meta | None:
    try:
        return await read_meta(pipe, keys)
    except BrokerRefused:
        return None


async def _data(pipe: Pipe, prefix: str, meta: Meta | None) -> DataState | None:
    """By the number of partitions that is written down, whatever this shell's settings say."""
    if meta is None or not (meta.partitions or "").isdecimal():
        return None
    keys = Keys(prefix, int(meta.partitions or 0))
    try:
        survey, kept, workers = await asyncio.gather(
            survey_store(pipe, keys), count_kept(pipe, keys), live_workers(pipe, keys)
        )
    except BrokerRefused:
        return None
    return DataState(survey=survey, kept=kept, workers=workers)
