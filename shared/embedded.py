"""
The embedded Redis: a private server for ``inturn up``, reached over a Unix socket alone.

It is a child that ends with its parent, however that ends (``shared/lifeline.py``); in a process
group of its own, so that Ctrl-C on a terminal reaches the services and not the Redis that they
still drain into. Its data is in ``.inturn/redis``, with ``appendfsync always``: what was answered
is on disk. That, and ``aof-load-truncated``, is why killing it is safe: the unfinished last write
is cut off when it starts again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from shared.errors import StartRefused
from shared.home import Running, socket_url
from shared.lifeline import tie_to_this_process
from shared.redis_binary import ServerBinary

SOCKET_PATH_MAX_BYTES = 107
"""``sun_path`` has 108 bytes on Linux, one of them the NUL. (104 on macOS, which says so.)"""

SOCKET_NAME = "redis.sock"
PRIVATE_PREFIX = "inturn-"

PING_LIMIT_S = 0.5
STOP_LIMIT_S = 5.0
POLL_S = 0.01

LOG_TAIL_BYTES = 4096


def fits_socket(path: Path) -> bool:
    """Whether the kernel takes ``path`` as a socket's address."""
    return len(os.fsencode(path)) <= SOCKET_PATH_MAX_BYTES


def choose_socket(folder: Path, temporary: Sequence[Path]) -> tuple[Path, Path | None]:
    """
    The socket's path, or the place under which a private folder for it is to be made.

    ``folder`` is taken when its path is short enough, else the first of ``temporary`` that is.

    Raises:
        StartRefused: none of them is.
    """
    wanted = folder / SOCKET_NAME
    if fits_socket(wanted):
        return wanted, None
    for place in temporary:
        # mkdtemp adds eight characters to the prefix
        private = place / f"{PRIVATE_PREFIX}12345678" / SOCKET_NAME
        if fits_socket(private):
            return private, place
    raise StartRefused([f"the path {wanted} is too long for a socket, and so is TMPDIR"])


def server_arguments(unix_socket: Path) -> list[str]:
    """What makes it private and durable; relative paths are below its working directory."""
    return [
        *("--port", "0"),
        *("--unixsocket", str(unix_socket), "--unixsocketperm", "700"),
        *("--dir", "."),
        *("--daemonize", "no"),
        *("--save", ""),
        *("--appendonly", "yes", "--appendfsync", "always", "--aof-load-truncated", "yes"),
        *("--maxmemory-policy", "noeviction"),
    ]


def is_answering(unix_socket: Path) -> bool:
    """Whether a Redis behind the socket takes commands; not while it still loads its data."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PING_LIMIT_S)
        try:
            connection.connect(str(unix_socket))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


class EmbeddedRedis:
    """
    One private server of ``folder``; whoever holds the folder's lock owns it.

    ``start`` and ``stop`` are called from the main thread. Nothing here restarts it: that is
    the supervisor's decision.
    """

    def __init__(self, binary: ServerBinary, folder: Path, *, inherited_fds: Sequence[int] = ()):
        """The server keeps ``inherited_fds`` open: the folder's lock."""
        self.binary = binary
        self.data = folder / "redis"
        self.log = folder / "redis.log"
        self._folder = folder
        self._inherited_fds = tuple(inherited_fds)
        self._private_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = self._make_place()

    @property
    def url(self) -> str:
        """In the form of ``INTURN_REDIS_URL``."""
        return socket_url(self.socket)

    @property
    def pid(self) -> int | None:
        """Of the server that was started last."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server; ``is_ready`` tells when it takes commands."""
        self.socket.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # not resolved: Debian's is a symlink, and the program acts by the name it has
                [self.binary.path.absolute(), *server_arguments(self.socket)],
                cwd=self.data,
                # Redis 7 does not start under a locale that the machine lacks
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherited_fds,
                process_group=0,
                preexec_fn=tie_to_this_process(),  # noqa: PLW1509  the caller has no threads
            )

    def is_ready(self) -> bool:
        """Whether it takes commands."""
        return self.exit_code() is None and is_answering(self.socket)

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def wait_ready(self, limit_s: float) -> None:
        """
        Block until it takes commands.

        Raises:
            StartRefused: it ended, or still loads after ``limit_s``.
        """
        deadline = time.monotonic() + limit_s
        while not self.is_ready():
            if self.exit_code() is not None or time.monotonic() > deadline:
                raise StartRefused([f"the embedded Redis did not start: {self.last_log_line()}"])
            time.sleep(POLL_S)

    def last_log_line(self) -> str:
        """The last thing that the server said, for the person who asks why it died."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            return f"{self.log} cannot be read"
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def stop(self) -> None:
        """End it, by SIGTERM and if need be by SIGKILL; remove its socket."""
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.socket.unlink(missing_ok=True)
        if self._private_folder is not None:
            with contextlib.suppress(OSError):
                self._private_folder.rmdir()

    def _make_place(self) -> Path:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_older_server(self.binary, self.data)
        path, place = choose_socket(self._folder, [Path(tempfile.gettempdir()), Path("/tmp")])  # noqa: S108  a folder is made in it, by mkdtemp
        if place is None:
            return path
        self._private_folder = Path(tempfile.mkdtemp(prefix=PRIVATE_PREFIX, dir=place))
        return self._private_folder / SOCKET_NAME


def refuse_older_server(binary: ServerBinary, data: Path) -> None:
    """
    Keep a 6.2 from starting empty beside data of a newer server, which it would not look at.

    Redis 7 moved its append-only files into ``appendonlydir``; it takes over those of 6.2.

    Raises:
        StartRefused: the data was written by Redis 7 or newer.
    """
    if binary.version < (7, 0, 0) and (data / "appendonlydir").exists():
        problem = f"{data} was written by Redis 7 or newer, and {binary.path} is"
        raise StartRefused([f"{problem} {binary.version_text}: install a newer redis-server"])


def remove_left_socket(left: Running | None) -> None:
    """Remove the private folder that an ``up`` which was killed left in the temporary directory."""
    if left is None or left.redis_socket is None:
        return
    private = left.redis_socket.parent
    if not private.name.startswith(PRIVATE_PREFIX):
        return
    with contextlib.suppress(OSError):
        if private.lstat().st_uid == os.getuid():
            shutil.rmtree(private)
