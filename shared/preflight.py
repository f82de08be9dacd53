"""
What is settled with Redis before a service takes its first message.

The number of partitions decides where a conversation's messages are, so it is written down when
the data is first created and never changes: a process that is configured otherwise would look
for messages where they are not.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from shared.broker_errors import NO_CLUSTER, NOT_LET_IN
from shared.connect import Pipe
from shared.durability import Durability, Level, durability_problems
from shared.errors import BrokerRefused, BrokerUnavailable, StartRefused
from shared.keys import LAYOUT, Keys
from shared.redis_time import time_ms_at
from shared.server_info import ServerInfo, Version
from shared.settings import Settings

META_FIELDS = ("partitions", "layout", "log_key", "created_at")

LOG_KEY_BYTES = 16

_NOT_MENDED_BY_WAITING = ("NOAUTH", "WRONGPASS", "WRONGTYPE", NO_CLUSTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """
    What a service needs to begin.

    ``log_key`` is the same for all processes on these data, so a user's keyed hash is the same
    in all their logs. ``created_at`` (ms of Redis's clock) is when the data were first written:
    other data have another one. ``version`` is the server's, of several the oldest.
    """

    keys: Keys
    log_key: bytes
    created_at: str
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """``<prefix>:meta`` as it stands, None where nothing is written yet."""

    partitions: str | None
    layout: str | None
    log_key: str | None
    created_at: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to be written."""
        return None not in (self.partitions, self.layout, self.log_key, self.created_at)


async def prepare(pipe: Pipe, settings: Settings) -> Prepared:
    """
    Check the server, and create or compare ``<prefix>:meta``.

    Nothing is written to a server that is refused, nor to one whose meta is whole: a service
    starts also while Redis is out of memory. Processes that start at once agree on one meta.

    Raises:
        StartRefused: with every problem; waiting mends none of them. The caller exits 2.
        BrokerUnavailable: no answer; try again later.
        BrokerRefused: Redis takes no reads (LOADING) or writes (OOM, READONLY); try again later.
    """
    try:
        return await _prepare(pipe, settings)
    except BrokerRefused as error:
        if error.code not in _NOT_MENDED_BY_WAITING and not is_not_permitted(error):
            raise
        raise StartRefused([_refused(error)]) from error


def _refused(error: BrokerRefused) -> str:
    if error.code in NOT_LET_IN and not is_not_permitted(error):
        return f"INTURN_REDIS_URL: Redis does not let its user in: {error}"
    rights = " (deploy/redis/users.acl has what its user needs)" if is_not_permitted(error) else ""
    return f"Redis refuses what inturn needs: {error}{rights}"


def is_not_permitted(error: BrokerRefused) -> bool:
    """Whether an ACL denied it; inside a script the code is another, and redis-py cuts it off."""
    told = str(error).lower()
    return error.code == "NOPERM" or "no permission" in told or "can't run this command" in told


async def read_meta(pipe: Pipe, keys: Keys) -> Meta:
    """What is written down about the data; all None when there are none."""
    values: list[bytes | None] = await pipe.call("HMGET", keys.meta, *META_FIELDS)
    texts = [None if value is None else value.decode(errors="replace") for value in values]
    return Meta(**dict(zip(META_FIELDS, texts, strict=True)))


def server_problems(info: ServerInfo, *, in_cluster: bool = False) -> list[str]:
    """Why inturn cannot keep its promises on this server; ``in_cluster``: so the URL says."""
    problems = []
    if info.is_too_old:
        problems.append(f"{info.name} is too old: 6.2 is the first version that can be used")
    if info.evicts:
        problems.append(
            f"Redis may evict keys (maxmemory-policy {info.eviction_policy}), and with them "
            "messages, leases and dedupe: set maxmemory-policy noeviction"
        )
    if info.is_cluster and not in_cluster:
        problems.append(
            "INTURN_REDIS_URL is one node of a Redis Cluster, which has only some of the keys: use "
            "redis+cluster://host:port[,host:port...]"
        )
    if info.is_sentinel:
        problems.append(
            "INTURN_REDIS_URL is a Sentinel, which holds no data: use the primary's, or "
            "redis+sentinel://host:port/name"
        )
    return problems


def meta_problems(meta: Meta, keys: Keys) -> list[str]:
    """Why a process configured as ``keys`` must not touch the data that ``meta`` describes."""
    problems = []
    if meta.partitions not in (None, str(keys.partitions)):
        problems.append(
            f"INTURN_PARTITIONS is {keys.partitions}, but the data under the prefix "
            f"{keys.prefix} has {meta.partitions} partitions: set INTURN_PARTITIONS to that"
        )
    if meta.layout not in (None, str(LAYOUT)):
        problems.append(
            f"the data under the prefix {keys.prefix} has layout {meta.layout}, and this version "
            f"reads layout {LAYOUT}: run the version that wrote it, or set another INTURN_PREFIX"
        )
    if meta.log_key is not None and _key_of(meta.log_key) is None:
        problems.append(f"log_key in {keys.meta} is damaged: delete that field")
    return problems


async def _prepare(pipe: Pipe, settings: Settings) -> Prepared:
    keys = Keys(settings.prefix, settings.partitions)
    servers = await pipe.servers()
    infos = [ServerInfo.parse(await server.call("INFO")) for server in servers.values()]
    problems = [
        _at(place, problem)
        for place, info in zip(servers, infos, strict=True)
        for problem in server_problems(info, in_cluster=pipe.is_cluster)
    ]
    if not pipe.is_cluster and not infos[0].holds_all_keys:
        raise StartRefused(problems)
    durability = Durability.parse(settings.durability)
    if any(info.is_replica for info in infos) and durability.level is not Level.MEMORY:
        await pipe.call("PERSIST", keys.meta)  # refused, so the pipe leaves this server
        raise BrokerRefused("READONLY", "this is a replica: its primary is to be asked")
    for place, server in servers.items():
        found = await durability_problems(durability, server.call)
        problems += [_at(place, problem) for problem in found]
    meta = await read_meta(pipe, keys)
    problems += meta_problems(meta, keys)
    if not problems and not meta.is_whole:
        meta = await create_meta(pipe, keys, secrets.token_bytes(LOG_KEY_BYTES))
        problems = meta_problems(meta, keys)
    if problems:
        raise StartRefused(problems)
    log_key = _key_of(meta.log_key or "")
    version = min(info.version for info in infos)
    if log_key is None or meta.created_at is None:
        raise BrokerUnavailable(f"{keys.meta} was deleted while it was created")
    return Prepared(keys=keys, log_key=log_key, created_at=meta.created_at, version=version)


async def create_meta(pipe: Pipe, keys: Keys, log_key: bytes) -> Meta:
    """
    Write what is not there yet; what stands there afterwards is everybody's.

    Raises:
        BrokerUnavailable, BrokerRefused: some of it may be written; call again.
    """
    wanted: dict[str, Any] = {
        "partitions": keys.partitions,
        "layout": LAYOUT,
        "log_key": log_key.hex(),
        "created_at": await time_ms_at(pipe, keys.meta),
    }
    await asyncio.gather(
        *(pipe.call("HSETNX", keys.meta, name, value) for name, value in wanted.items())
    )
    return await read_meta(pipe, keys)


def _key_of(text: str) -> bytes | None:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        return None
    return key if len(key) == LOG_KEY_BYTES else None


def _at(place: str, problem: str) -> str:
    return f"{place}: {problem}" if place else problem
