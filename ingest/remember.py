"""Telling Redis of messages that were handled while it was away."""

from __future__ import annotations

from ingest.spool.payload import Outcome
from shared.connect import Pipe
from shared.keys import Keys, conversation_hash, message_hash
from shared.model import window_id
from shared.scripts import load_script
from shared.sent_ids import note_sent
from shared.wire import encode_reply

_REMEMBER = load_script("remember")
_KNOWN = 1


class RedisMemory:
    """Remembers outcomes; safe to call again with the same one."""

    def __init__(self, pipe: Pipe, keys: Keys, dedupe_ms: int, retention_ms: int) -> None:
        self._pipe = pipe
        self._keys = keys
        self._dedupe_ms = dedupe_ms
        self._retention_ms = retention_ms

    async def remember(self, outcome: Outcome) -> bool:
        """
        Note that its message is done, and first what was sent: its echoes may come at any time.

        A reply that is left goes into the outbox.

        False: the message is known already, by this call or as an entry, and nothing was added.

        Raises:
            BrokerUnavailable, BrokerRefused: unknown whether it was written, or not; call again.
        """
        instance, user, message_id = outcome.key
        keys = self._keys.of(instance, user)
        if outcome.sent_ids:
            await note_sent(self._pipe, keys, (instance, user), outcome.sent_ids)
        code, _ = await self._pipe.script(
            _REMEMBER,
            (
                *keys.both_seen(instance, user),
                keys.outbox,
                keys.journal,
                keys.bell,
            ),
            (
                message_hash(message_id),
                str(outcome.entry_id),
                self._dedupe_ms,
                outcome.became.value,
                b"" if outcome.reply is None else encode_reply(outcome.reply),
                window_id(instance, user, outcome.entry_id),
                conversation_hash(instance, user),
                self._retention_ms,
            ),
        )
        return int(code) != _KNOWN
