"""
``inturn spool``: what waits on this machine's disk, for the person who asks whether it is safe.

Counts only: what people wrote and who they are stays in the files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

import click

from ingest.append import RedisAppender
from ingest.forgets import Forgets
from ingest.remember import RedisMemory
from ingest.spool.refused import put_back_refused
from ingest.spool.replayer import Replayer
from ingest.spool.spool import Spool, now_ms
from ingest.spool.status import FolderStatus, look
from ops.reach import TIMEOUT_MS, find_keys, reach_redis, told_where
from ops.signals import told_of_ctrl_c
from ops.table import describe_age
from ops.told import as_document
from shared.connect import open_pipe
from shared.durability import Durability
from shared.errors import BrokerRefused, BrokerUnavailable
from shared.home import find_redis_url
from shared.log import configure_logging
from shared.metrics import IngestMetrics, InstanceLabels
from shared.settings import Settings, load_settings

HEAD = ("FOLDER", "HELD BY", "MESSAGES", "BYTES", "OLDEST", "DAMAGED", "REFUSED")


def show_spool(*, as_json: bool) -> str:
    """Every folder, as a table or as data."""
    settings = load_settings()
    found = look(settings.spool_dir, settings.prefix)
    return render_json(found) if as_json else render_text(found)


def replay_spool(*, as_json: bool) -> bool:
    """
    Replay what no process works on, also what was refused before. True: nothing is left anywhere.

    Raises:
        StartRefused: wrong settings, no Redis to be found, or no data in it.
        click.ClickException: Redis does not answer, or it refused, before anything was replayed.
    """
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, cache_loggers=False)
    replayed = 0
    if settings.spool_dir.is_dir():
        url = find_redis_url(settings)
        with told_where(url), told_of_ctrl_c():
            replayed = asyncio.run(_replay(settings, url))
        if not as_json:
            click.echo(f"replayed {replayed} messages")
    left = [one for one in look(settings.spool_dir, settings.prefix) if one.messages]
    if as_json:
        told = [asdict(one) for one in left]
        click.echo(as_document({"replayed": replayed, "left": told}))
        return not left
    for one in left:
        who = "nobody" if one.held_by is None else f"pid {one.held_by}, which replays it itself"
        click.echo(f"{one.messages} messages are left in {one.folder}, held by {who}")
    return not left


def render_text(found: Sequence[FolderStatus]) -> str:
    """The table, and the sum."""
    if not found:
        return "the spool is empty, and no process uses it"
    rows = [HEAD, *(_row(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    waiting = sum(one.messages for one in found)
    return "\n".join([*lines, f"{waiting} messages wait for Redis"])


def render_json(found: Sequence[FolderStatus]) -> str:
    """The same as data."""
    waiting = sum(one.messages for one in found)
    body = {"messages": waiting, "folders": [asdict(one) for one in found]}
    return as_document(body)


async def _replay(settings: Settings, redis_url: str) -> int:
    """The way that ingest replays, with its durability; what cannot be replayed now stays."""
    metrics = IngestMetrics(InstanceLabels(1))
    durability = Durability.parse(settings.durability)
    async with (
        reach_redis(redis_url) as looking,
        open_pipe(redis_url, timeout_ms=TIMEOUT_MS, name="ops", durability=durability) as pipe,
    ):
        keys = await find_keys(looking, settings.prefix)
        spool = Spool(
            settings.spool_dir, settings.prefix, settings.spool_max_bytes, metrics, now_ms
        )
        try:
            patient = RedisAppender(pipe, keys, settings.dedupe_ms, metrics, deadline_s=0)
            memory = RedisMemory(pipe, keys, settings.dedupe_ms, settings.retention_ms)
            forgets = Forgets(looking, keys, settings.spool_dir)
            replayer = Replayer(spool, patient, memory, metrics, forgets=forgets)
            await asyncio.to_thread(put_back_refused, settings.spool_dir, settings.prefix)
            await spool.adopt()
            replayed = 0
            try:
                for held, sealed in spool.backlog():
                    replayed += await replayer.replay_file(held, sealed)
            except (BrokerUnavailable, BrokerRefused, OSError) as error:
                click.echo(f"stopped: {error}", err=True)
            spool.drop_drained()
        finally:
            spool.close()
    return replayed


def _row(one: FolderStatus) -> tuple[str, ...]:
    return (
        one.folder,
        "nobody" if one.held_by is None else str(one.held_by),
        str(one.messages),
        str(one.size_bytes),
        "-" if one.oldest_s is None else describe_age(one.oldest_s),
        str(one.damaged),
        str(one.refused),
    )
