"""
``inturn outbox``: the replies that did not leave, for the person who decides what becomes of them.

The list shows neither what was answered nor to whom; ``show`` shows everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson

from ops.reach import with_store
from ops.table import cut, describe_age, render_table
from ops.told import Telling, as_document
from shared.connect import Pipe
from shared.keys import Keys
from shared.masking import mask_text
from shared.redis_time import time_ms_at
from shared.unsent import DiscardCode, ReplyId, ResendCode, Unsent, UnsentReply

HEAD = ("ID", "AGE", "INSTANCE", "WINDOW", "STATE", "ATTEMPTS", "TEXTS", "WHY")

GONE = "no such reply in the outbox: it was sent or discarded already"

_RESEND = {
    ResendCode.RELEASED: "to be sent",
    ResendCode.GONE: GONE,
    ResendCode.NOT_HELD: "waits for nobody: it is being sent, or will be by itself",
}
_DISCARD = {
    DiscardCode.DISCARDED: "discarded",
    DiscardCode.GONE: GONE,
    DiscardCode.SENDING: "not discarded: it is being sent right now",
}


def list_replies(limit: int, *, every: bool, as_json: bool) -> str:
    """The newest, newest first: those that wait for a person, or ``every`` one."""

    async def look(pipe: Pipe, keys: Keys) -> str:
        unsent = Unsent(pipe, keys)
        undecided = await unsent.undecided_ids()
        if every:
            shown = await unsent.newest(limit)
        else:
            shown = await unsent.shown(undecided[: -limit - 1 : -1])
        if as_json:
            faces = [_face(one) for one in shown]
            return as_document({"undecided": len(undecided), "replies": faces})
        now_s = await time_ms_at(pipe, keys.meta) // 1000
        return render_list(shown, undecided=len(undecided), now_s=now_s)

    return with_store(look)


def show_reply(reply_id: ReplyId) -> str | None:
    """Everything that is kept of one reply, as JSON; None when it is not there."""

    async def look(pipe: Pipe, keys: Keys) -> str | None:
        found = await Unsent(pipe, keys).show(reply_id)
        return None if found is None else render_reply(found)

    return with_store(look)


def resend_replies(reply_ids: Sequence[ReplyId] | None, telling: Telling) -> bool:
    """Have replies sent (None: all that wait for a person now), oldest first. True: all will be."""

    async def resend(pipe: Pipe, keys: Keys) -> bool:
        unsent = Unsent(pipe, keys)
        chosen = await unsent.undecided_ids() if reply_ids is None else sorted(set(reply_ids))
        codes = []
        for reply_id in chosen:
            codes.append(await unsent.resend(reply_id))
            telling.say(str(reply_id), _RESEND[codes[-1]], outcome=codes[-1].name.lower())
        released = codes.count(ResendCode.RELEASED)
        telling.end(f"to be sent: {released} of {len(chosen)}", released=released, asked=len(codes))
        return all(code is ResendCode.RELEASED for code in codes)

    return with_store(resend)


def discard_replies(reply_ids: Sequence[ReplyId], telling: Telling) -> bool:
    """Delete replies for ever. True: all were."""

    async def discard(pipe: Pipe, keys: Keys) -> bool:
        unsent = Unsent(pipe, keys)
        codes = []
        for reply_id in sorted(set(reply_ids)):
            codes.append(await unsent.discard(reply_id))
            telling.say(str(reply_id), _DISCARD[codes[-1]], outcome=codes[-1].name.lower())
        telling.end("", discarded=codes.count(DiscardCode.DISCARDED), asked=len(codes))
        return all(code is DiscardCode.DISCARDED for code in codes)

    return with_store(discard)


def render_list(replies: Sequence[UnsentReply], *, undecided: int, now_s: int) -> str:
    """The table, and how many wait for a decision."""
    lines = render_table(HEAD, [_row(one, now_s) for one in replies]) if replies else []
    return "\n".join([*lines, f"{undecided or 'no'} replies wait for a decision"])


def render_reply(found: UnsentReply) -> str:
    """A reply as it was written, and the record of its sending, under its id."""
    try:
        stored: Any = orjson.loads(found.raw)
    except orjson.JSONDecodeError:
        stored = found.raw.decode(errors="backslashreplace")
    record = None if found.record is None else asdict(found.record)
    whole = {"id": str(found.id), "state": found.state.value, "sending": record, "reply": stored}
    return as_document(whole)


def _face(found: UnsentReply) -> dict[str, Any]:
    """What the list tells of one; null where it cannot be read."""
    reply, record = found.reply, found.record
    why = "" if record is None else record.held or record.error
    return {
        "id": str(found.id),
        "at": found.id.entry.ms,
        "instance": None if reply is None else reply.instance,
        "window_id": None if reply is None else reply.window_id,
        "state": found.state,
        "attempts": 0 if record is None else record.attempt,
        "texts": None if reply is None else len(reply.texts),
        "why": mask_text(why) or None,
    }


def _row(found: UnsentReply, now_s: int) -> tuple[str, ...]:
    reply, record = found.reply, found.record
    why = "" if record is None else record.held or record.error
    if reply is None:
        why = "cannot be read"
    return (
        str(found.id),
        describe_age(now_s - found.id.entry.ms // 1000),
        "?" if reply is None else cut(reply.instance),
        "-" if reply is None else reply.window_id,
        found.state.value,
        "0" if record is None else str(record.attempt),
        "-" if reply is None else str(len(reply.texts)),
        mask_text(why),
    )
