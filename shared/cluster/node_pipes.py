"""The pipes of a cluster's pipe: one to each node, made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from shared.cluster.nodes import Nodes
from shared.cluster.slot_map import Place, place_text
from shared.errors import BrokerUnavailable
from shared.node_pipe import NodePipe
from shared.route import Route

_NO_SLOT = -1


class NodeOfCluster(NodePipe):
    """To one node; who asks it alone tells, too, that it does not answer."""

    def __init__(self, route: Route, on_silence: Callable[[], None], **options: Any) -> None:
        super().__init__(route, **options)
        self._on_silence = on_silence

    async def call(self, *command: Any) -> Any:
        """Run one command."""
        try:
            return await super().call(*command)
        except BrokerUnavailable:
            self._on_silence()
            raise


class NodePipes:
    """
    Their tasks are in the group that they are opened in.

    ``is_per_slot``: each slot has a pipe of its own to its node.
    """

    def __init__(
        self,
        nodes: Nodes,
        make: Callable[[Route, Callable[[], None]], NodePipe],
        on_silence: Callable[[], None],
        *,
        is_per_slot: bool,
    ) -> None:
        self._nodes = nodes
        self._make = make
        self._on_silence = on_silence
        self._is_per_slot = is_per_slot
        self._pipes: dict[tuple[Place, int], tuple[NodePipe, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._on_batch: Callable[[int], None] | None = None

    def open(self, group: asyncio.TaskGroup, on_batch: Callable[[int], None] | None) -> None:
        """From now on pipes may be made."""
        self._group, self._on_batch = group, on_batch

    def to(self, place: Place, slot: int = _NO_SLOT) -> NodePipe:
        """The pipe to a node, for a slot."""
        at = place, slot if self._is_per_slot else _NO_SLOT
        known = self._pipes.get(at)
        if known is not None:
            return known[0]
        assert self._group is not None
        pipe = self._make(self._nodes.route_to(place), self._on_silence)
        pipe.on_batch = self._on_batch
        task = self._group.create_task(pipe.run(), name=f"pipe-{pipe.name}-{place_text(place)}")
        self._pipes[at] = pipe, task
        return pipe

    def leave_all_but(self, places: Collection[Place]) -> None:
        """End the others on which nothing is on its way."""
        for at, (pipe, task) in list(self._pipes.items()):
            if at[0] not in places and pipe.is_idle:
                del self._pipes[at]
                task.cancel()
