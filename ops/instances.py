"""``inturn instances``: each account, what shapes its windows, and what waits in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import as_document
from shared.backlog_by_instance import InstanceBacklog, backlog_by_instance
from shared.connect import Pipe
from shared.handlers.kinds import handler_kind
from shared.keys import Keys
from shared.live_workers import live_workers
from shared.redis_time import time_ms_at
from shared.settings import Settings, load_settings
from shared.window import rules_for

HEAD = (
    "INSTANCE", "PROVIDER", "HANDLER", "MODE", "WAIT", "MESSAGES", "QUIET", "BACKLOG", "OLDEST",
    "ORPHANS",
)  # fmt: skip

NOTHING = (
    "no instance has written yet, and the settings name none: "
    "send a message, or write [instances.<name>] into the file that INTURN_CONFIG names"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """
    One account, under the settings of who asks. ``handler`` is its kind: a URL may hold secrets.

    ``oldest_at`` (Redis's ms) is None where nothing is unfinished.
    """

    instance: str
    provider: str | None
    handler: str
    mode: str
    max_wait_ms: int
    max_messages: int
    quiet_ms: int
    messages: int
    oldest_at: int | None
    orphans: int


def show_instances(*, as_json: bool) -> str:
    """All that the settings name or that have written, the largest backlog first."""
    settings = load_settings()

    async def look(pipe: Pipe, keys: Keys) -> str:
        backlog = await backlog_by_instance(pipe, keys, await live_workers(pipe, keys))
        now_s = await time_ms_at(pipe, keys.meta) // 1000
        waiting = {one.instance: one for one in backlog}
        names = {*settings.instances, *waiting, *await _known(pipe, keys)}
        facts = [_facts(name, waiting, settings) for name in names]
        facts.sort(key=lambda one: (-one.messages, one.instance))
        return _json(facts, now_s) if as_json else render_text(facts, now_s)

    return with_store(look)


def render_text(facts: Sequence[InstanceFacts], now_s: int) -> str:
    """The table, then the sum."""
    if not facts:
        return NOTHING
    lines = render_table(HEAD, [_row(one, now_s) for one in facts])
    total = sum(one.messages for one in facts)
    lines.append(f"{len(facts)} instances, {total} messages are not finished")
    if orphans := sum(one.orphans for one in facts):
        lines.append(
            f"{orphans} of them were read by a worker that lives no more; if they stay, "
            "inturn doctor says who should take them over"
        )
    return "\n".join(lines)


async def _known(pipe: Pipe, keys: Keys) -> set[str]:
    """Who has a stream: it is kept for ``DEDUPE_MS`` after its last message."""
    parts = [keys.partition(number) for number in range(keys.partitions)]
    found = await asyncio.gather(*(pipe.call("SMEMBERS", part.streams) for part in parts))
    return {name.decode() for names in found for name in names}


def _facts(name: str, waiting: Mapping[str, InstanceBacklog], settings: Settings) -> InstanceFacts:
    own, rules, backlog = settings.instance(name), rules_for(settings, name), waiting.get(name)
    return InstanceFacts(
        instance=name,
        provider=own.provider,
        handler=handler_kind(own.handler or settings.handler),
        mode="pass_through" if rules.pass_through else "window",
        max_wait_ms=rules.max_wait_ms,
        max_messages=rules.max_messages,
        quiet_ms=rules.quiet_ms,
        messages=0 if backlog is None else backlog.messages,
        oldest_at=None if backlog is None else backlog.oldest_at,
        orphans=0 if backlog is None else backlog.orphans,
    )


def _row(one: InstanceFacts, now_s: int) -> tuple[str, ...]:
    return (
        cut(one.instance),
        one.provider or "-",
        one.handler,
        one.mode,
        f"{one.max_wait_ms / 1000:g}s",
        str(one.max_messages),
        f"{one.quiet_ms / 1000:g}s" if one.quiet_ms else "-",
        str(one.messages),
        "-" if one.oldest_at is None else describe_age(now_s - one.oldest_at // 1000),
        str(one.orphans),
    )


def _json(facts: Sequence[InstanceFacts], now_s: int) -> str:
    return as_document({"at": now_s * 1000, "instances": [asdict(one) for one in facts]})
