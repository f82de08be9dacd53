"""
A port that several processes listen on (``SO_REUSEPORT``), held by their parent.

Linux gives each new connection to one of the sockets that listen, by a hash of its addresses. So
anybody of the same user could join unasked: the parent looks first whether the port is free, as a
single process would, and then stays bound to it, without listening, so that nobody else is given
it. Nobody listens yet when another parent looks before the processes of this one are there, or
while none of them lives: so each first takes a name that only one can have, an abstract Unix
socket's, which lives where ports do (in one network namespace) and ends with its holders. Then it
looks for the names of parents whose addresses include its own or are among them (0.0.0.0,
127.0.0.1): each has its own before it looks, so of two that start at once one sees the other, or
each of them does and neither starts.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from shared.addresses import explain_address
from shared.errors import StartRefused

_ELSEWHERE = (
    "--processes: connections to one port are shared out on Linux alone; here start processes with "
    "ports of their own, behind a proxy"
)

_NAMES = Path("/proc/self/net/unix")  # /proc/net is not there under ProcSubset=pid
_NAME = re.compile(r"@inturn-(\S+)-(\d+)$", re.MULTILINE)


class SharedPort:
    """Held until ``close``; ``number`` is the port, also where 0 was asked for."""

    def __init__(self, host: str, port: int, setting: str) -> None:
        """
        Hold ``port`` on every address of ``host``.

        Raises:
            StartRefused: it cannot be had (names ``setting``), or not shared on this system.
        """
        if sys.platform != "linux":
            raise StartRefused([_ELSEWHERE])
        self.number = port
        self._held: list[socket.socket] = []
        try:
            for family, _, _, _, address in _addresses(host, port):
                self._hold(family, address)
        except OSError as error:
            self.close()
            raise StartRefused([explain_address(error, host, port, setting)]) from error

    def close(self) -> None:
        """Let go of it."""
        for one in self._held:
            one.close()

    def _hold(self, family: int, address: tuple[str, int]) -> None:
        address = (address[0], self.number, *address[2:])
        with _bound(family, address, socket.SO_REUSEADDR) as looked:
            self.number = looked.getsockname()[1]
            self._held.append(_bound(socket.AF_UNIX, f"\0inturn-{address[0]}-{self.number}"))
        if _is_among_others(address[0], self.number):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        address = (address[0], self.number, *address[2:])
        self._held.append(_bound(family, address, socket.SO_REUSEADDR, socket.SO_REUSEPORT))


def _addresses(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))  # type: ignore[arg-type]


def _is_among_others(host: str, number: int) -> bool:
    """Whether another parent has all addresses of this one's kind, or this one would have its."""
    mine = ip_address(host)
    return any(
        other.version == mine.version and (other.is_unspecified or mine.is_unspecified)
        for other in _parents(number)
        if other != mine
    )


def _parents(number: int) -> Iterator[IPv4Address | IPv6Address]:
    """What those of this port are bound to, by their names; nothing where /proc is not told."""
    with suppress(OSError):
        for name in _NAME.finditer(_NAMES.read_text(errors="replace")):
            with suppress(ValueError):  # somebody else's, and no address
                if int(name[2]) == number:
                    yield ip_address(name[1])


def _bound(family: int, address: tuple[str, int] | str, *options: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            with suppress(OSError):
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
    except OSError:
        one.close()
        raise
    return one
