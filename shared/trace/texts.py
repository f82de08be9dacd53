"""What a conversation's messages say, as far as it is still kept: for who asks for it."""

from __future__ import annotations

from dataclasses import replace

from shared.model import Message
from shared.trace.evidence import Evidence
from shared.trace.whereabouts import ConversationTrace


def add_texts(found: ConversationTrace, evidence: Evidence) -> ConversationTrace:
    """
    The same, with the texts of messages that are unfinished or in dead letters.

    Of what is finished nothing is kept that could be told.
    """
    entries = (*evidence.dead_members(), *evidence.members())
    texts = {entry.id: _text_of(entry.message) for entry in entries}
    return replace(
        found,
        messages=tuple(
            one if one.entry_id is None else replace(one, text=texts.get(one.entry_id))
            for one in found.messages
        ),
    )


def _text_of(message: Message) -> str:
    caption = None if message.media is None else message.media.caption
    return message.text or caption or f"({message.kind.value})"
