"""``inturn instances``: each account, what shapes its windows, and what waits in it."""

from __future__ import annotations

from collections.abc import Sequence

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import as_document
from shared.instance_facts import (
    AllInstances,
    InstanceFacts,
    instance_face,
    look_at_instances,
)
from shared.keys import Keys
from shared.pipe import Pipe
from shared.settings import load_settings

HEAD = (
    "INSTANCE", "PROVIDER", "HANDLER", "MODE", "WAIT", "MESSAGES", "QUIET", "BACKLOG", "OLDEST",
    "ORPHANS",
)  # fmt: skip

NOTHING = (
    "no instance has written yet, and the settings name none: "
    "send a message, or write [instances.<name>] into the file that INTURN_CONFIG names"
)


def show_instances(*, as_json: bool) -> str:
    """All that the settings name, that were steered or that have written, as a table or data."""
    settings = load_settings()

    async def look(pipe: Pipe, keys: Keys) -> AllInstances:
        return await look_at_instances(pipe, keys, settings)

    found = with_store(look)
    if as_json:
        faces = [instance_face(one) for one in found.instances]
        return as_document({"at": found.now_ms, "instances": faces})
    return render_text(found.instances, found.now_ms // 1000)


def render_text(facts: Sequence[InstanceFacts], now_s: int) -> str:
    """The table, then the sum."""
    if not facts:
        return NOTHING
    lines = render_table(HEAD, [_row(one, now_s) for one in facts])
    total = sum(one.messages for one in facts)
    lines.append(f"{len(facts)} instances, {total} messages are not finished")
    if paused := [one.instance for one in facts if one.paused]:
        lines.append(
            f"{len(paused)} paused: their messages are kept and wait; "
            f"inturn instances resume {cut(paused[0])} goes on"
        )
    if orphans := sum(one.orphans for one in facts):
        lines.append(
            f"{orphans} of them were read by a worker that lives no more; if they stay, "
            "inturn doctor says who should take them over"
        )
    return "\n".join(lines)


def _row(one: InstanceFacts, now_s: int) -> tuple[str, ...]:
    return (
        cut(one.instance),
        one.provider or "-",
        one.handler,
        f"{one.mode}, paused" if one.paused else one.mode,
        f"{one.max_wait_ms / 1000:g}s",
        str(one.max_messages),
        f"{one.quiet_ms / 1000:g}s" if one.quiet_ms else "-",
        str(one.messages),
        "-" if one.oldest_at is None else describe_age(now_s - one.oldest_at // 1000),
        str(one.orphans),
    )
