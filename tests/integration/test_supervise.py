"""The parent of ``inturn up``: what it starts, restarts, ends and refuses."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest
from redis import Redis

from ops.supervise import supervise
from shared.errors import StartRefused
from shared.home import Running, find_running
from shared.redis_binary import ServerBinary
from tests.support.machine import watched_machine
from tests.support.up import UpProcess
from tests.support.waiting import wait_until

END_TURNS = 8
"""The parent's to hear the signal and each end, both services' to give back; Redis's each time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where ``up`` runs; a short path."""
    return tmp_path / ".inturn"


@pytest.fixture(autouse=True)
def _tested_server_first_on_path(
    redis_binary: ServerBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``up`` takes what is on PATH, so the version under test comes first there."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").symlink_to(redis_binary.path.absolute())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("INTURN_REDIS_URL", raising=False)


def is_running(pid: int | None) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def pids_of(up: UpProcess) -> tuple[int, int]:
    """Redis and the services."""
    running = find_running(up.folder)
    assert running is not None
    assert running.redis_pid is not None
    return running.redis_pid, up.services_pid()


def test_services_start_with_the_embedded_redis(folder: Path) -> None:
    """They find its address in their environment, and other commands find it by the notes."""
    with UpProcess(folder) as up:
        running = up.wait_serving()
        assert (folder / "services.url").read_text() == running.redis_url
        assert running.redis_url is not None
        with Redis.from_url(running.redis_url, protocol=2) as client:
            assert client.ping()


def test_redis_of_the_setting_is_left_to_itself(folder: Path, redis_url: str) -> None:
    """With ``INTURN_REDIS_URL`` set, none is embedded and the services keep the address."""
    with UpProcess(folder, env={"INTURN_REDIS_URL": redis_url}) as up:
        running = up.wait_serving()
        assert running.redis_pid is None
        assert not (folder / "redis").exists()
        assert (folder / "services.url").read_text() == redis_url
        up.send(signal.SIGTERM)
        assert up.wait_end() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_everything_in_order(folder: Path, signum: signal.Signals) -> None:
    """The services end first, with Redis still there to drain into; idle, it takes an instant."""
    with UpProcess(folder, "drain") as up:
        up.wait_serving()
        redis, services = pids_of(up)
        with watched_machine() as machine:
            began_s = time.monotonic()
            up.send(signum)
            assert up.wait_end() == 0
            took_s = time.monotonic() - began_s
        assert took_s < machine.allows_s(3.0, END_TURNS)  # the goal is 1 s
        assert not is_running(redis)
        assert not is_running(services)
        assert find_running(folder) is None


def test_third_signal_does_not_wait_for_the_services(folder: Path) -> None:
    """Whoever presses Ctrl-C again and again gets the terminal back, and it is no good end."""
    with UpProcess(folder, "stubborn") as up:
        up.wait_serving()
        redis, services = pids_of(up)
        # a signal that is still pending swallows its like, so each is of another kind
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            up.send(signum)
        assert up.wait_end() == 128 + signal.SIGKILL
        assert not is_running(redis)
        assert not is_running(services)


def test_data_survives_the_next_up(folder: Path) -> None:
    """What one ``up`` accepted, the next one finds."""
    for expected in (1, 2):
        with UpProcess(folder) as up:
            running = up.wait_serving()
            assert running.redis_url is not None
            with Redis.from_url(running.redis_url, protocol=2) as client:
                assert client.incr("starts") == expected
            up.send(signal.SIGTERM)
            assert up.wait_end() == 0


def test_kill_of_up_takes_everything_along_and_the_next_one_starts(folder: Path) -> None:
    """SIGKILL leaves no orphan behind, and nothing that stops or waits for the next start."""
    with UpProcess(folder) as up:
        running = up.wait_serving()
        redis, services = pids_of(up)
        assert running.redis_url is not None
        with Redis.from_url(running.redis_url, protocol=2) as client:
            client.set("kept", "yes")
        up.send(signal.SIGKILL)
        with UpProcess(folder) as again:
            running = again.wait_serving()
            assert not is_running(redis)
            assert not is_running(services)
            assert running.redis_url is not None
            with Redis.from_url(running.redis_url, protocol=2) as client:
                assert client.get("kept") == b"yes"


def test_second_up_is_refused_with_pid_and_port(folder: Path) -> None:
    """It ends with 2, and the first one does not notice."""
    with UpProcess(folder) as up:
        running = up.wait_serving()
        redis, services = pids_of(up)
        with UpProcess(folder) as second:
            assert second.wait_end() == 2
        assert f"already running: pid {running.up_pid}, port {running.port}" in second.output
        assert is_running(redis)
        assert is_running(services)


def test_of_many_that_start_at_once_one_runs(folder: Path) -> None:
    """The lock decides, so no two of them ever open the same data."""
    with contextlib.ExitStack() as stack:
        all_of_them = [stack.enter_context(UpProcess(folder)) for _ in range(4)]
        running = all_of_them[0].wait_noted()
        losers = [up for up in all_of_them if up.process.pid != running.up_pid]
        assert [up.wait_end() for up in losers] == [2, 2, 2]
        assert all("already running" in up.output for up in losers)
        assert find_running(folder) == running


def test_ctrl_c_while_a_redis_is_fetched_leaves_nothing_behind(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download has a folder of its own to delete, so it is told, as it is not in an import."""
    heeded = []

    def fetch(_bin: Path, _say: object) -> None:
        heeded.append(signal.getsignal(signal.SIGINT))
        raise StartRefused(["no Redis"])

    monkeypatch.setattr("ops.supervise.find_server", fetch)
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with pytest.raises(StartRefused):
            supervise(lambda: 0, folder=folder, redis_url=None, say=lambda _text: None)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    assert heeded == [signal.default_int_handler]


def test_redis_that_dies_is_started_again(folder: Path) -> None:
    """The services go on in the same process, with the same address and the same data."""
    with UpProcess(folder) as up:
        before = up.wait_serving()
        redis, services = pids_of(up)
        assert before.redis_url is not None
        with Redis.from_url(before.redis_url, protocol=2) as client:
            client.set("kept", "yes")
        os.kill(redis, signal.SIGKILL)
        after = wait_for_another_redis(up, redis)
        assert after.redis_url == before.redis_url
        assert pids_of(up)[1] == services
        with Redis.from_url(before.redis_url, protocol=2) as client:
            wait_until(lambda: answers(client), "the new Redis answers")
            assert client.get("kept") == b"yes"


def test_third_death_of_redis_within_a_minute_ends_up(folder: Path) -> None:
    """It says what Redis said last, ends the services, and does not end well."""
    with UpProcess(folder) as up:
        up.wait_serving()
        redis, services = pids_of(up)
        for _ in range(2):
            os.kill(redis, signal.SIGKILL)
            wait_for_another_redis(up, redis)
            redis, services = pids_of(up)
        os.kill(redis, signal.SIGKILL)
        assert up.wait_end() == 1
        assert "Redis died (SIGKILL) three times within a minute: " in up.output
        assert not is_running(services)


def test_services_that_die_are_started_again(folder: Path) -> None:
    """A crash of the services is one line and a new process."""
    with UpProcess(folder, "crash_once") as up:
        up.wait_serving()
        up.send(signal.SIGTERM)
        assert up.wait_end() == 0
        assert "the services died (SIGKILL), starting them again" in up.output


def test_services_that_never_start_end_up(folder: Path) -> None:
    """Three deaths at the start are enough; the traceback was printed."""
    with UpProcess(folder, "crash") as up:
        assert up.wait_end() == 1
        assert "RuntimeError: the services are broken" in up.output
        assert "the services died (exit code 1) three times at their start" in up.output


def test_refusal_of_the_services_is_final(folder: Path) -> None:
    """A wrong setting is wrong at the next start too: exit code 2 is passed on at once."""
    with UpProcess(folder, "refuse") as up:
        assert up.wait_end() == 2
        assert "starting them again" not in up.output


def answers(client: Redis) -> bool:
    """Whether a command gets through."""
    from redis.exceptions import RedisError

    try:
        return bool(client.ping())
    except RedisError:
        return False


def wait_for_another_redis(up: UpProcess, old_pid: int) -> Running:
    """Until the notes name another pid than that of the one that died."""

    def noted() -> Running | None:
        running = find_running(up.folder)
        return running if running is not None and running.redis_pid != old_pid else None

    wait_until(noted, "a new Redis is noted")
    running = noted()
    assert running is not None
    return running
