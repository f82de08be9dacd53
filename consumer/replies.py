"""
A partition's replies in its owner's memory: what waits, is on its way, or is kept.

One user's replies leave in order, one at a time. A reply without a channel (no provider, or no
credentials for it) is kept to be read through the API until ``retention_ms`` are over.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from shared.metrics import ConsumerMetrics
from shared.model import Conversation, EntryId
from shared.record import SendRecord
from shared.wire import OutboxReply

FOREIGN_CHECK_S = 1.0
"""How often the sends of other workers are looked at again."""

HELD_CHECK_S = 10.0
"""How often held replies are looked at again though no bell rings: a ring may be lost."""

KEPT_CHECK_S = 10.0
"""How often kept replies are held against Redis's time: so much longer than set they may stay."""


@dataclass(slots=True, eq=False)
class Item:
    """
    A reply in the owner's memory: whose it is, for which window. Its texts stand in the outbox, so
    that a provider which is away for hours costs no memory to speak of.

    ``fresh``: not seen before by this owner or another. ``unsure``: it may have been sent, for its
    record could not be read.
    """

    id: EntryId
    reply: OutboxReply
    record: SendRecord | None
    fresh: bool
    unsure: bool = False

    @property
    def has_failed(self) -> bool:
        """Whether its provider refused it."""
        return self.record is not None and self.record.has_failed


class Outbox:
    """The unsent replies of one partition, by conversation, as its owner has read them."""

    def __init__(self) -> None:
        self.last: EntryId | None = None
        self.foreign: dict[EntryId, Item] = {}
        self.kept: deque[Item] = deque()
        self.held: dict[EntryId, Item] = {}
        self._queues: dict[Conversation, deque[Item]] = {}
        self._heads: deque[Item] = deque()
        self._backoff: list[tuple[float, int, Item]] = []
        self._serial = itertools.count()

    def add(self, item: Item) -> None:
        """A reply that was read from the outbox; the first of its user comes up at once."""
        self.last = item.id
        conversation = (item.reply.instance, item.reply.user)
        queue = self._queues.setdefault(conversation, deque())
        queue.append(item)
        if len(queue) == 1:
            self._heads.append(item)

    def take_heads(self) -> list[Item]:
        """The replies that come up: each the first of its user, each handed out once."""
        heads = list(self._heads)
        self._heads.clear()
        return heads

    def put_back(self, item: Item) -> None:
        """A head that was not dealt with after all comes up again."""
        self._heads.append(item)

    def leave(self, item: Item) -> None:
        """A reply is sent, kept or held: the user's next one comes up."""
        conversation = (item.reply.instance, item.reply.user)
        queue = self._queues.get(conversation)
        if not queue or queue[0] is not item:
            return
        queue.popleft()
        if queue:
            self._heads.append(queue[0])
        else:
            del self._queues[conversation]

    def hold(self, item: Item) -> None:
        """A reply waits for a person: the user's next one comes up."""
        self.leave(item)
        self.held[item.id] = item

    def release(self, item: Item) -> None:
        """A held reply is to be sent: before the user's later ones, but for one that came up."""
        del self.held[item.id]
        queue = self._queues.setdefault((item.reply.instance, item.reply.user), deque())
        later = (at for at in range(1, len(queue)) if queue[at].id > item.id)
        queue.insert(next(later, len(queue)), item)
        if len(queue) == 1:
            self._heads.append(item)

    def wait(self, item: Item, due_s: float) -> None:
        """A reply comes up again at ``due_s`` (monotonic seconds)."""
        heapq.heappush(self._backoff, (due_s, next(self._serial), item))

    def wake_backoffs(self, now_s: float) -> None:
        """Bring up the replies whose time has come."""
        while self._backoff and self._backoff[0][0] <= now_s:
            self._heads.append(heapq.heappop(self._backoff)[2])

    def next_wake_s(self, now_s: float) -> float:
        """When a postponed reply comes up, or others' sends or kept replies are to be looked at."""
        wake_s = self._backoff[0][0] if self._backoff else float("inf")
        if self.kept:
            wake_s = min(wake_s, now_s + KEPT_CHECK_S)
        if self.held:
            wake_s = min(wake_s, now_s + HELD_CHECK_S)
        return min(wake_s, now_s + FOREIGN_CHECK_S) if self.foreign else wake_s


def count_undecided(outboxes: Iterable[Outbox], metrics: ConsumerMetrics) -> int:
    """Show how many replies wait for a person; all of them."""
    found: Counter[bool] = Counter()
    for outbox in outboxes:
        found.update(item.has_failed for item in outbox.held.values())
    for state, has_failed in (("held", False), ("failed", True)):
        metrics.replies_undecided.labels(state=state).set(found[has_failed])
    return found.total()
