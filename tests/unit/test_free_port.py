"""Ports of servers that tests start: nobody takes one between its choice and the server's start."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from ops.chaos.processes import free_port

IN_USE = os.strerror(errno.EADDRINUSE)


def test_a_server_may_listen_on_it_and_nobody_else_is_given_it() -> None:
    """Two choices differ though no server has started; whoever asks for it by number is refused."""
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    with socket.socket() as other, pytest.raises(OSError, match=IN_USE):
        other.bind(("127.0.0.1", ports[0]))
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        socket.create_connection(("127.0.0.1", ports[0])) as connection,
    ):
        assert connection.getpeername()[1] == ports[0]


def test_nobody_answers_on_it_before_the_server_starts() -> None:
    """It serves as well where a test needs a port that refuses connections."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()))
