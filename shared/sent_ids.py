"""
The ids of what we sent, remembered for a day: their echoes tell persons' answers from ours.

A provider reports every message that leaves an account. One whose id is not known here was
written by a person; unless it overtook the answer to our own call, or that answer never came. So a
send is noted before the provider is called (``send``), and with its ids when it has ended
(``note_sent``): what came in between and is none of them was a person's after all.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.connect import Pipe
from shared.keys import PartitionKeys, sent_hash
from shared.model import Conversation, Token
from shared.scripts import load_script

SPAN_MS = 86_400_000
"""An id is known for one to two days."""

DOUBT_MS = 60_000
"""How long after a send without an answer its echo is waited for."""

_KEPT_LONGER_MS = 3_600_000
"""Beyond the mute itself: longer than any send is on its way."""


def keep_ms(mute_ms: int) -> int:
    """How long to keep what is known of persons in a conversation; 0 where nobody is muted."""
    return mute_ms + _KEPT_LONGER_MS if mute_ms else 0


async def note_sent(
    pipe: Pipe,
    keys: PartitionKeys,
    conversation: Conversation,
    ids: Sequence[str],
    *,
    token: Token | str = "",
    mute_ms: int = 0,
    unsure: bool = False,
) -> bool:
    """
    Remember what was sent; with ``token`` the send of that token has ended. Safe to repeat.

    ``unsure``: something may have left whose id is not known.

    Raises:
        BrokerUnavailable, BrokerRefused: unknown whether it was written, or not; call again.
    """
    hashes = [sent_hash(*conversation, sent_id) for sent_id in ids]
    buckets = [key for hashed in hashes for key in keys.both_sent(hashed)]
    kept_ms = keep_ms(mute_ms) or _KEPT_LONGER_MS
    args = (SPAN_MS, kept_ms, token, int(unsure), DOUBT_MS, *hashes)
    await pipe.script(load_script("note_sent"), (keys.human(*conversation), *buckets), args)
    return True
