"""When what died is started again."""

from __future__ import annotations

from ops.forked import describe_end
from ops.restarts import PAUSE_MAX_S, Restarts, redis_restarts, services_restarts


def test_redis_is_given_up_at_the_third_death_within_a_minute() -> None:
    """However long it lived in between: a full disk kills it at its first write."""
    restarts = redis_restarts()
    assert restarts.after_death(started_s=0, died_s=10) is not None
    assert restarts.after_death(started_s=10, died_s=30) is not None
    assert restarts.after_death(started_s=30, died_s=60) is None


def test_deaths_more_than_a_minute_ago_are_forgiven() -> None:
    """A server that dies once an hour is started again for ever."""
    restarts = redis_restarts()
    deaths = [restarts.after_death(started_s=at - 30.5, died_s=at) for at in range(31, 4000, 31)]
    assert None not in deaths


def test_services_that_die_at_their_start_are_given_up() -> None:
    """A broken installation ends ``up`` instead of turning in circles."""
    restarts = services_restarts()
    assert restarts.after_death(started_s=0.0, died_s=0.5) is not None
    assert restarts.after_death(started_s=0.6, died_s=1.0) is not None
    assert restarts.after_death(started_s=1.2, died_s=2.0) is None


def test_handler_that_kills_its_process_does_not_end_up() -> None:
    """Its window is dead after the last attempt, if the services are started until then."""
    restarts = services_restarts()
    pauses = [restarts.after_death(started_s=at, died_s=at + 6.0) for at in range(0, 700, 7)]
    assert None not in pauses


def test_pauses_double_up_to_a_limit_and_begin_anew() -> None:
    """Short lives are spaced out; after a long one the next start is prompt again."""
    restarts = Restarts(limit=100, window_s=60)
    pauses = [restarts.after_death(started_s=at, died_s=at) for at in range(8)]
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses[-1] == PAUSE_MAX_S
    assert restarts.after_death(started_s=100, died_s=200) == 0.1


def test_end_of_a_process_is_told_in_words() -> None:
    """A signal has a name."""
    assert describe_end(3) == "exit code 3"
    assert describe_end(-9) == "SIGKILL"
