"""
``inturn dead``: the windows given up, for the person who decides what becomes of them.

The list shows neither what people wrote nor who they are; ``show`` shows everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import Telling, as_document
from shared.connect import Pipe
from shared.dead_letters import DeadLetters, KeptLetter, LetterId, ReplayCode, Replayed
from shared.keys import Keys
from shared.masking import mask_text
from shared.redis_time import time_ms_at
from shared.survey import count_kept

HEAD = ("ID", "AGE", "INSTANCE", "WINDOW", "MESSAGES", "ATTEMPTS", "ERROR")

GONE = "no such dead letter: it was replayed or discarded already"


def list_letters(limit: int, *, as_json: bool) -> str:
    """The newest letters, newest first, as a table or as data."""

    async def look(pipe: Pipe, keys: Keys) -> str:
        letters = await DeadLetters(pipe, keys).newest(limit)
        total = (await count_kept(pipe, keys)).dead_letters
        if as_json:
            return as_document({"total": total, "dead_letters": [_face(one) for one in letters]})
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
        chosen = await letters.ids() if letter_ids is None else sorted(set(letter_ids))
        outcomes = []
        for letter_id in chosen:
            outcome = await letters.replay(letter_id)
            outcomes.append(outcome.code)
            entry = None if outcome.entry is None else str(outcome.entry)
            facts = {"outcome": outcome.code, "entry_id": entry, "obstacle": outcome.obstacle}
            telling.say(str(letter_id), describe_replay(outcome), **facts)
        replayed = outcomes.count(ReplayCode.REPLAYED)
        telling.end(f"replayed {replayed} of {len(chosen)}", replayed=replayed, asked=len(chosen))
        return all(code is ReplayCode.REPLAYED for code in outcomes)

    return with_store(replay)


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
        _error_class(letter.error),
    )


def _face(kept: KeptLetter) -> dict[str, Any]:
    """What the list tells of one; null where it cannot be read."""
    letter = kept.letter
    window = None if letter is None else letter.window
    return {
        "id": str(kept.id),
        "at": kept.id.entry.ms,
        "instance": None if letter is None else letter.instance,
        "window_id": None if window is None else window.id,
        "messages": None if window is None else len(window.members),
        "attempts": None if letter is None else letter.attempts,
        "error": None if letter is None else _error_class(letter.error),
    }


def _error_class(error: str) -> str:
    """What kind of error: behind the colon stands what a handler said, perhaps of a person."""
    return cut(mask_text(error.partition(":")[0]))
