"""Servers that speak TLS: one by itself, and a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shared.cluster.slots import slot_of
from shared.connect import Pipe
from shared.errors import BrokerUnavailable
from shared.preflight import prepare
from shared.redis_binary import ServerBinary
from shared.route import DirectRoute, connection_options, hang_up
from shared.settings import Settings
from tests.support.cluster import ask
from tests.support.pipes import running_pipe
from tests.support.tls import (
    Certificate,
    TlsServer,
    lack,
    make_certificate,
    tls_cluster,
    tls_server,
)


@pytest.fixture(scope="module")
def own(redis_binary: ServerBinary, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the servers show."""
    if (reason := lack(redis_binary)) is not None:
        pytest.skip(reason)
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def alone(redis_binary: ServerBinary, own: Certificate) -> Iterator[TlsServer]:
    """A server by itself."""
    with tls_server(redis_binary, own) as made:
        yield made


@pytest.fixture(scope="module")
def nodes(redis_binary: ServerBinary, own: Certificate) -> Iterator[tuple[TlsServer, TlsServer]]:
    """A cluster of two masters."""
    with tls_cluster(redis_binary, own) as made:
        yield made


async def test_a_server_is_spoken_to_whose_certificate_is_trusted(
    alone: TlsServer, own: Certificate, prefix: str
) -> None:
    """By a service that finds it fit."""
    url = f"rediss://127.0.0.1:{alone.port}/0?ssl_ca_certs={own.path}"
    async with running_pipe(url) as pipe:
        await prepare(pipe, Settings(prefix=prefix))


async def test_no_socket_is_kept_for_a_server_that_does_not_take_leave(
    alone: TlsServer, own: Certificate
) -> None:
    """A silent server would else cost a socket for 30 s each time that it is hung up on."""
    url = f"rediss://127.0.0.1:{alone.port}/0?ssl_ca_certs={own.path}"
    connection = await DirectRoute(url, connection_options(5.0, "test")).connect()
    writer = connection._writer
    assert writer is not None
    socket = writer.get_extra_info("socket")
    alone.server.pause()
    try:
        await hang_up(connection)
        await asyncio.sleep(0)
        assert socket.fileno() == -1
    finally:
        alone.server.resume()


@pytest.mark.parametrize(
    "url, why",
    [
        ("rediss://127.0.0.1:{port}/0", "its certificate: self"),
        ("rediss://localhost:{port}/0?ssl_ca_certs={path}", "its certificate: Hostname mismatch"),
        ("redis://127.0.0.1:{port}/0", "no answer"),
    ],
)
async def test_nothing_is_told_to_a_server_that_is_not_trusted(
    alone: TlsServer, own: Certificate, url: str, why: str
) -> None:
    """It is said what is wrong with it, as far as that is known."""
    async with running_pipe(url.format(port=alone.port, path=own.path), timeout_ms=2000) as pipe:
        with pytest.raises(BrokerUnavailable, match=why):
            await pipe.call("SET", "secret", 1)
    assert ask(alone.server, "EXISTS", "secret") == 0


def cluster_url(nodes: tuple[TlsServer, ...], options: str = "") -> str:
    """Names one of them: it tells of the other."""
    return f"rediss+cluster://127.0.0.1:{nodes[0].port}{options}"


async def both_ends(pipe: Pipe, prefix: str) -> tuple[str, str]:
    """A key of each half of the slots, written by ``pipe``."""
    names = [f"{prefix}:{number}" for number in range(100)]
    keys = tuple(
        next(name for name in names if slot_of(name) // 8192 == number) for number in (0, 1)
    )
    for key in keys:
        assert await pipe.call("SET", key, "x") == b"OK"
    return keys[0], keys[1]


async def test_all_nodes_of_a_cluster_are_spoken_to(
    nodes: tuple[TlsServer, TlsServer], own: Certificate, prefix: str
) -> None:
    """At the ports with TLS that they tell of; a redirection names such a port, too."""
    async with running_pipe(cluster_url(nodes, f"?ssl_ca_certs={own.path}")) as pipe:
        await prepare(pipe, Settings(prefix=prefix))
        places = sorted(f"127.0.0.1:{node.port}" for node in nodes)
        assert sorted(await pipe.servers()) == places
        key, _ = await both_ends(pipe, prefix)
        await pipe.call("DEL", key)
        target_id = ask(nodes[1].server, "CLUSTER", "MYID").decode()
        for node in reversed(nodes):
            said = ask(node.server, "CLUSTER", "SETSLOT", slot_of(key), "NODE", target_id)
            assert said == b"OK"
        await pipe.call("SET", key, "moved")
        assert ask(nodes[1].server, "GET", key) == b"moved"


async def test_nodes_that_are_not_trusted_are_not_spoken_to(
    nodes: tuple[TlsServer, TlsServer], prefix: str
) -> None:
    """An outage, for a certificate may be renewed; and why."""
    async with running_pipe(cluster_url(nodes), timeout_ms=2000) as pipe:
        with pytest.raises(BrokerUnavailable, match="its certificate: self"):
            await pipe.call("SET", prefix, 1)
