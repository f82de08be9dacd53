"""
A pipe to a Redis Cluster: each command goes to the node that has its key's slot.

There is one connection to each node, with batches of its own: what is slow or gone on one node
holds nothing up on another, and WAIT speaks of that node's writes. Who has which slot is asked
when the first command comes, and again when nodes say or show that it has changed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hiredis import pack_command

from shared.broker_errors import MISPLACED, TO_BE_LEFT
from shared.cluster.lane import Asking, Errand, Lane
from shared.cluster.looks import Looks
from shared.cluster.node_pipes import NodeOfCluster, NodePipes
from shared.cluster.nodes import Nodes
from shared.cluster.slot_map import Place, SlotMap, place_text, place_told
from shared.cluster.slots import keys_of, slot_of, slot_of_all
from shared.command import Call, Command, Failure
from shared.durability import Durability
from shared.errors import BrokerRefused, BrokerUnavailable, NotDurable
from shared.node_pipe import NodePipe
from shared.pipe import Pipe
from shared.reconnect import Pause
from shared.route import Route

AGAIN_S = 0.01
AGAIN_MAX_S = 0.1
"""
The pause before a command is sent again that a slot on its way turned away, doubled from the one
to the other. The first time MOVED and ASK are followed without one.
"""

_OUT_OF_DATE = frozenset({"MOVED", "CLUSTERDOWN", "LOADING"}) | TO_BE_LEFT
"""Who says this makes us ask anew who has which slot."""

_ASKING = pack_command(("ASKING",))


class ClusterPipe(Pipe):
    """
    A pipe of one connection to each node.

    MOVED, ASK and TRYAGAIN are followed for as long as an answer is waited for, and once in any
    case; commands of the same slot that came later wait meanwhile, and their time runs. A node that
    does not answer is told to those alone who asked it.
    """

    is_cluster = True

    def __init__(
        self,
        nodes: Nodes,
        *,
        timeout_ms: int,
        name: str,
        durability: Durability | None = None,
        is_per_slot: bool = False,
    ) -> None:
        """``is_per_slot``: a connection to each slot's node for that slot alone, to block on."""
        super().__init__(timeout_ms=timeout_ms, name=name)
        self._nodes = nodes
        self._map: SlotMap | None = None
        self._lanes: dict[int, Lane] = {}
        self._durability = durability
        self._pipes = NodePipes(nodes, self._make_pipe, is_per_slot=is_per_slot)
        self._placeless: deque[Errand] = deque()
        self._wake = asyncio.Event()
        self._waiters: list[asyncio.Future[None]] = []
        self._looks = Looks()
        self._pause = Pause()
        self._closed = False

    async def run(self) -> None:
        """Send until cancelled; then nothing is accepted any more."""
        try:
            async with asyncio.TaskGroup() as group:
                self._pipes.open(group)
                try:
                    await self._keep_looking()
                finally:
                    self._closed = True  # before the nodes' pipes end, and tell their commands
        finally:
            closed = BrokerUnavailable("the connection was closed")
            for lane in self._lanes.values():
                lane.close(closed)
            self._tell_placeless(closed)

    def send(self, command: Command) -> None:
        """Send a command with the next batch to the node that has its key."""
        self._add(slot_of(command.key), command)

    async def call(self, *command: Any) -> Any:
        """
        Run one command.

        Raises:
            ValueError: its keys are not in one slot, or it names none, or is not known.
        """
        return await self._queue(slot_of_all(keys_of(command), command[0]), command)

    async def call_each(self, commands: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Run commands that leave together, to each node its own."""
        return await asyncio.gather(*self._queue_each(commands))

    async def call_at(self, key: str, *command: Any) -> Any:
        """To the node that has ``key``."""
        return await self._queue(slot_of(key), command)

    async def servers(self) -> Mapping[str, Pipe]:
        """Every node that has slots; CLUSTERDOWN where none has any."""
        if self._closed:
            raise BrokerUnavailable("the connection was closed")
        if self._map is None or not self._map.owners():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            self._wake.set()
            await waiter
        assert self._map is not None
        if not (owners := self._map.owners()):
            raise BrokerRefused("CLUSTERDOWN", "no node has any slot")
        return {place_text(at): self._pipes.to(at) for at in sorted(owners)}

    def together(self, keys: Sequence[str]) -> list[Sequence[str]]:
        """Those of one slot."""
        slots: dict[int, list[str]] = {}
        for key in keys:
            slots.setdefault(slot_of(key), []).append(key)
        return list(slots.values())

    def beside(self, key: str, keys: Sequence[str]) -> Sequence[str]:
        """Those whose slot the same node has, or that nobody has, either."""
        owner = self.owner(slot_of(key))
        return [one for one in keys if self.owner(slot_of(one)) == owner]

    def leave(self, key: str) -> None:
        """That of its slot, where each has its own."""
        self._pipes.leave(slot_of(key))

    def owner(self, slot: int) -> Place | None:
        """The node that has a slot, as far as is known."""
        return None if self._map is None else self._map.owner(slot)

    def post(self, errand: Errand) -> None:
        """Send it to the node that should have it, or keep it until that is known."""
        slot = errand.lane.slot
        place = errand.asks or self.owner(slot)
        if place is None or self._closed:
            self._placeless.append(errand)
            self._wake.set()
            return
        pipe = self._pipes.to(place, slot)
        errand.asked = errand.lane.place = place
        if errand.asks is not None:
            errand.asks = None
            pipe.send(Asking(errand, _ASKING))
        pipe.send(errand)

    def judge(self, errand: Errand, failure: Failure) -> Failure | float:
        """What a command is told; or it was not executed, and is sent again after so many s."""
        if isinstance(failure, BrokerUnavailable):
            if not isinstance(failure, NotDurable):
                self._look_soon()
            return failure
        if failure.code in _OUT_OF_DATE:
            self._look_soon()
        if failure.code not in MISPLACED or self._closed:
            return failure
        errand.until_s = errand.until_s or self.limit_s()
        is_over = asyncio.get_running_loop().time() >= errand.until_s
        if (is_over and errand.tries) or not self._learn(errand, failure):
            return failure
        pauses = errand.tries if failure.code == "TRYAGAIN" else errand.tries - 1
        errand.tries += 1
        if pauses < 0:
            return 0.0
        pause_s: float = min(AGAIN_S * 2 ** min(pauses, 10), AGAIN_MAX_S)
        return pause_s * random.uniform(0.5, 1.0)

    def limit_s(self) -> float:
        """When an answer would be given up that is waited for from now on."""
        return asyncio.get_running_loop().time() + self.timeout_ms / 1000

    def _learn(self, errand: Errand, refusal: BrokerRefused) -> bool:
        """From MOVED and ASK, who is to be asked; False: they do not say."""
        if refusal.code == "TRYAGAIN":
            return True
        assert self._map is not None
        assert errand.asked is not None
        try:
            place = place_told(refusal, errand.asked)
        except ValueError:
            return False
        if refusal.code == "ASK":
            errand.asks = place
        else:
            self._map.move(errand.lane.slot, place)
        return True

    def _queue(self, slot: int, command: tuple[Any, ...]) -> asyncio.Future[Any]:
        """What becomes of one command; nobody keeps it in a variable, as in ``NodePipe``."""
        loop = self._loop = self._loop or asyncio.get_running_loop()
        call = Call(pack_command(command), loop)
        self._add(slot, call)
        return call.future

    def _queue_each(self, commands: Iterable[tuple[Any, ...]]) -> list[asyncio.Future[Any]]:
        """The same of several, once all of them are packed."""
        loop = asyncio.get_running_loop()
        calls = [
            (slot_of_all(keys_of(command), command[0]), Call(pack_command(command), loop))
            for command in commands
        ]
        for slot, call in calls:
            self._add(slot, call)
        return [call.future for _, call in calls]

    def _add(self, slot: int, command: Command) -> None:
        if self._closed:
            raise BrokerUnavailable("the connection was closed")
        lane = self._lanes.get(slot)
        if lane is None:
            lane = self._lanes[slot] = Lane(slot, self)
        lane.add(command)

    def _make_pipe(self, route: Route) -> NodePipe:
        pipe = NodeOfCluster(
            route,
            self._look_soon,
            timeout_ms=self.timeout_ms,
            name=self.name,
            durability=self._durability,
        )
        pipe.on_batch = self._tell_batch
        return pipe

    def _tell_batch(self, count: int) -> None:
        if self.on_batch is not None:
            self.on_batch(count)

    def _look_soon(self) -> None:
        self._wake.set()

    async def _keep_looking(self) -> None:
        """Ask who has which slot, whenever that is not known or no longer true."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._map is not None:
                await asyncio.sleep(self._looks.wait_s(loop.time()))
            elif (met := self._pause.failure()) is not None:
                self._tell_placeless(met)
                continue
            has_news = False
            try:
                found = await self._nodes.look()
            except (BrokerUnavailable, BrokerRefused) as error:
                self._pause.begin(error)
                self._tell_placeless(error)
            else:
                self._pause.end()
                has_news = found != self._map
                self._follow(found)
            self._looks.end(loop.time(), has_news=has_news)

    def _follow(self, found: SlotMap) -> None:
        self._map = found
        if self._pipes.follow(found):
            self._look_soon()
        self._tell_waiters(None)
        placeless, self._placeless = self._placeless, deque()
        for errand in placeless:
            slot = errand.lane.slot
            if errand.asks is None and found.owner(slot) is None:
                errand.settle(BrokerRefused("CLUSTERDOWN", f"no node has slot {slot}"))
            else:
                self.post(errand)

    def _tell_placeless(self, failure: Failure) -> None:
        """Nobody knows where to send them: nothing was sent."""
        self._tell_waiters(failure)
        placeless, self._placeless = self._placeless, deque()
        for errand in placeless:
            errand.command.settle(failure)
            errand.lane.end()

    def _tell_waiters(self, failure: Failure | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(failure) if failure is not None else waiter.set_result(None)
