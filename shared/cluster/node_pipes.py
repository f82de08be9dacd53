"""The pipes of a cluster's pipe: one to each node, made when it is first needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from shared.cluster.nodes import Nodes
from shared.cluster.slot_map import Place, SlotMap, place_text
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
        make: Callable[[Route], NodePipe],
        *,
        is_per_slot: bool,
    ) -> None:
        self._nodes = nodes
        self._make = make
        self._is_per_slot = is_per_slot
        self._pipes: dict[tuple[Place, int], tuple[NodePipe, asyncio.Task[None]]] = {}
        self._doubted: set[tuple[Place, int]] = set()
        self._group: asyncio.TaskGroup | None = None

    def open(self, group: asyncio.TaskGroup) -> None:
        """From now on pipes may be made."""
        self._group = group

    def to(self, place: Place, slot: int = _NO_SLOT) -> NodePipe:
        """The pipe to a node, for a slot."""
        at = place, slot if self._is_per_slot else _NO_SLOT
        known = self._pipes.get(at)
        if known is not None:
            return known[0]
        assert self._group is not None
        pipe = self._make(self._nodes.route_to(place))
        task = self._group.create_task(pipe.run(), name=f"pipe-{pipe.name}-{place_text(place)}")
        self._pipes[at] = pipe, task
        return pipe

    def leave(self, slot: int) -> None:
        """End the pipes that are a slot's own, also where something is on its way."""
        for at in [at for at in self._pipes if self._is_per_slot and at[1] == slot]:
            self._end(at)

    def follow(self, found: SlotMap) -> bool:
        """
        Leave the nodes that have no slots, or not the one that a pipe is for, when nothing is on
        its way there.

        One that is no replica, either, has failed or was taken out, and may never answer: it is
        left all the same if the next look finds the same. True: look again for that.
        """
        owners, doubted = found.owners(), self._doubted
        self._doubted = set()
        for at, (pipe, _) in list(self._pipes.items()):
            place, slot = at
            if place in owners and (slot == _NO_SLOT or found.owner(slot) == place):
                continue
            if pipe.is_idle or (at in doubted and place not in found.places):
                self._end(at)
            elif place not in found.places:
                self._doubted.add(at)
        return bool(self._doubted)

    def _end(self, at: tuple[Place, int]) -> None:
        _, task = self._pipes.pop(at)
        task.cancel()
