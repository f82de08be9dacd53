"""
``inturn dead``: the windows given up, for the person who decides what becomes of them.

The list shows neither what people wrote nor who they are; ``show`` shows everything.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import Telling, as_document
from shared.connect import Pipe
from shared.dead_letters import EVERY, GONE, DeadLetters, ReplayCode, Replayed
from shared.kept_letters import KeptLetter, LetterId
from shared.keys import Keys
from shared.letter_face import letter_face
from shared.redis_time import time_ms_at
from shared.survey import count_kept

HEAD = ("ID", "AGE", "INSTANCE", "WINDOW", "MESSAGES", "ATTEMPTS", "ERROR")


def list_letters(limit: int, *, as_json: bool) -> str:
    """The newest letters, newest first, as a table or as data."""

    async def look(pipe: Pipe, keys: Keys) -> str:
        letters = await DeadLetters(pipe, keys).newest(limit)
        total = (await count_kept(pipe, keys)).dead_letters
        if as_json:
            return as_document(
                {"total": total, "dead_letters": [letter_face(one) for one in letters]}
            )
        now_s = await time_ms_at(pipe, keys.meta) // 1000
        return render_list(letters, total=total, now_s=now_s)

    return with_store(look)


def show_letter(letter_id: LetterId) -> str | None:
    """Everything that is kept of one letter, as JSON; None when it is not there."""

    async def look(pipe: Pipe, keys: Keys) -> str | None:
        kept = await DeadLetters(pipe, keys).show(letter_id)
        return None if kept is None else render_letter(kept)

    return with_store(look)


def replay_letters(letter_ids: Sequence[LetterId] | None, telling: Telling) -> bool:
    """Hand windows over again (None: all that there are now), oldest first. True: all were."""

    async def replay(pipe: Pipe, keys: Keys) -> bool:
        letters = DeadLetters(pipe, keys)
        codes = []
        found = _replayed_all(letters) if letter_ids is None else _replayed(letters, letter_ids)
        async for letter_id, outcome in found:
            codes.append(outcome.code)
            entry = None if outcome.entry is None else str(outcome.entry)
            facts = {"outcome": outcome.code, "entry_id": entry, "obstacle": outcome.obstacle}
            telling.say(str(letter_id), describe_replay(outcome), **facts)
        replayed = codes.count(ReplayCode.REPLAYED)
        telling.end(f"replayed {replayed} of {len(codes)}", replayed=replayed, asked=len(codes))
        return all(code is ReplayCode.REPLAYED for code in codes)

    return with_store(replay)


Outcomes = AsyncIterator[tuple[LetterId, Replayed]]


async def _replayed(letters: DeadLetters, letter_ids: Sequence[LetterId]) -> Outcomes:
    for letter_id in sorted(set(letter_ids)):
        yield letter_id, await letters.replay(letter_id)


async def _replayed_all(letters: DeadLetters) -> Outcomes:
    until, after = await letters.newest_id(), None
    while until is not None:
        page = await letters.replay_page(EVERY, until, after)
        for outcome in page.outcomes:
            yield outcome
        if page.next is None:
            return
        after = page.next


def discard_letters(letter_ids: Sequence[LetterId], telling: Telling) -> bool:
    """Delete letters for ever. True: all were there."""

    async def discard(pipe: Pipe, keys: Keys) -> bool:
        letters = DeadLetters(pipe, keys)
        found = []
        for letter_id in sorted(set(letter_ids)):
            found.append(await letters.discard(letter_id))
            outcome = "discarded" if found[-1] else "gone"
            telling.say(str(letter_id), "discarded" if found[-1] else GONE, outcome=outcome)
        telling.end("", discarded=sum(found), asked=len(found))
        return all(found)

    return with_store(discard)


def render_list(letters: Sequence[KeptLetter], *, total: int, now_s: int) -> str:
    """The table, and how many more there are."""
    if not letters:
        return "no dead letters"
    lines = render_table(HEAD, [_row(kept, now_s) for kept in letters])
    if total > len(letters):
        lines.append(f"the newest {len(letters)} of {total}; --limit shows more")
    return "\n".join(lines)


def render_letter(kept: KeptLetter) -> str:
    """A letter as it was written, under its id; what cannot be read as the text that it is."""
    try:
        stored: Any = orjson.loads(kept.raw)
    except orjson.JSONDecodeError:
        stored = kept.raw.decode(errors="backslashreplace")
    whole = {"id": str(kept.id), "not_replayable": kept.obstacle, "dead_letter": stored}
    return as_document(whole)


def describe_replay(outcome: Replayed) -> str:
    """What became of one letter, in words."""
    if outcome.code is ReplayCode.GONE:
        return GONE
    if outcome.code is ReplayCode.IMPOSSIBLE:
        return f"not replayed: {outcome.obstacle}"
    return f"replayed as entry {outcome.entry}"


def _row(kept: KeptLetter, now_s: int) -> tuple[str, ...]:
    age = describe_age(now_s - kept.id.entry.ms // 1000)
    letter = kept.letter
    if letter is None:
        return (str(kept.id), age, "?", "-", "-", "-", "cannot be read")
    window = letter.window
    return (
        str(kept.id),
        age,
        cut(letter.instance),
        "-" if window is None else window.id,
        "1" if window is None else str(len(window.members)),
        str(letter.attempts),
        cut(kept.error_kind or ""),
    )
