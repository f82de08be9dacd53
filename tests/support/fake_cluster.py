"""
Nodes of a cluster that answer what a test wants, when it wants: on loopback, without Redis.

    async with fake_cluster(2) as (a, b):
        a.says(b"x", moved(b, "x"))
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from hiredis import Reader

from shared.cluster.slots import SLOTS, slot_of
from shared.connect import Pipe, open_pipe

OK = b"+OK\r\n"


class FakeNode:
    """
    ``got`` are the commands that came, without those of making a connection.

    A command's answer is the next one of those that ``says`` holds for its key, else ``+OK``;
    between ``hold`` and ``release`` answers are kept back.
    """

    def __init__(self) -> None:
        self.got: list[list[bytes]] = []
        self.looks = 0
        self.slots: list[tuple[int, int, Sequence[FakeNode]]] = []
        self.state = b"ok"
        self.refusal: bytes | None = None
        self._held: deque[tuple[asyncio.StreamWriter, bytes]] | None = None
        self._answers: defaultdict[bytes, deque[bytes]] = defaultdict(deque)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    def says(self, key: bytes, *answers: bytes) -> None:
        """The next answers to commands on ``key``."""
        self._answers[key].extend(answers)

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._held = deque()

    def release(self, count: int | None = None) -> None:
        """Give that many of the answers that were kept back; None: all, and those to come."""
        assert self._held is not None
        for _ in range(len(self._held) if count is None else count):
            writer, answer = self._held.popleft()
            writer.write(answer)
        if count is None:
            self._held = None

    @property
    def connections(self) -> int:
        """How many are open, also those of who looks for slots."""
        return len(self._writers)

    @property
    def keys(self) -> list[bytes]:
        """The first arguments of what came."""
        return [command[1] for command in self.got if len(command) > 1]

    async def open(self) -> None:
        """Listen, on the port that it had."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """As one that is gone: connections end and none is taken."""
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        commands = Reader()
        while data := await reader.read(65536):
            commands.feed(data)
            while (command := commands.gets()) is not False:
                self._take(command, writer)
        writer.close()
        self._writers.discard(writer)

    def _take(self, command: list[bytes], writer: asyncio.StreamWriter) -> None:
        if command[0] == b"CLIENT":
            writer.write(OK)
            return
        if command[0] == b"CLUSTER":
            self.looks += 1
            writer.write(self._cluster(command[1]))
            return
        self.got.append(command)
        answers = self._answers[command[1]] if len(command) > 1 else None
        answer = answers.popleft() if answers else OK
        if self._held is not None:
            self._held.append((writer, answer))
        else:
            writer.write(answer)

    def _cluster(self, asked: bytes) -> bytes:
        if self.refusal is not None:
            return self.refusal
        if asked == b"INFO":
            return _bulk(b"cluster_state:" + self.state)
        rows = [
            b"*%d\r\n:%d\r\n:%d\r\n" % (2 + len(nodes), first, last)
            + b"".join(b"*2\r\n%s:%d\r\n" % (_bulk(b"127.0.0.1"), node.port) for node in nodes)
            for first, last, nodes in self.slots
        ]
        return b"*%d\r\n" % len(rows) + b"".join(rows)


def _bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


def moved(node: FakeNode, key: str, host: str = "127.0.0.1") -> bytes:
    """Another one has the slot."""
    return f"-MOVED {slot_of(key)} {host}:{node.port}\r\n".encode()


def ask(node: FakeNode, key: str) -> bytes:
    """Another one gets the slot."""
    return moved(node, key).replace(b"-MOVED", b"-ASK")


TRY_AGAIN = b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"
DOWN = b"-CLUSTERDOWN Hash slot not served\r\n"


@asynccontextmanager
async def fake_cluster(count: int) -> AsyncIterator[Sequence[FakeNode]]:
    """So many nodes: the first has all slots, the others are its replicas, as all of them say."""
    nodes = [FakeNode() for _ in range(count)]
    for node in nodes:
        await node.open()
    give(nodes, *nodes)
    try:
        yield nodes
    finally:
        for node in nodes:
            await node.close()


def give(nodes: Sequence[FakeNode], *owner: FakeNode) -> None:
    """All slots to one node, with what follows it as its replicas; or to nobody."""
    for node in nodes:
        node.slots = [(0, SLOTS - 1, owner)] if owner else []


def share(nodes: Sequence[FakeNode], first: int = SLOTS // 2) -> None:
    """The first so many slots to the first node, the rest to the second."""
    for node in nodes:
        node.slots = [(0, first - 1, nodes[:1]), (first, SLOTS - 1, nodes[1:2])]


def url_of(nodes: Sequence[FakeNode]) -> str:
    """In the form of ``INTURN_REDIS_URL``."""
    return f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"


@asynccontextmanager
async def pipe_of(*nodes: FakeNode, timeout_ms: int = 10_000) -> AsyncIterator[Pipe]:
    """A pipe to these."""
    async with open_pipe(url_of(nodes), timeout_ms=timeout_ms, name="test") as pipe:
        yield pipe


def get(pipe: Pipe, key: str) -> asyncio.Future[bytes]:
    """A call that is on its way."""
    return asyncio.ensure_future(pipe.call("GET", key))


def keys_of_halves() -> tuple[str, str]:
    """A key of the first half of the slots, and one of the second."""
    names = [f"k{number}" for number in range(100)]
    first = next(name for name in names if slot_of(name) < 8192)
    return first, next(name for name in names if slot_of(name) >= 8192)
