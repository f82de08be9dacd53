"""``inturn windows``: what gathers, what is in hand, and when each goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import as_document, doubt_name
from shared.connect import Pipe
from shared.instance_facts import is_known
from shared.keys import Keys
from shared.masking import mask_text
from shared.open_windows import (
    ENTRIES_PER_STREAM,
    Bounds,
    OpenWindow,
    OpenWindows,
    open_windows,
)
from shared.settings import load_settings
from shared.stream_heads import BYTES_PER_STREAM
from shared.trace.whereabouts import WindowState

HEAD = ("WINDOW", "INSTANCE", "STATE", "MESSAGES", "AGE", "GOES ON", "ATTEMPT", "CLOSED BY")

NOTHING = "no window is open or in hand: everything that came is finished"


def show_windows(limit: int, instance: str | None, *, as_json: bool) -> str:
    """The oldest ``limit``, of all instances or one, as a table or as data."""
    settings = load_settings()

    async def look(pipe: Pipe, keys: Keys) -> tuple[OpenWindows, bool]:
        found = await open_windows(pipe, keys, settings, Bounds(instance=instance))
        known = instance is None or await is_known(pipe, keys, settings, instance)
        return found, known

    found, known = with_store(look)
    if as_json:
        return render_json(found, limit)
    if instance is not None and not found.windows:
        said = f"no window of {instance} is open or in hand"
        return said if known else f"{said}\n{doubt_name(instance)}"
    return render_text(found, limit)


def render_text(found: OpenWindows, limit: int) -> str:
    """A row for each, how many there are of each state, and why attempts came to nothing."""
    chosen = found.windows
    if not chosen:
        return NOTHING
    lines = render_table(HEAD, [_row(one, found.now_ms) for one in chosen[:limit]])
    counts = count_states(chosen)
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items() if count))
    failing = Counter(one.error for one in chosen if one.error)
    lines += [
        f"{count} after an attempt that came to nothing: {mask_text(error)}"
        for error, count in failing.most_common()
    ]
    if len(chosen) > limit:
        lines.append(f"the oldest {limit} of {len(chosen)}; --limit shows more")
    if not found.is_whole:
        mib = BYTES_PER_STREAM // 1024 // 1024
        lines.append(
            f"of some streams only the oldest {ENTRIES_PER_STREAM} messages or {mib} MiB were"
            " looked at: inturn instances tells how much waits in them"
        )
    return "\n".join(lines)


def render_json(found: OpenWindows, limit: int) -> str:
    """The same as data; ``goes_on_in_ms`` is the countdown, 0 when it is due."""
    chosen = found.windows
    return as_document(
        {
            "at": found.now_ms,
            **count_states(chosen),
            "is_whole": found.is_whole,
            "windows": [
                {**asdict(one), "goes_on_in_ms": left_ms(one, found.now_ms)}
                for one in chosen[:limit]
            ],
        }
    )


def count_states(windows: Sequence[OpenWindow]) -> dict[str, int]:
    """How many there are of each state, also of those that none is in."""
    return {state.value: sum(one.state is state for one in windows) for state in WindowState}


def left_ms(window: OpenWindow, now_ms: int) -> int | None:
    """Until it closes or is tried again; None while a handler has it."""
    return None if window.due_at is None else max(0, window.due_at - now_ms)


def _row(one: OpenWindow, now_ms: int) -> tuple[str, ...]:
    return (
        one.window_id,
        cut(one.instance),
        one.state.value,
        str(one.messages),
        describe_age((now_ms - one.opened_at) // 1000),
        _goes_on(one, now_ms),
        "-" if one.attempt is None else str(one.attempt),
        "-" if one.closed_by is None else one.closed_by.value,
    )


def _goes_on(one: OpenWindow, now_ms: int) -> str:
    if one.paused_since is not None:
        return "when it is resumed"
    if one.behind:
        return "after the one before"
    rest_ms = left_ms(one, now_ms)
    if rest_ms is None:
        started = one.started_at
        return "-" if started is None else f"since {describe_age((now_ms - started) // 1000)}"
    return f"in {rest_ms / 1000:.1f}s" if rest_ms else "now"
