"""What Redis's errors mean, and which of them are an outage."""

from __future__ import annotations

import errno
import socket

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from shared.broker_errors import MAX_CLIENTS, classify, is_outage
from shared.errors import BrokerRefused, BrokerUnavailable, Fenced, NotConnected, NotDurable

WORDS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MISCONF": "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "MASTERDOWN": "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is 'no'.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
    "TRYAGAIN": "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED": "MOVED 3999 127.0.0.1:6381",
    "ASK": "ASK 3999 127.0.0.1:6381",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL.",
    MAX_CLIENTS: "ERR max number of clients reached",
    "NOAUTH": "NOAUTH Authentication required.",
    "WRONGPASS": "WRONGPASS invalid username-password pair or user is disabled.",
    "NOPERM": "NOPERM this user has no permissions to run the 'xadd' command",
}
FAULTS_OF_ONE_CALL = {
    "WRONGTYPE": "WRONGTYPE Operation against a key holding the wrong kind of value",
    "NOGROUP": "NOGROUP No such key 's' or consumer group 'workers' in XREADGROUP",
    "NOSCRIPT": "NOSCRIPT No matching script. Please use EVAL.",
    "BUSYGROUP": "BUSYGROUP Consumer Group name already exists",
    "CROSSSLOT": "CROSSSLOT Keys in request don't hash to the same slot",
    "ERR": "ERR syntax error",
}


def answered(words: str) -> RedisError:
    """The exception that redis-py makes of an error reply."""
    error: RedisError = BaseParser.parse_error(words)  # type: ignore[no-untyped-call]
    return error


@pytest.mark.parametrize("code, words", [*WORDS.items(), *FAULTS_OF_ONE_CALL.items()])
def test_an_error_reply_is_named_by_its_code(code: str, words: str) -> None:
    """Also where redis-py has a class of its own for it, or takes it for a lost connection."""
    meaning = classify(answered(words))

    assert isinstance(meaning, BrokerRefused)
    assert meaning.code == code


@pytest.mark.parametrize("words", WORDS.values())
def test_what_stops_every_write_is_an_outage(words: str) -> None:
    """Messages are then kept elsewhere, for the next one would fare like this one."""
    assert is_outage(classify(answered(words)))


@pytest.mark.parametrize("words", FAULTS_OF_ONE_CALL.values())
def test_what_stops_one_call_is_no_outage(words: str) -> None:
    """A stream that somebody overwrote does not send everybody's messages to the spool."""
    assert not is_outage(classify(answered(words)))


def test_no_answer_is_an_outage() -> None:
    """Of whatever kind the silence is."""
    assert is_outage(classify(RedisConnectionError("closed")))
    assert is_outage(classify(TypeError("redis-py, of a dead peer")))
    assert is_outage(NotConnected("refused"))
    assert is_outage(NotDurable("0 of 1 replicas"))
    assert type(classify(TimeoutError())) is BrokerUnavailable


def test_other_errors_are_no_outage() -> None:
    """A lost lease is between workers."""
    assert not is_outage(Fenced(3))
    assert not is_outage(ValueError())


@pytest.mark.parametrize(
    "text",
    [
        "Error running script (call to f_1): @user_script:1: -OOM command not allowed when used",
        "OOM command not allowed when used memory > 'maxmemory'. script: 1f, on @user_script:1.",
    ],
)
def test_an_error_inside_a_script_is_named_by_its_own_code(text: str) -> None:
    """Redis 6.2 hides the code in the middle of its message, 7 puts it first."""
    meaning = classify(ResponseError(text))

    assert isinstance(meaning, BrokerRefused)
    assert meaning.code == "OOM"


def test_a_refused_password_is_seen_behind_a_failed_connection() -> None:
    """redis-py raises one from the other."""
    error = RedisConnectionError("failed")
    error.__cause__ = answered(WORDS["WRONGPASS"])

    meaning = classify(error)

    assert isinstance(meaning, BrokerRefused)
    assert meaning.code == "WRONGPASS"


def test_no_answer_bears_the_reason_of_the_system() -> None:
    """Refused, or no file left to open: told apart, and without the server's address."""
    try:
        try:
            raise OSError(errno.EMFILE, "Too many open files, connecting to redis.example")
        except OSError as error:
            raise RedisConnectionError(f"Error connecting: {error}")  # noqa: B904  as redis-py does
    except RedisConnectionError as error:
        meaning = classify(error)

    assert isinstance(meaning, BrokerUnavailable)
    assert str(meaning) == "no answer from Redis: ConnectionError (Too many open files)"


def test_a_host_that_nobody_knows_is_told_as_one() -> None:
    """The system counts these reasons apart from its others, below 0."""
    error = RedisConnectionError("failed")
    error.__cause__ = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    meaning = classify(error)

    assert (
        str(meaning)
        == "no answer from Redis: ConnectionError (its host: Name or service not known)"
    )


def test_a_stranger_on_the_port_is_told_as_one() -> None:
    """What it said is not: it may be anything."""
    meaning = classify(InvalidResponse("Protocol Error: HTTP/1.1 400"))
    assert str(meaning) == "no answer from Redis: InvalidResponse (what answers there is no Redis)"
