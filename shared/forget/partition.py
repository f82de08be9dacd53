"""
What one partition holds of a user, found page by page and deleted.

What is not the user's is only looked at. What cannot be decoded is the user's if their id stands in
it, and goes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from shared.connect import Pipe
from shared.forget.counts import Forgotten
from shared.forget.whose import Whose, is_window
from shared.keys import GROUP, Keys, conversation_field, conversation_hash
from shared.model import EntryId
from shared.scripts import load_script

PAGE = 100
"""Of entries and replies in one answer."""

PAGE_LETTERS = 8
"""Of dead letters, each of which may hold a window with media of megabytes."""

PAGE_ROWS = 1000
"""Of the journal's rows, which are short."""

REWRITE_ENTRIES = 1000
REWRITE_BYTES = 2 * 1024 * 1024
"""Of a stream that is written anew: some milliseconds, in which Redis answers nobody else."""

DELETES = 500
"""Ids in one command: Redis answers nobody else meanwhile."""


class UsersPart:
    """One user's part of the partition that they belong to."""

    def __init__(self, pipe: Pipe, keys: Keys, instance: str, user: str) -> None:
        self._pipe = pipe
        self._p = keys.of(instance, user)
        self._instance = instance
        self._user = user
        self._field = conversation_field(instance, user)
        self._whose = Whose(instance, user)

    async def forget(self, newest_ms: int) -> Forgotten:
        """
        Delete all that came until ``newest_ms`` (Redis's), and what became of it.

        After a crash anywhere in it, or a lost answer, it may be called again. Entries go first:
        from then on nothing new can become of them, and what is newer is of newer messages.

        Raises:
            BrokerUnavailable, BrokerRefused: some of it may be deleted; call again.
        """
        gone_ms, total = await self._forget_unfinished(newest_ms)
        total += await self._forget_replies(gone_ms)
        letters = [one async for one in self._own(self._p.dead, PAGE_LETTERS, gone_ms)]
        total += Forgotten(dead_letters=await self._delete(self._p.dead, letters))
        _, replayed = await self._forget_unfinished(newest_ms)
        total += replayed  # by a person, meanwhile
        if total.replies:
            await self._rewrite(self._p.outbox)
        if total.dead_letters:
            await self._rewrite(self._p.dead)
        return total + await self._forget_remembered(newest_ms)

    async def _forget_unfinished(self, newest_ms: int) -> tuple[int, Forgotten]:
        """Also when that was, in Redis's ms."""
        p = self._p
        entries = [one async for one in self._old_entries(newest_ms)]
        keys = (p.running, p.stream(self._instance), p.lease, p.bell)
        args = (GROUP, self._field, newest_ms, _joined(entries))
        script = load_script("forget_unfinished")
        now_ms, messages, records = await self._pipe.script(script, keys, args)
        return int(now_ms), Forgotten(messages=int(messages), windows=int(records))

    async def _forget_replies(self, until_ms: int) -> Forgotten:
        """And then the journal's rows: none of an old window is added any more."""
        p = self._p
        replies = [one async for one in self._own(p.outbox, PAGE, until_ms)]
        keys = (p.outbox, p.sending, p.lease, p.bell)
        script = load_script("forget_replies")
        now_ms, sends = await self._pipe.script(script, keys, (_joined(replies),))
        rows = [one async for one in self._rows(int(now_ms))]
        return Forgotten(replies=int(sends), journal=await self._delete(p.journal, rows))

    async def _forget_remembered(self, newest_ms: int) -> Forgotten:
        p, whose = self._p, (self._instance, self._user)
        keys = (*p.both_seen(*whose), p.history(*whose), p.human(*whose), p.muted)
        script, args = load_script("forget_remembered"), (self._field, newest_ms)
        ids, said, notes, mutes = await self._pipe.script(script, keys, args)
        return Forgotten(ids=int(ids), history=int(said), persons=int(notes), mutes=int(mutes))

    async def _rewrite(self, key: str) -> None:
        """Whose entries may stay for months, with what was deleted between them."""
        args = (REWRITE_ENTRIES, REWRITE_BYTES)
        await self._pipe.script(load_script("forget_rewrite"), (key,), args)

    async def _old_entries(self, newest_ms: int) -> AsyncIterator[EntryId]:
        """The user's messages until then; and windows handed over again, whenever that was."""
        stream = self._p.stream(self._instance)
        async for entry_id, value in self._pages(stream, PAGE):
            is_due = entry_id.ms <= newest_ms or is_window(value)
            if is_due and self._whose.has(value, instance=self._instance):
                yield entry_id

    async def _own(self, key: str, count: int, until_ms: int) -> AsyncIterator[EntryId]:
        async for entry_id, value in self._pages(key, count):
            if entry_id.ms <= until_ms and self._whose.has(value):
                yield entry_id

    async def _rows(self, until_ms: int) -> AsyncIterator[EntryId]:
        """The journal's rows of the conversation; a window that came meanwhile may have one."""
        who = conversation_hash(self._instance, self._user).encode()
        start = "-"
        while True:
            command = ("XRANGE", self._p.journal, start, until_ms, "COUNT", PAGE_ROWS)
            rows = await self._pipe.call(*command)
            for raw_id, values in rows:
                if who in values[1::2]:
                    yield EntryId.parse(raw_id)
            if len(rows) < PAGE_ROWS:
                return
            start = f"({rows[-1][0].decode()}"

    async def _pages(self, key: str, count: int) -> AsyncIterator[tuple[EntryId, bytes]]:
        """What stands in a stream by now; it may go on growing."""
        last = await self._pipe.call("XREVRANGE", key, "+", "-", "COUNT", 1)
        if not last:
            return
        start, end = "-", last[0][0].decode()
        while True:
            rows = await self._pipe.call("XRANGE", key, start, end, "COUNT", count)
            for raw_id, values in rows:
                value = values[1] if len(values) == 2 else b" ".join(values)
                yield EntryId.parse(raw_id), value
            if len(rows) < count:
                return
            start = f"({rows[-1][0].decode()}"

    async def _delete(self, key: str, ids: Sequence[EntryId]) -> int:
        count = 0
        for at in range(0, len(ids), DELETES):
            some = map(str, ids[at : at + DELETES])
            count += int(await self._pipe.call("XDEL", key, *some))
        return count


def _joined(ids: Sequence[EntryId]) -> str:
    return " ".join(map(str, ids))
