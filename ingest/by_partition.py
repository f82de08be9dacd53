"""A request's messages, each partition's by themselves: what one of them meets, others do not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ingest.accepted import Accepted, Appender
from ingest.away import Servers
from shared.model import Message

MESSAGES_AT_A_TIME = 32
"""Of one request, about so many begin before others have their turn (``USERS_AT_A_TIME``)."""


class ByPartition:
    """Appends side by side what is of different partitions; each part keeps its order."""

    def __init__(self, appender: Appender, servers: Servers) -> None:
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
        failures: list[Exception] = []

        async def append_part(places: list[int]) -> None:
            try:
                own = await self._appender.append([messages[at] for at in places])
                kept.update(zip(places, own, strict=True))
            except Exception as error:  # noqa: BLE001  told below, when all have ended
                failures.append(error)

        begun = 0
        async with asyncio.TaskGroup() as tasks:
            for number, places in parts.items():
                tasks.create_task(append_part(places), name=f"append-{number}")
                begun += len(places)
                if begun >= MESSAGES_AT_A_TIME:
                    begun = 0
                    await asyncio.sleep(0)
        if failures:
            try:
                raise failures[0]
            finally:
                failures.clear()  # its traceback would hold it, and that the messages
        return [kept[at] for at in range(len(messages))]
