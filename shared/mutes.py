"""
Muting by decision: a person, or a handler's answer, has the bot be silent in one conversation.

The mute stands in Redis, and holds from the moment that it is there: a window that starts later
calls no handler, and a reply that a handler makes meanwhile is not kept. A person's own message
mutes as well, where ``ON_HUMAN`` says so: ``muted_until`` of ``on_human`` tells of that.
"""

from __future__ import annotations

from shared.connect import Pipe
from shared.keys import Keys, conversation_field
from shared.on_human import MINUTES_MAX, muted_until
from shared.scripts import load_script

MUTE_MAX_MS = MINUTES_MAX * 60_000
"""A week: who wants it longer says so again."""


class Mutes:
    """
    The mutes of all conversations.

    Every method may raise ``BrokerUnavailable`` (no answer: it may have run) or ``BrokerRefused``,
    and may be called again then.
    """

    def __init__(self, pipe: Pipe, keys: Keys) -> None:
        self._pipe = pipe
        self._keys = keys

    async def mute(self, instance: str, user: str, mute_ms: int) -> int:
        """
        Mute for so long from now, whatever was decided before; until when, in Redis's ms.

        Nobody needs to have written yet. A reply that was in the outbox before still leaves.
        """
        keys = (self._keys.of(instance, user).muted,)
        args = (conversation_field(instance, user), mute_ms)
        return int(await self._pipe.script(load_script("mute"), keys, args))

    async def unmute(self, instance: str, user: str, human_ms: int = 0) -> bool:
        """
        End the mute, also that of a person's message; a later message mutes again.

        Whether it was muted: by decision, or, where a person's message mutes for ``human_ms``, by
        one. An answer that was lost, and the call again, finds it unmuted.
        """
        partition = self._keys.of(instance, user)
        keys = (partition.muted, partition.human(instance, user))
        args = (conversation_field(instance, user),)
        now_ms, until, *flat = await self._pipe.script(load_script("unmute"), keys, args)
        known = dict(zip(flat[::2], flat[1::2], strict=True))
        return max(int(until), muted_until(known, human_ms)) > int(now_ms)
