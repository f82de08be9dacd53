"""A connection to any node of a cluster, to hear what is published."""

from __future__ import annotations

import pytest

from shared.connect import route_of
from shared.errors import NotConnected
from tests.support.fake_cluster import FakeNode, fake_cluster, url_of


async def port_reached(*named: FakeNode) -> int:
    """Of the node that a connection leads to."""
    route = route_of(url_of(named), timeout_s=5.0, client_name="test")
    connection = await route.connect()
    port: int = connection.port  # type: ignore[attr-defined]
    await connection.disconnect(nowait=True)
    return port


async def test_a_node_that_is_gone_or_cut_off_is_passed_over() -> None:
    """One that does not see the cluster well hears nothing of what others publish."""
    async with fake_cluster(3) as (a, b, c):
        await a.close()
        b.state = b"fail"
        for _ in range(5):
            assert await port_reached(a, b, c) == c.port


async def test_nodes_are_known_that_no_url_names() -> None:
    """All that are named may go: those that they told of are asked."""
    async with fake_cluster(2) as (a, b):
        route = route_of(url_of([a]), timeout_s=5.0, client_name="test")
        a.slots = [(0, 99, [b])]
        await (await route.connect()).disconnect(nowait=True)
        await a.close()
        connection = await route.connect()
        assert connection.port == b.port  # type: ignore[attr-defined]
        await connection.disconnect(nowait=True)


async def test_no_node_is_well() -> None:
    """Said; the caller tries again later."""
    async with fake_cluster(1) as (a,):
        a.state = b"fail"
        with pytest.raises(NotConnected, match="cut off"):
            await port_reached(a)
