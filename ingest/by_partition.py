"""A request's messages, each partition's by themselves: what one of them meets, others do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ingest.accepted import Accepted, Appender
from ingest.away import OneServer
from shared.model import Message


class ByPartition:
    """Appends side by side what is of different partitions; each part keeps its order."""

    def __init__(self, appender: Appender, servers: OneServer) -> None:
        self._appender = appender
        self._servers = servers

    async def append(self, messages: Sequence[Message]) -> list[Accepted]:
        """
        Keep all messages; of one that fails the others are kept or not.

        Raises:
            what the appender raises, of the first part that failed, when all have ended.
        """
        parts: dict[int, list[int]] = {}
        for at, message in enumerate(messages):
            parts.setdefault(self._servers.partition_of(message), []).append(at)
        if len(parts) == 1:
            return await self._appender.append(messages)
        kept: dict[int, Accepted] = {}

        async def append_part(places: list[int]) -> None:
            own = await self._appender.append([messages[at] for at in places])
            kept.update(zip(places, own, strict=True))

        ends = await asyncio.gather(*map(append_part, parts.values()), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
        return [kept[at] for at in range(len(messages))]
