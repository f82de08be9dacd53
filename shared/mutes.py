"""
Muting by decision: a person, or a handler's answer, has the bot be silent in one conversation.

The mute stands in Redis, and holds from the moment that it is there: a window that starts later
calls no handler, and a reply that a handler makes meanwhile is not kept. A person's own message
mutes as well, where ``ON_HUMAN`` says so: ``muted_until`` of ``on_human`` tells of that.
"""

from __future__ import annotations

from shared.connect import Pipe
from shared.keys import Keys, conversation_field
from shared.on_human import MINUTES_MAX
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

    async def unmute(self, instance: str, user: str) -> None:
        """End the mute, also that of a person's message; a later message mutes again."""
        partition = self._keys.of(instance, user)
        keys = (partition.muted, partition.human(instance, user))
        args = (conversation_field(instance, user),)
        await self._pipe.script(load_script("unmute"), keys, args)
