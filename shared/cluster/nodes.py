"""
The nodes of a cluster: asking them who has which slot, and connections to them.

Any node may be asked, and a few are asked at once: one that is gone holds nobody up, and one whose
view is of yesterday is set right by the first command that it sends elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from redis.asyncio.connection import AbstractConnection, ConnectionPool

from shared.broker_errors import NO_CLUSTER, classify
from shared.cluster.slot_map import Place, SlotMap
from shared.command import Failure
from shared.errors import BrokerRefused, NotConnected
from shared.redis_url import parse_cluster_url
from shared.route import hang_up, opened

AT_ONCE = 3
"""Nodes that are asked at the same time."""

ASK_PARTS = 3
"""A node is given up after that part of the time that an answer is waited for."""

ASKED_MAX = 9
"""Nodes that are asked in one look; the next look asks others."""


class Nodes:
    """Those that are named in a URL, and all that they tell of."""

    def __init__(self, url: str, *, timeout_s: float, options: dict[str, Any]) -> None:
        """
        ``options`` are redis-py's for each connection.

        Raises:
            ValueError: the URL has another form.
        """
        found = parse_cluster_url(url)
        self._named = found.places
        self._known: set[Place] = set()
        self._ask_s = timeout_s / ASK_PARTS
        self._pool = ConnectionPool.from_url(found.node_url, **options)

    async def look(self) -> SlotMap:
        """
        Who has which slot, as the first of them says that answers.

        Raises:
            BrokerRefused: NO_CLUSTER, or none lets us in.
            NotConnected: none answers.
        """
        why: Failure = NotConnected("no node of the cluster answers")
        candidates = self._candidates()
        for begin in range(0, len(candidates), AT_ONCE):
            found = await self._first_of(candidates[begin : begin + AT_ONCE])
            if isinstance(found, SlotMap):
                self._known = found.places
                return found
            why = found
        raise why

    async def connect(self) -> AbstractConnection:
        """
        A connection to any node that sees the cluster well: it hears what is published.

        Raises:
            BrokerRefused, NotConnected: there is none.
        """
        why: Failure = NotConnected("no node of the cluster answers")
        for place in self._candidates():
            try:
                async with asyncio.timeout(self._ask_s):
                    connection = await self._connected(place)
                    try:
                        self._known |= (await _slots(connection, place)).places
                        await _require_well(connection)
                    except BaseException:
                        await hang_up(connection)
                        raise
                    return connection
            except Exception as error:  # noqa: BLE001 - one may be gone; the others are asked
                why = _meaning(error)
        raise why

    def route_to(self, place: Place) -> NodeRoute:
        """The way to one node."""
        return NodeRoute(self, place)

    async def _connected(self, place: Place) -> AbstractConnection:
        options = {**self._pool.connection_kwargs, "host": place[0], "port": place[1]}
        connection: AbstractConnection = self._pool.connection_class(**options)
        return await opened(connection)

    def _candidates(self) -> list[Place]:
        """In a new order each time, or one that hangs would be asked first again and again."""
        places = list(self._known.union(self._named))
        random.shuffle(places)
        return places[:ASKED_MAX]

    def is_current(self) -> bool:
        """Any node will do."""
        return True

    async def _first_of(self, places: list[Place]) -> SlotMap | Failure:
        asked = [asyncio.create_task(self._ask(place)) for place in places]
        why: Failure = NotConnected("no node of the cluster answers")
        try:
            for answer in asyncio.as_completed(asked):
                found = await answer
                if isinstance(found, SlotMap):
                    return found
                why = found
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return why

    async def _ask(self, place: Place) -> SlotMap | Failure:
        try:
            async with asyncio.timeout(self._ask_s):
                connection = await self._connected(place)
                try:
                    return await _slots(connection, place)
                finally:
                    await hang_up(connection)
        except Exception as error:  # noqa: BLE001 - one may be gone; the others are asked
            return _meaning(error)


class NodeRoute:
    """To one node of a cluster."""

    def __init__(self, nodes: Nodes, place: Place) -> None:
        self._nodes = nodes
        self._place = place

    async def connect(self) -> AbstractConnection:
        """A new connection to it."""
        return await self._nodes._connected(self._place)  # noqa: SLF001 - of the same module

    def is_current(self) -> bool:
        """The slot map says which node is asked; one that is cut off refuses by itself."""
        return True


async def _slots(connection: AbstractConnection, place: Place) -> SlotMap:
    await connection.send_command("CLUSTER", "SLOTS")
    return SlotMap.parse(await connection.read_response(), place)


async def _require_well(connection: AbstractConnection) -> None:
    """One that was cut off from the others hears nothing of what they publish."""
    await connection.send_command("CLUSTER", "INFO")
    if b"cluster_state:ok" not in await connection.read_response():
        raise NotConnected("a node that is cut off from the cluster")


def _meaning(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    meaning = classify(error)
    if not isinstance(meaning, BrokerRefused):
        return NotConnected(str(meaning))
    if "cluster support disabled" in str(meaning):
        return BrokerRefused(NO_CLUSTER, "it is no node of a Redis Cluster")
    return meaning
