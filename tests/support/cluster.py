"""
A real Redis Cluster on loopback ports: masters that share the slots evenly, each with replicas.

    with RedisCluster(binary) as made:
        made.master_of("inturn:{3}:lease").kill()
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import RedisError
from redis.retry import Retry

from shared.redis_binary import ServerBinary
from tests.support.redis_server import RedisServer
from tests.support.waiting import wait_until

SLOTS = 16384
BUS_OFFSET = 10_000
"""Of the port on which nodes talk to each other: before 7.0 it cannot be chosen."""

PORTS = range(11_000, 22_000)
"""
With their bus ports they lie below those that Linux gives outgoing connections (32768 on), so that
nobody takes one between the look and the start but another who looks.
"""

NODE_TIMEOUT_MS = 2000
FORMED_LIMIT_S = 40.0
STARTS = 5


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node as another one sees it: a line of CLUSTER NODES. ``slots``: first and last of each."""

    node_id: str
    port: int
    flags: tuple[str, ...]
    master_id: str
    is_linked: bool
    slots: tuple[tuple[int, int], ...]

    @property
    def is_master(self) -> bool:
        """Whether it takes writes, if it is there."""
        return "master" in self.flags

    @property
    def is_well(self) -> bool:
        """Nobody says that it fails, and it is not just being met."""
        return not {"fail", "fail?", "handshake", "noaddr"}.intersection(self.flags)


class RedisCluster:
    """
    The nodes inside the block; each is its own process, killed and paused by its own pid.

    ``masters`` and ``replicas`` are what they were at the beginning: the replica of
    ``masters[i]`` is ``replicas[i]``, then come the second ones.
    """

    def __init__(
        self,
        binary: ServerBinary,
        *,
        masters: int = 3,
        replicas: int = 1,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """``replicas``: of each master. ``options`` are directives of all nodes."""
        self._binary = binary
        self._options = {
            "cluster-enabled": "yes",
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            # what another node has is served though one is away
            "cluster-require-full-coverage": "no",
            "cluster-migration-barrier": "999",
            "repl-diskless-sync-delay": "0",
            **(options or {}),
        }
        self._counts = masters, masters * replicas
        self._stack = ExitStack()
        self.masters: list[RedisServer] = []
        self.replicas: list[RedisServer] = []

    @property
    def nodes(self) -> list[RedisServer]:
        """All of them."""
        return [*self.masters, *self.replicas]

    @property
    def url(self) -> str:
        """In the form of ``INTURN_REDIS_URL``."""
        return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}"

    def add_master(self) -> RedisServer:
        """One more, without slots, that all others know."""
        server = self._start()
        self.masters.append(server)
        ask(server, "CLUSTER", "MEET", "127.0.0.1", self.masters[0].port)
        wait_until(self._have_met, "a node that all know", FORMED_LIMIT_S)
        return server

    def views(self, server: RedisServer) -> list[NodeView]:
        """What ``server`` says of all nodes; empty while it does not answer."""
        answer = ask(server, "CLUSTER", "NODES")
        return [] if answer is None else [_view(line) for line in answer.decode().splitlines()]

    def node_id(self, server: RedisServer) -> str:
        """Its name in the cluster."""
        found = ask(server, "CLUSTER", "MYID")
        assert found is not None, f"no answer at {server.port}"
        return str(found.decode())

    def master_of(self, key: str) -> RedisServer:
        """The node that has ``key`` now, as most that run say."""
        return self.owner_of(key_slot(key.encode()))

    def owner_of(self, slot: int) -> RedisServer:
        """The node that has a slot now, as most that run say."""
        votes = [
            view.port
            for server in self.nodes
            if server.is_running()
            for view in self.views(server)
            if view.is_master and any(first <= slot <= last for first, last in view.slots)
        ]
        port = max(votes, key=votes.count)
        return next(server for server in self.nodes if server.port == port)

    def replicas_of(self, master: RedisServer) -> list[RedisServer]:
        """Those that follow ``master``, as it sees them."""
        own = self.node_id(master)
        ports = {view.port for view in self.views(master) if view.master_id == own}
        return [server for server in self.nodes if server.port in ports]

    def wait_until_whole(self, limit_s: float = FORMED_LIMIT_S) -> float:
        """Until all nodes that run see all slots served, and each other well; how long it took."""
        began_s = time.monotonic()
        wait_until(self._is_whole, "a whole cluster", limit_s)
        return time.monotonic() - began_s

    def _is_whole(self) -> bool:
        running = [server for server in self.nodes if server.is_running()]
        for server in running:
            views = {view.port: view for view in self.views(server)}
            served = sum(
                last - first + 1
                for view in views.values()
                if view.is_well and view.is_master
                for first, last in view.slots
            )
            if served < SLOTS or not _is_state_ok(server):
                return False
            if not all(one.port in views and views[one.port].is_well for one in running):
                return False
        return all(_is_in_step(server) for server in running)

    def _form(self) -> None:
        first = self.masters[0]
        share = SLOTS / len(self.masters)
        for number, server in enumerate(self.masters):
            own = range(round(number * share), round((number + 1) * share))
            ask(server, "CLUSTER", "ADDSLOTS", *own)
            ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for server in self.nodes[1:]:
            ask(server, "CLUSTER", "MEET", "127.0.0.1", first.port)
        wait_until(self._have_met, "nodes that know each other", FORMED_LIMIT_S)
        for number, server in enumerate(self.replicas):
            master = self.masters[number % len(self.masters)]
            master_id = self.node_id(master)
            ask(server, "CLUSTER", "REPLICATE", master_id)
        wait_until(self._follow, "replicas that follow", FORMED_LIMIT_S)
        self.wait_until_whole()

    def _have_met(self) -> bool:
        ports = {server.port for server in self.nodes}
        return all(
            {view.port for view in self.views(server) if view.is_well and view.is_linked} >= ports
            for server in self.nodes
        )

    def _follow(self) -> bool:
        """Also as every other node sees it: a client learns of replicas from any."""
        count = len(self.replicas)
        return all(
            sum(not view.is_master for view in self.views(server)) == count for server in self.nodes
        )

    def __enter__(self) -> Self:
        with self._stack:
            started = [self._start() for _ in range(sum(self._counts))]
            self.masters, self.replicas = started[: self._counts[0]], started[self._counts[0] :]
            self._form()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def _start(self) -> RedisServer:
        """On a free port; tried again on another one if somebody was quicker."""
        for attempt in range(STARTS):
            server = RedisServer(self._binary, port=free_pair(), options=self._options)
            try:
                server.start()
            except AssertionError:
                server.close()
                if attempt == STARTS - 1:
                    raise
            else:
                self._stack.callback(server.close)
                return server
        raise AssertionError("never reached")


def ask(server: RedisServer, *command: Any) -> Any:
    """One command on a connection of its own; None where there is no answer."""
    retry = Retry(NoBackoff(), 0)
    try:
        with Redis(port=server.port, protocol=2, socket_timeout=5, retry=retry) as client:
            connection = client.connection_pool.get_connection()
            connection.send_command(*command)
            return connection.read_response()
    except (RedisError, OSError):
        return None


def _is_state_ok(server: RedisServer) -> bool:
    info = ask(server, "CLUSTER", "INFO")
    return info is not None and b"cluster_state:ok" in info


def _is_in_step(server: RedisServer) -> bool:
    """A replica is linked to its master; a master needs nobody."""
    role = ask(server, "ROLE")
    return role is not None and (role[0] == b"master" or role[3] == b"connected")


def _view(line: str) -> NodeView:
    """``id ip:port@bus[,host] flags master ping pong epoch link slots...``."""
    node_id, place, flags, master_id, _, _, _, link, *slots = line.split(" ")
    ranges = [text.split("-") for text in slots if not text.startswith("[")]
    return NodeView(
        node_id=node_id,
        port=int(place.split("@")[0].rpartition(":")[2]),
        flags=tuple(flags.split(",")),
        master_id=master_id,
        is_linked=link == "connected",
        slots=tuple((int(each[0]), int(each[-1])) for each in ranges),
    )


def free_pair() -> int:
    """A port that is free a moment ago, and its bus port too."""
    while True:
        port = random.choice(PORTS)
        if all(map(_is_free, (port, port + BUS_OFFSET))):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
