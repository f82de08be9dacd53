"""
Servers that speak TLS, with a certificate of their own that names this machine's loopback.

    own = make_certificate(folder)
    with tls_cluster(binary, own) as nodes: ...
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.redis_binary import ServerBinary
from tests.support.cluster import SLOTS, ask, free_pair
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import wait_until

FORMED_LIMIT_S = 40.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """Self-made: who trusts it trusts nobody else."""

    path: Path
    key: Path

    @property
    def directives(self) -> dict[str, str]:
        """Of redis.conf; clients need none of their own."""
        return {
            "tls-cert-file": str(self.path),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.path),
            "tls-auth-clients": "no",
        }


@dataclass(frozen=True, slots=True)
class TlsServer:
    """``port`` is the one with TLS; ``server`` has another, without, that tests ask."""

    server: RedisServer
    port: int


def lack(binary: ServerBinary) -> str | None:
    """Why no server with TLS can be started here."""
    if shutil.which("openssl") is None:
        return "no openssl on PATH to make a certificate with"
    # either way it ends at once: TLS is known and this is no port, or it is not known
    tried = subprocess.run(
        [str(binary.path.absolute()), "--port", "0", "--tls-port", "none"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    has_tls = "parsed into an integer" in tried.stdout + tried.stderr
    return None if has_tls else f"{binary.path.name} was built without TLS"


def make_certificate(folder: Path) -> Certificate:
    """For 127.0.0.1, for a day."""
    made = Certificate(folder / "own.pem", folder / "own.key")
    options = "-newkey rsa:2048 -nodes -days 1 -subj /CN=test -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(made.key), "-out", str(made.path)]
    command = ["openssl", "req", "-x509", *options.split(), *files]
    subprocess.run(command, check=True, capture_output=True)
    return made


@contextmanager
def tls_server(binary: ServerBinary, own: Certificate) -> Iterator[TlsServer]:
    """One server by itself."""
    with _started(binary, free_port(), own.directives) as server:
        yield server


@contextmanager
def tls_cluster(binary: ServerBinary, own: Certificate) -> Iterator[tuple[TlsServer, TlsServer]]:
    """Two masters with half of the slots each, that speak TLS to each other, too."""
    options = own.directives | {
        "cluster-enabled": "yes",
        "tls-cluster": "yes",
        "tls-replication": "yes",
        "cluster-require-full-coverage": "no",
    }
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(_started(binary, free_pair(), options)) for _ in range(2)
        )
        for number, one in enumerate((first, second)):
            half = range(number * SLOTS // 2, (number + 1) * SLOTS // 2)
            ask(one.server, "CLUSTER", "ADDSLOTS", *half)
            ask(one.server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        ask(second.server, "CLUSTER", "MEET", "127.0.0.1", first.port)
        wait_until(lambda: all(map(_is_whole, (first, second))), "a whole cluster", FORMED_LIMIT_S)
        yield first, second


def _is_whole(one: TlsServer) -> bool:
    info = ask(one.server, "CLUSTER", "INFO") or b""
    return b"cluster_state:ok" in info and b"cluster_slots_ok:%d" % SLOTS in info


@contextmanager
def _started(binary: ServerBinary, port: int, options: dict[str, str]) -> Iterator[TlsServer]:
    options = {**options, "tls-port": str(port)}
    with RedisServer(binary, on_port=True, options=options) as server:
        yield TlsServer(server, port)
