"""
What the doctor asks each server, without judging the answers.

By INFO, for CONFIG is blocked on managed services, and by probes on keys of its own, which are
removed at once and expire by themselves if that fails.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.broker_errors import OUTAGES
from shared.cluster.node_lines import ClusterNode, parse_nodes
from shared.cluster.slots import slot_of
from shared.connect import Pipe
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import GROUP
from shared.preflight import is_not_permitted
from shared.server_info import ServerInfo

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
class ServerState:
    """
    One server's answers. ``place`` is empty for one that is alone.

    ``info`` is None where INFO is denied, ``fsync`` where CONFIG is, ``rights`` where they were not
    tried. ``skew_ms`` is Redis's clock less this machine's. ``nodes``: what a node of a cluster
    says of all of them, empty where that is denied. ``silence``: why it told nothing at all.
    """

    place: str = ""
    info: ServerInfo | None = None
    fsync: str | None = None
    skew_ms: int = 0
    rights: Rights | None = None
    has_waitaof: bool = False
    nodes: tuple[ClusterNode, ...] = ()
    needs_all_slots: bool | None = None
    silence: str | None = None

    @property
    def own(self) -> ClusterNode | None:
        """What it says of itself."""
        return next((node for node in self.nodes if node.is_myself), None)


async def examine_server(
    place: str, pipe: Pipe, prefix: str, *, probing: bool, asks_waitaof: bool
) -> ServerState:
    """
    Ask one server. Without ``probing`` nothing is written, and no command is tried that this user
    may lack. One of many that does not answer is told as such.

    Raises:
        BrokerUnavailable: no answer, of one that is alone.
        BrokerRefused: user or password is wrong.
    """
    try:
        info = await _info(pipe)
        nodes = await _nodes(pipe) if place else ()
        rights = await _probe_rights(pipe, _probe_key(prefix, nodes)) if probing else None
        coverage = await _config(pipe, "cluster-require-full-coverage") if place else None
        return ServerState(
            place=place,
            info=info,
            fsync=await _config(pipe, "appendfsync"),
            skew_ms=await _skew_ms(pipe),
            rights=rights,
            has_waitaof=asks_waitaof and await _has_waitaof(pipe),
            nodes=nodes,
            needs_all_slots=None if coverage is None else coverage == "yes",
        )
    except BrokerUnavailable as error:
        if not place:
            raise
        return ServerState(place=place, silence=str(error))


def probes(key: str) -> list[Command]:
    """Every command that inturn uses, on keys that begin with ``key``; it leaves none behind."""
    stream, names, scores, table, number, items = (f"{key}:{i}" for i in range(6))
    made = (stream, names, scores, table, number, items)
    return [
        ("PING",),
        ("TIME",),
        ("EVAL", _SCRIPT, 1, number),
        ("EVALSHA", _SCRIPT_SHA, 1, number),
        *_on_stream(stream),
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
        *_on_hash(table),
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


def _on_stream(stream: str) -> list[Command]:
    return [
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
        ("XGROUP", "SETID", stream, GROUP, 0),
        ("XGROUP", "DELCONSUMER", stream, GROUP, "probe"),
    ]


def _on_hash(table: str) -> list[Command]:
    return [
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


def _probe_key(prefix: str, nodes: Sequence[ClusterNode]) -> str:
    """One that this server has: users and their rights are each server's own."""
    own = next((node for node in nodes if node.is_myself and node.slots), None)
    while True:
        key = f"{prefix}:{{doctor-{secrets.token_hex(6)}}}"
        if own is None or own.has(slot_of(key)):
            return key


async def _probe_rights(pipe: Pipe, key: str) -> Rights:
    commands = probes(key)
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


async def _nodes(pipe: Pipe) -> tuple[ClusterNode, ...]:
    try:
        return parse_nodes(await pipe.call("CLUSTER", "NODES"))
    except BrokerRefused:
        return ()


async def _config(pipe: Pipe, name: str) -> str | None:
    try:
        answer = await pipe.call("CONFIG", "GET", name)
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
