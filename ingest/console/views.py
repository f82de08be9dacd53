"""What each of the console's views is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from ingest.console.collector import Look
from shared.connect import Pipe
from shared.keys import Keys
from shared.survey import Surveyor, count_kept


class Views:
    """Looks at the data of one connection, ``reads``, which somebody runs."""

    def __init__(self, reads: Pipe, keys: Keys) -> None:
        self._reads = reads
        self._keys = keys
        self._surveyor = Surveyor(reads, keys)

    def looks(self) -> Mapping[str, Look]:
        """Each view's look, by its name."""
        return {"now": self.now}

    async def now(self) -> dict[str, Any]:
        """
        Is anyone waiting.

        Raises:
            BrokerUnavailable, BrokerRefused: nothing is known.
        """
        survey, kept = await asyncio.gather(
            self._surveyor.survey(), count_kept(self._reads, self._keys)
        )
        return {
            "at": survey.now_ms,
            "backlog_messages": survey.backlog_messages,
            "oldest_unfinished_s": survey.oldest_unfinished_s,
            "partitions_without_owner": survey.without_owner,
            "dead_letters": kept.dead_letters,
            "replies_unsent": kept.replies,
        }
