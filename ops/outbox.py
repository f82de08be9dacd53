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
from shared.reply_face import reply_face
from shared.unsent import (
    DISCARD_SAYS,
    RESEND_SAYS,
    DiscardCode,
    ReplyId,
    ResendCode,
    Unsent,
    UnsentReply,
)

HEAD = ("ID", "AGE", "INSTANCE", "WINDOW", "STATE", "ATTEMPTS", "TEXTS", "WHY")


def list_replies(limit: int, *, every: bool, as_json: bool) -> str:
    """The newest, newest first: those that wait for a person, or ``every`` one."""

    async def look(pipe: Pipe, keys: Keys) -> str:
        page = await Unsent(pipe, keys).page(limit, None, every=every)
        if as_json:
            faces = [reply_face(one) for one in page.replies]
            return as_document({"undecided": page.undecided, "replies": faces})
        now_s = await time_ms_at(pipe, keys.meta) // 1000
        return render_list(page.replies, undecided=page.undecided, now_s=now_s)

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
            telling.say(str(reply_id), RESEND_SAYS[codes[-1]], outcome=codes[-1].name.lower())
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
            telling.say(str(reply_id), DISCARD_SAYS[codes[-1]], outcome=codes[-1].name.lower())
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
