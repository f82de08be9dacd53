"""What the doctor asks of all servers and of the data in them, without judging the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.connect import Pipe
from shared.doctor.failing import Failing, find_failing
from shared.doctor.server import ServerState, examine_server
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.keys import Keys
from shared.live_workers import live_workers
from shared.preflight import Meta, meta_problems, read_meta
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.survey import Kept, StoreSurvey, count_kept, survey_store


@dataclass(frozen=True, slots=True, kw_only=True)
class DataState:
    """
    What is under the prefix, at one moment; ``workers`` are states by id, ``paused`` the names of
    instances.
    """

    survey: StoreSurvey
    kept: Kept
    workers: dict[str, str] = field(default_factory=dict)
    paused: tuple[str, ...] = ()
    failing: Failing = field(default_factory=Failing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """
    Everything that was asked. ``servers``: the one, or all masters of a cluster.

    ``meta`` is None where it cannot be read, ``data`` where there is none.
    """

    servers: Sequence[ServerState]
    meta: Meta | None
    meta_problems: tuple[str, ...] = ()
    data: DataState | None = None

    @property
    def is_cluster(self) -> bool:
        """Whether these are a cluster's, and asked as such."""
        return any(server.place for server in self.servers)

    @property
    def silent(self) -> list[ServerState]:
        """Those that did not answer; what is in them is not known."""
        return [server for server in self.servers if server.silence is not None]


async def examine(pipe: Pipe, settings: Settings, *, probing: bool = True) -> Examination:
    """
    Ask everything. Without ``probing`` nothing is written, and no command is tried that this user
    may lack: so a service asks, whose rights are its own.

    Raises:
        BrokerUnavailable: no answer.
        BrokerRefused: user or password is wrong.
    """
    asks_waitaof = probing or settings.durability == "fsync"
    servers = await asyncio.gather(
        *(
            examine_server(
                place, server, settings.prefix, probing=probing, asks_waitaof=asks_waitaof
            )
            for place, server in (await pipe.servers()).items()
        )
    )
    found = Examination(servers=servers, meta=None)
    try:
        return await _examine_data(pipe, settings, servers)
    except BrokerUnavailable:
        if not found.silent:
            raise
        return found


async def _examine_data(
    pipe: Pipe, settings: Settings, servers: Sequence[ServerState]
) -> Examination:
    keys = Keys(settings.prefix, settings.partitions)
    meta = await _meta(pipe, keys)
    return Examination(
        servers=servers,
        meta=meta,
        meta_problems=tuple(meta_problems(meta, keys)) if meta is not None else (),
        data=await _data(pipe, settings.prefix, meta),
    )


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
        survey, kept, workers, steering, failing = await asyncio.gather(
            survey_store(pipe, keys),
            count_kept(pipe, keys),
            live_workers(pipe, keys),
            SteeringStore(pipe, keys).read(),
            find_failing(pipe, keys),
        )
    except BrokerRefused:
        return None
    paused = tuple(steering.paused())
    return DataState(survey=survey, kept=kept, workers=workers, paused=paused, failing=failing)
