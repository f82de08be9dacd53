"""
Traces a message or a conversation: where it is, from what Redis says of it.

``search`` reads, ``evidence`` is what it found, ``locate`` judges it, and the answers are
``whereabouts``.

The reads follow the way of a message (stream, record, outbox and dead letters, journal), so that
what moves on meanwhile is met further down. Nothing is written, and no worker is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from shared.connect import Pipe
from shared.endings import REPLY_ENDS, Ending, in_order
from shared.keys import Keys
from shared.model import Entry, EntryId
from shared.on_human import mute_ms_of
from shared.record import Record
from shared.settings import Settings
from shared.steering import NOT_STEERED, connection_of
from shared.steering_store import SteeringStore
from shared.trace.evidence import Evidence, JournalRow, OutboxFound
from shared.trace.locate import MESSAGES_MAX, locate_conversation, locate_message
from shared.trace.search import Search
from shared.trace.texts import add_texts
from shared.trace.whereabouts import ConversationTrace, MessageTrace
from shared.window import Rules, match_entries, rules_for
from shared.wire import DeadLetter, OutboxReply


class Trace:
    """
    Says where things are, for people and for the status API.

    The work is bounded whatever stands in Redis (the numbers are ``search``'s): of the
    conversation's partition it reads the oldest ``SCAN_ROWS`` entries of the instance's stream,
    the newest ``SCAN_ROWS`` replies and as many dead letters, and ``JOURNAL_ROWS`` of the
    journal: for a message from its entry on, for a conversation the newest. A message that
    dedupe knows is found beyond these bounds as well, unless it was replayed into a longer
    backlog, and its ending beyond the journal. Dedupe forgets both after one to two
    ``dedupe_ms``.

    ``has_channel`` says whether a reply can leave. Without it a reply that is kept for want of a
    channel looks like one whose sending has not begun. Without ``settings`` nobody knows when a
    window is due, that a person's message mutes, or what is set at run time.
    """

    def __init__(
        self,
        pipe: Pipe,
        keys: Keys,
        has_channel: Callable[[OutboxReply], bool] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self._pipe = pipe
        self._keys = keys
        self._has_channel = has_channel
        self._settings = settings
        self._store = SteeringStore(pipe, keys)
        self._steering = NOT_STEERED

    async def message(self, instance: str, user: str, message_id: str) -> MessageTrace:
        """
        Where one message is; ``State.UNKNOWN`` when nothing tells of it.

        Raises:
            BrokerUnavailable, BrokerRefused: ask again later.
        """
        search = Search(self._pipe, self._keys.of(instance, user), instance, user)
        seen = await search.seen_message(message_id)
        since = min(seen.values(), default=None)
        endings = [] if since is None else await search.endings_of(since)
        found = await self._gather(search, instance, user, seen, endings, since)
        return locate_message(found, message_id)

    async def conversation(
        self, instance: str, user: str, *, with_texts: bool = False
    ) -> ConversationTrace:
        """
        Where everything of a user is, of the messages the newest ``MESSAGES_MAX``.

        ``with_texts``: with what they say, as far as that is still kept.

        Raises:
            BrokerUnavailable, BrokerRefused: ask again later.
        """
        search = Search(self._pipe, self._keys.of(instance, user), instance, user)
        seen, endings = await search.seen_messages()
        found = await self._gather(search, instance, user, seen, endings, None)
        located = locate_conversation(found)
        return add_texts(located, found) if with_texts else located

    async def _gather(
        self,
        search: Search,
        instance: str,
        user: str,
        seen: Mapping[bytes, EntryId],
        remembered: Iterable[Ending],
        since: EntryId | None,
    ) -> Evidence:
        """``since``: where the look at the journal begins; None: its newest rows."""
        last_read = await search.last_read()
        entries, scanned_to = await search.entries()
        record = await search.record()
        if scanned_to is not None:
            entries |= await search.entries_at(_beyond(scanned_to, seen.values(), record))
        endings = in_order(remembered)
        replies, dead, journal = await _decided(search, endings, since)
        connection = next((one.message.connection for one in entries.values()), None)
        now_ms, muted = await search.mutes(self._mute_ms(instance, connection))
        if self._settings is not None:
            self._steering = await self._store.read(self._steering)
        return Evidence(
            now_ms=now_ms,
            muted_until=muted,
            rules=self._rules(instance, connection),
            paused_since=self._paused_since(instance, connection),
            instance=instance,
            user=user,
            partition=self._keys.of(instance, user).number,
            seen=seen,
            entries=self._matched(instance, entries),
            scanned_to=scanned_to,
            last_read=last_read,
            record=record,
            outbox=await self._with_records(search, replies),
            dead=dead,
            journal=tuple(journal),
            endings=endings,
        )

    def _mute_ms(self, instance: str, connection: str | None) -> int:
        settings = self._settings
        return 0 if settings is None else mute_ms_of(settings, instance, connection)

    def _rules(self, instance: str, connection: str | None) -> Rules | None:
        """Those of now; a window that was opened under others may end otherwise."""
        settings = self._settings
        if settings is None:
            return None
        return rules_for(settings, instance, connection, self._steering)

    def _paused_since(self, instance: str, connection: str | None) -> int | None:
        settings = self._settings
        if settings is None:
            return None
        behind = connection_of(settings, instance, connection)
        return self._steering.paused_since(instance, behind)

    def _matched(self, instance: str, entries: Mapping[EntryId, Entry]) -> dict[EntryId, Entry]:
        found: Sequence[Entry] = list(entries.values())
        if self._settings is not None:
            found = match_entries(instance, found, partial(rules_for, self._settings))
        return {entry.id: entry for entry in found}

    async def _with_records(
        self, search: Search, replies: Mapping[EntryId, OutboxReply]
    ) -> dict[EntryId, OutboxFound]:
        records = await search.sending(list(replies))
        return {
            reply_id: OutboxFound(
                reply=reply,
                record=record,
                has_channel=None if self._has_channel is None else self._has_channel(reply),
            )
            for (reply_id, reply), record in zip(replies.items(), records, strict=True)
        }


async def _decided(
    search: Search, endings: Sequence[Ending], since: EntryId | None
) -> tuple[dict[EntryId, OutboxReply], dict[EntryId, DeadLetter], list[JournalRow]]:
    """Replies and dead letters, also those that only the journal or ``endings`` lead to."""
    replies, dead = await search.replies(), await search.dead_letters()
    journal = await (search.newest_journal() if since is None else search.journal_since(since))
    unsent, died = _refs(endings, "answered") | _unsent(journal), _refs(endings, "dead")
    replies |= await search.replies_at(unsent - replies.keys())
    dead |= await search.dead_letters_at((died | _refs(journal, "dead")) - dead.keys())
    return replies, dead, journal


def _beyond(scanned_to: EntryId, seen: Iterable[EntryId], record: Record | None) -> set[EntryId]:
    """The entries to ask for by id, because the look at the stream ended before them."""
    wanted = set(sorted(seen)[-MESSAGES_MAX:])
    wanted.update(record.ids if record is not None else ())
    return {entry_id for entry_id in wanted if entry_id > scanned_to}


def _refs(told: Iterable[JournalRow | Ending], what: str) -> set[EntryId]:
    """The newest replies or dead letters that the journal names, or endings do."""
    named = [one.ref for one in told if one.what == what and one.ref is not None]
    return set(named[-MESSAGES_MAX:])


def _unsent(journal: Iterable[JournalRow]) -> set[EntryId]:
    ended = {row.ref for row in journal if row.what in REPLY_ENDS}
    return _refs(journal, "answered") - ended
