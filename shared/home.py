"""
The folder ``.inturn`` and who runs in it: one ``inturn up`` holds its lock, notes tell the others.

``up.lock`` is held (``flock``) by ``up`` and inherited by its Redis and its services, so it is free
only when the last of them is gone: nobody starts a second Redis on the same data. ``up.json`` is
written by ``up``, ``services.json`` by the services once they listen; each is replaced whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from shared.errors import StartRefused
from shared.settings import Settings

FOLDER_NAME = ".inturn"

LEAVING_S = 5.0
"""How long what a killed ``up`` left behind may take to leave before a new one gives up."""

GLANCE_S = 0.3
"""``find_running`` holds the lock for an instant; being refused for longer is an owner."""

POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What runs in a folder; ports are unknown until the services listen."""

    up_pid: int
    redis_pid: int | None
    redis_socket: Path | None
    port: int | None
    consumer_port: int | None

    @property
    def redis_url(self) -> str | None:
        """The embedded Redis as ``INTURN_REDIS_URL``; none when ``up`` uses another."""
        return None if self.redis_socket is None else socket_url(self.redis_socket)

    def describe(self) -> str:
        """For the person who starts a second one."""
        where = "not listening yet" if self.port is None else f"port {self.port}"
        return (
            f"already running: pid {self.up_pid}, {where}; end that one first, or start this one "
            "in another folder, with an INTURN_PORT and an INTURN_CONSUMER_PORT of its own"
        )


def socket_url(socket: Path) -> str:
    """redis-py takes percent-encoding out of the path again."""
    return f"unix://{quote(str(socket))}"


def home_folder() -> Path:
    """``.inturn`` in the working directory."""
    return Path.cwd() / FOLDER_NAME


def prepare_folder(folder: Path) -> None:
    """Create it for this user alone, and out of the way of the version control around it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


class FolderLock:
    """Held from ``take`` until the last process that inherited ``fd`` has ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.fd = -1

    def take(self) -> Running | None:
        """
        Become the one ``up`` of the folder; the notes of the one before are returned and removed.

        Raises:
            StartRefused: somebody runs; the message has the pid and, where known, the port.
        """
        self.fd = os.open(self._folder / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        began = time.monotonic()
        while not _try_lock(self.fd, fcntl.LOCK_EX):
            waited_s = time.monotonic() - began
            running = read_notes(self._folder)
            alive = running is not None and _is_alive(running.up_pid)
            if waited_s > (GLANCE_S if alive else LEAVING_S):
                self.release()
                raise StartRefused([_refusal(running, alive)])
            time.sleep(POLL_S)
        left = read_notes(self._folder)
        for name in ("up.json", "services.json"):
            (self._folder / name).unlink(missing_ok=True)
        return left

    def release(self) -> None:
        """Let go of this process's hold; those that inherited it keep theirs."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def note_up(folder: Path, *, redis_pid: int | None, redis_socket: Path | None) -> None:
    """Written by ``up`` at its start and with every new Redis."""
    socket = None if redis_socket is None else str(redis_socket)
    _replace(
        folder / "up.json",
        {"up_pid": os.getpid(), "redis_pid": redis_pid, "redis_socket": socket},
    )


def note_services(folder: Path, *, port: int, consumer_port: int) -> None:
    """Written by the services under ``up`` once they listen."""
    ports = {"port": port, "consumer_port": consumer_port}
    _replace(folder / "services.json", {"pid": os.getpid(), **ports})


def find_running(folder: Path) -> Running | None:
    """What runs in ``folder``; nothing when its lock is free or nothing is noted yet."""
    try:
        fd = os.open(folder / "up.lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        if _try_lock(fd, fcntl.LOCK_SH):
            return None
    finally:
        os.close(fd)
    return read_notes(folder)


def find_redis_url(settings: Settings) -> str:
    """
    The Redis that is set, else the one that an ``inturn up`` of this folder embeds.

    Raises:
        StartRefused: there is neither; the message says what to set.
    """
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    folder = home_folder()
    running = find_running(folder)
    if running is None:
        problem = f"INTURN_REDIS_URL is not set, and no inturn up runs in this folder ({folder})"
        raise StartRefused([f"{problem}: set it to redis://host:port/0, or change the folder"])
    if running.redis_url is None:
        problem = (
            "INTURN_REDIS_URL is not set here, and the inturn up of this folder embeds no Redis"
        )
        raise StartRefused([f"{problem}: set it to what that one was given"])
    return running.redis_url


def read_notes(folder: Path) -> Running | None:
    """The notes as they stand, whether or not somebody still runs."""
    up = _read(folder / "up.json")
    pid = up.get("up_pid")
    if not isinstance(pid, int):
        return None
    services = _read(folder / "services.json")
    socket = up.get("redis_socket")
    return Running(
        up_pid=pid,
        redis_pid=_int_or_none(up.get("redis_pid")),
        redis_socket=Path(socket) if isinstance(socket, str) else None,
        port=_int_or_none(services.get("port")),
        consumer_port=_int_or_none(services.get("consumer_port")),
    )


def _refusal(running: Running | None, alive: bool) -> str:  # noqa: FBT001  one caller, above
    if running is None:
        return "already running: another inturn up is starting in this folder"
    if alive or running.redis_pid is None:
        return running.describe()
    return (
        f"pid {running.up_pid} has ended, but what it started still runs "
        f"(its Redis was pid {running.redis_pid}); end that first"
    )


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _replace(path: Path, note: Mapping[str, object]) -> None:
    scratch = path.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(note) + "\n")
    scratch.replace(path)


def _read(path: Path) -> dict[str, object]:
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _int_or_none(value: object) -> int | None:
    return value if isinstance(value, int) else None
