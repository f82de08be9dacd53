"""Which ports several ingest processes have, and when they have none."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from ops import shared_port
from ops.ingest_crew import metrics_ports
from ops.shared_port import SharedPort
from shared.errors import StartRefused
from shared.settings import Settings


@pytest.fixture(params=[False, True], ids=["alone", "sharing"])
def listening(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A server."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if request.param:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


def pair(hosts: str) -> list[str]:
    """Two addresses; a machine that has no IPv6 skips what needs it."""
    if ":" in hosts:
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            pytest.skip(f"no IPv6: {error}")
    return hosts.split()


def test_each_has_the_port_after_the_one_before() -> None:
    """They are known beforehand, so that they can be scraped; 0 is any free one for each."""
    assert metrics_ports(Settings(), 3, 8420) == [8430, 8431, 8432]
    assert metrics_ports(Settings(metrics_port=0), 2, 8420) == [0, 0]


@pytest.mark.parametrize(
    "first, count, problem",
    [
        (8418, 3, "INTURN_METRICS_PORT: INTURN_PORT is among the ports 8418 to 8420"),
        (65_535, 2, "INTURN_METRICS_PORT: 2 ports from 65535 on end beyond 65535"),
    ],
)
def test_ports_that_cannot_be_are_refused(first: int, count: int, problem: str) -> None:
    """The error says which setting is to be changed."""
    with pytest.raises(StartRefused, match=problem):
        metrics_ports(Settings(metrics_port=first), count, 8420)


def test_a_shared_port_is_nobody_elses(listening: socket.socket) -> None:
    """Who listens there already, alone or sharing, is not joined by mistake."""
    with pytest.raises(StartRefused, match=r"INTURN_PORT: port .* is in use"):
        SharedPort("127.0.0.1", listening.getsockname()[1], "INTURN_PORT")


def test_a_shared_port_has_one_parent() -> None:
    """Also while nobody listens yet: of two that start at once only one has it, until it ends."""
    first = SharedPort("127.0.0.1", 0, "INTURN_PORT")
    with closing(first), pytest.raises(StartRefused, match=r"INTURN_PORT: port .* is in use"):
        SharedPort("127.0.0.1", first.number, "INTURN_PORT")
    SharedPort("127.0.0.1", first.number, "INTURN_PORT").close()


@pytest.mark.parametrize("hosts", ["0.0.0.0 127.0.0.1", "127.0.0.1 0.0.0.0", ":: ::1", "::1 ::"])
def test_a_shared_port_has_one_parent_however_its_address_is_written(hosts: str) -> None:
    """All addresses are this one, too; also while nobody listens there yet."""
    one, other = pair(hosts)
    first = SharedPort(one, 0, "INTURN_PORT")
    with closing(first), pytest.raises(StartRefused, match=r"INTURN_PORT: port .* is in use"):
        SharedPort(other, first.number, "INTURN_PORT")
    SharedPort(other, first.number, "INTURN_PORT").close()


def test_a_parent_is_seen_by_another_before_it_looks_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that has its name and looks next refuses who starts meanwhile: never do both start."""
    looks = shared_port._is_among_others
    refused = []

    def start_another_first(host: str, number: int) -> bool:
        if host == "0.0.0.0":  # noqa: S104 - nothing listens there
            with pytest.raises(StartRefused, match=r"INTURN_PORT: port .* is in use"):
                SharedPort("127.0.0.1", number, "INTURN_PORT")
            refused.append(number)
        return looks(host, number)

    monkeypatch.setattr(shared_port, "_is_among_others", start_another_first)
    with closing(SharedPort("0.0.0.0", 0, "INTURN_PORT")) as port:  # noqa: S104
        assert refused == [port.number]


@pytest.mark.parametrize("hosts", ["127.0.0.1 127.0.0.2", "127.0.0.1 ::1", "0.0.0.0 ::"])
def test_addresses_that_have_nothing_in_common_each_have_their_parent(hosts: str) -> None:
    """A port is one address's: nobody is refused for what somebody else has."""
    one, other = pair(hosts)
    with closing(SharedPort(one, 0, "INTURN_PORT")) as first:
        SharedPort(other, first.number, "INTURN_PORT").close()


def test_names_of_somebody_else_are_no_parents() -> None:
    """What is called like one, but names no address, or another port, is passed by."""
    with closing(SharedPort("127.0.0.1", 0, "INTURN_PORT")) as free:
        pass
    with socket.socket(socket.AF_UNIX) as odd, socket.socket(socket.AF_UNIX) as elsewhere:
        odd.bind(f"\0inturn-nobody-{free.number}")
        elsewhere.bind(f"\0inturn-0.0.0.0-{free.number + 1}")
        SharedPort("127.0.0.1", free.number, "INTURN_PORT").close()


def test_a_free_port_is_found_and_held() -> None:
    """Asked for any, it is one that those who share it can have, and nobody else is given."""
    port = SharedPort("127.0.0.1", 0, "INTURN_PORT")
    with closing(port), socket.socket() as sharing, socket.socket() as alone:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sharing.bind(("127.0.0.1", port.number))
        with pytest.raises(OSError, match="in use"):
            alone.bind(("127.0.0.1", port.number))


def test_elsewhere_it_says_that_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a port would not be shared out, nobody is made to believe so."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(StartRefused, match=r"--processes: .* on Linux alone"):
        SharedPort("127.0.0.1", 0, "INTURN_PORT")
