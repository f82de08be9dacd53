"""
What an error of Redis means: the one place where redis-py's errors are read. Pure.

Redis's own words are a ``BrokerRefused`` whose ``code`` is the first of them, no words are a
``BrokerUnavailable``. What inturn then does:

    code         says                             reaction
    READONLY     a replica, or demoted            the pipe connects anew: to the primary of now
    MASTERDOWN   a replica without its primary    the same
    LOADING      it reads its data from disk      an outage: try again, with backoff
    MISCONF      it cannot write to its disk      an outage: new messages as ``on_outage`` says,
                                                  what was done is repeated until it is written
    OOM          at ``maxmemory``                 the same; everything but ``append`` works on
    NOREPLICAS   fewer than its own settings ask  the same; the pipe connects anew, for this may be
                                                  a primary that was replaced and not told
    BUSY         a slow script runs               an outage: try again, with backoff
    MAXCLIENTS   it takes no connection more      an outage: connect again, with backoff
    MOVED        another node has the slot        the pipe sends it there, and asks who has which
    ASK          another node is getting the slot the pipe sends it there this once, with ASKING
    TRYAGAIN     the slot's keys are on their way the pipe sends it again, with backoff; these
                 three are an outage only when they do not end while an answer is waited for
    CLUSTERDOWN  a slot without a node            an outage: try again, with backoff; the pipe
                                                  asks who has which slot
    CROSSSLOT    keys of several slots            this call alone has failed: a mistake of ours
    NOCLUSTER    (our word) no node of a cluster  exit 2 at the start
    NOSCRIPT     does not know a script           the pipe sends the script's text, once
    NOGROUP      a stream without its group       made again at ``0`` by the script that reads
    NOAUTH, WRONGPASS  user or password is wrong  exit 2 at the start; later an outage
    NOPERM       an ACL denies a command          the same
    WRONGTYPE, ERR  one key or one call is wrong  this call alone has failed
"""

from __future__ import annotations

import os
import re
import socket
import ssl

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    InvalidResponse,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from shared.errors import BrokerRefused, BrokerUnavailable

MAX_CLIENTS = "MAXCLIENTS"
"""Our word: Redis says ``ERR max number of clients reached``."""

NO_CLUSTER = "NOCLUSTER"
"""Our word for a server that is asked for slots and has cluster support disabled."""

MISPLACED = frozenset({"MOVED", "ASK", "TRYAGAIN"})
"""Not executed, for the slot is elsewhere or on its way."""

NOT_LET_IN = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})

NOT_A_PRIMARY = frozenset({"READONLY", "MASTERDOWN"})
"""Said by a server that is not the primary any more: whoever connects anew may find that one."""

TO_BE_LEFT = NOT_A_PRIMARY | {"NOREPLICAS"}
"""Also by one that may not be it any more: its replicas follow another one, and it was not told."""

OUTAGES = (
    frozenset({"OOM", "MISCONF", "LOADING", "BUSY", "CLUSTERDOWN", MAX_CLIENTS})
    | MISPLACED
    | TO_BE_LEFT
    | NOT_LET_IN
)

_CODES: dict[type[Exception], str] = {
    AuthenticationError: "WRONGPASS",
    BusyLoadingError: "LOADING",
    MasterDownError: "MASTERDOWN",
    NoPermissionError: "NOPERM",
    NoScriptError: "NOSCRIPT",
    OutOfMemoryError: "OOM",
    ReadOnlyError: "READONLY",
}
_CUT_OFF = frozenset({"NOAUTH", "CLUSTERDOWN", "CROSSSLOT"}) | MISPLACED
_SCRIPT_ERROR = re.compile(r"-([A-Z]{2,})\b")
_LEADING_CODE = re.compile(r"^([A-Z]{2,})\b")


def classify(error: BaseException) -> BrokerRefused | BrokerUnavailable:
    """
    What an error of redis-py means: an answer of Redis, or none.

    redis-py cuts the leading code off the errors that it has a class for, and hides a refused
    password as the cause of a failed connection; inside a script Redis 6.2 puts the code behind
    a dash in the middle of its message.
    """
    for seen in (error, error.__cause__):
        if code := _code_of(seen):
            return BrokerRefused(code, str(seen))
    if isinstance(error, ResponseError):
        text = str(error)
        inner = _SCRIPT_ERROR.search(text) if "script" in text else None
        match = inner or _LEADING_CODE.search(text)
        return BrokerRefused(match.group(1) if match else "ERR", text)
    return BrokerUnavailable(f"no answer from Redis: {type(error).__name__}{_system_says(error)}")


def classify_caught(text: str) -> BrokerRefused:
    """What the text of an error means that a script has caught, and goes on."""
    inner = _SCRIPT_ERROR.search(text) or _LEADING_CODE.search(text)
    return BrokerRefused(inner.group(1) if inner else "ERR", text)


def is_outage(error: BaseException) -> bool:
    """
    Whether Redis as a whole takes no writes now, so that every other call fares like this one.

    False where one key or one call is at fault (WRONGTYPE, ERR, a script's own error): others
    work, and waiting mends nothing.
    """
    if isinstance(error, BrokerUnavailable):
        return True
    return isinstance(error, BrokerRefused) and error.code in OUTAGES


def _system_says(error: BaseException) -> str:
    """
    The system's reason (connection refused, too many open files), by number: no addresses.

    Python numbers what TLS finds as if it came from the system, where that number means another.
    """
    for seen in (error, error.__cause__, error.__context__):
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f" (its certificate: {seen.verify_message.partition(',')[0]})"
        if isinstance(seen, ssl.SSLError):
            return f" (TLS: {seen.reason})"
        if isinstance(seen, socket.gaierror):
            return f" (its host: {seen.strerror})"
        if isinstance(seen, InvalidResponse):
            return " (what answers there is no Redis)"
        if isinstance(seen, OSError) and seen.errno is not None and seen.errno > 0:
            return f" ({os.strerror(seen.errno)})"
    return ""


def _code_of(error: BaseException | None) -> str | None:
    if not isinstance(error, RedisError):
        return None
    if str(error) == "max number of clients reached":
        return MAX_CLIENTS
    said = getattr(error, "status_code", None)
    if said in _CUT_OFF:
        return str(said)
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    return None
