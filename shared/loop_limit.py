"""Two bots that talk to each other: after ``LOOP_LIMIT`` replies within a minute a user waits."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

from shared.model import Conversation

SPAN_S = 60.0


class LoopLimit:
    """The replies of the last minute; it holds nothing older."""

    def __init__(self, replies: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._replies = replies
        self._now_s = now_s
        self._left: deque[tuple[float, Conversation]] = deque()
        self._count: Counter[Conversation] = Counter()

    def __len__(self) -> int:
        """How many users it knows of."""
        return len(self._count)

    def is_reached(self, conversation: Conversation) -> bool:
        """Whether this user has had as many replies as may be."""
        oldest_s = self._now_s() - SPAN_S
        while self._left and self._left[0][0] < oldest_s:
            _, gone = self._left.popleft()
            self._count[gone] -= 1
            if not self._count[gone]:
                del self._count[gone]
        return self._count[conversation] >= self._replies

    def count(self, conversation: Conversation) -> None:
        """A reply leaves for this user."""
        self._left.append((self._now_s(), conversation))
        self._count[conversation] += 1
