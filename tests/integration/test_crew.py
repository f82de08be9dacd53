"""The parent of several processes: what it starts, replaces, ends and gives up."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.crew_process import CrewProcess
from tests.support.waiting import wait_until


def is_running(pid: int) -> bool:
    """Whether a process lives; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_what_ends_is_replaced_and_the_other_stays(tmp_path: Path, signum: signal.Signals) -> None:
    """Killed, or ended in order by somebody: another takes its place, and only its."""
    with CrewProcess(tmp_path, "work") as crew:
        first, second = crew.pid(0), crew.pid(1)

        os.kill(second, signum)

        assert is_running(crew.pid(1, after=second))
        assert is_running(first)
        assert crew.pid(0) == first
        crew.process.terminate()
        assert crew.wait_end() == 0
        assert '"event":"process.ended","number":1' in crew.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_all_in_order(tmp_path: Path, signum: signal.Signals) -> None:
    """The parent passes it on as SIGTERM, and leaves when nobody is left."""
    with CrewProcess(tmp_path, "work") as crew:
        members = crew.pid(0), crew.pid(1)

        crew.process.send_signal(signum)

        assert crew.wait_end() == 0
        assert not any(map(is_running, members))
        assert "process.ended" not in crew.output


def test_an_end_that_was_not_in_order_is_told(tmp_path: Path) -> None:
    """A supervisor learns that one of them did not end well."""
    with CrewProcess(tmp_path, "second_ends_badly") as crew:
        crew.pid(0)
        crew.pid(1)
        crew.process.terminate()
        assert crew.wait_end() == 3


def test_the_third_signal_does_not_wait(tmp_path: Path) -> None:
    """Who does not heed SIGTERM is killed at last, and it is no good end."""
    with CrewProcess(tmp_path, "second_is_stubborn") as crew:
        members = crew.pid(0), crew.pid(1)
        # a signal that is still pending swallows its like, so each is of another kind
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            crew.process.send_signal(signum)
        assert crew.wait_end() == 128 + signal.SIGKILL
        assert not any(map(is_running, members))


def test_a_killed_parent_takes_all_along(tmp_path: Path) -> None:
    """No orphan keeps the port, and the next start finds it free."""
    with CrewProcess(tmp_path, "work") as crew:
        members = crew.pid(0), crew.pid(1)
        crew.process.kill()
        wait_until(lambda: not any(map(is_running, members)), "the end of both")


def test_a_refused_start_ends_all(tmp_path: Path) -> None:
    """What is wrong at the first start is wrong for all, and for every further try."""
    with CrewProcess(tmp_path, "second_refuses") as crew:
        assert crew.wait_end() == 2
        noted = tmp_path / "0.pid"
        assert not noted.exists() or not is_running(int(noted.read_text()))


def test_a_later_refusal_takes_nobody_along(tmp_path: Path) -> None:
    """A disk that is full for one that starts again is no reason to end those that serve."""
    with CrewProcess(tmp_path, "refuses_once_later") as crew:
        first, second = crew.pid(0), crew.pid(1)
        os.kill(second, signal.SIGKILL)
        refused = crew.pid(1, after=second)

        assert is_running(crew.pid(1, after=refused))
        assert is_running(first)


def test_no_room_for_a_process_takes_nobody_along(tmp_path: Path) -> None:
    """Those that live serve on, and it is started when there is room again."""
    with CrewProcess(tmp_path, "no_third_fork") as crew:
        first, second = crew.pid(0), crew.pid(1)
        os.kill(second, signal.SIGKILL)

        assert is_running(crew.pid(1, after=second))
        assert is_running(first)
        crew.process.terminate()
        assert crew.wait_end() == 0
        assert '"event":"process.not_started","number":1' in crew.output


def test_what_never_lives_is_given_up(tmp_path: Path) -> None:
    """When no process comes up, the supervisor above is to know."""
    with CrewProcess(tmp_path, "none_lives") as crew:
        assert crew.wait_end() == 128 + signal.SIGKILL
        assert '"event":"process.given_up"' in crew.output
        assert (tmp_path / "0.lives").stat().st_size >= 3
