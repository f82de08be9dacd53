"""
Every error that inturn raises itself, with the one reaction that belongs to it.

    InturnError
    ├── StartRefused          exit 2, every problem in one message
    ├── RequestRefused        answer 4xx with {"error": {"code", "message"}}; store nothing
    ├── BrokerUnavailable     unknown whether Redis executed it: retry the same call, with backoff
    │   ├── NotConnected      nothing was sent: certainly not executed; retry with backoff
    │   └── NotDurable        executed, not as durable as is set: not accepted; retry the same call
    ├── BrokerRefused         Redis answered with an error: certainly not written; retry later
    ├── BacklogFull           too much is unfinished: answer 503, the sender sends again
    ├── SpoolUnavailable      not kept on the disk: answer 503, the sender sends again
    ├── Fenced                another worker owns the partition: step down from it
    ├── EntryUndecodable      this entry alone becomes a dead letter
    ├── RetryLater            (raised by a handler) run the window again, counted
    └── Reject                (raised by a handler) dead-letter the window now
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class InturnError(Exception):
    """The root: catches all that inturn raises on purpose, and nothing else."""


class StartRefused(InturnError):
    """The process must not start: exit 2 and print every problem at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RequestRefused(InturnError):
    """A caller's mistake: answer ``status`` (4xx), store nothing."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        super().__init__(message)


class BrokerUnavailable(InturnError):
    """No answer from Redis; whether the command ran is unknown, so only idempotent calls follow."""


class NotConnected(BrokerUnavailable):
    """There is no connection, and nothing was sent: certainly not executed."""


class NotDurable(BrokerUnavailable):
    """
    Redis executed it, but it is not as durable as ``DURABILITY`` asks: nobody may rely on it.

    ``answer`` is what the command itself answered. The same call again, also when it finds its
    work done, asks for the durability again.
    """

    def __init__(self, message: str, answer: Any = None) -> None:
        self.answer = answer
        super().__init__(message)


class BrokerRefused(InturnError):
    """Redis answered with an error (``code`` is its first word); nothing was written."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class BacklogFull(InturnError):
    """``BACKLOG_LIMIT`` messages are unfinished: nothing is kept, so answer 503."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"{limit} messages are unfinished")


class SpoolUnavailable(InturnError):
    """The spool is full, or its disk refuses: nothing is kept, so answer 503."""


class Fenced(InturnError):
    """The lease of ``partition`` is not ours under this epoch: forget its windows, step down."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        super().__init__(f"lease of partition {partition} was lost")


class EntryUndecodable(InturnError):
    """A stream entry that no version of the wire format explains: dead-letter it alone."""


class RetryLater(InturnError):
    """
    Raised by a handler: run this window again, later. The attempt counts.

    ``RetryLater(30)``, ``RetryLater(30, "the books are closed")``: after 30 s, at most
    ``RETRY_MAX_MS``; the text is for the log and the dead letter. ``RetryLater()`` and
    ``RetryLater("the books are closed")`` leave the time to the usual backoff. After the last of
    ``MAX_ATTEMPTS`` the window is a dead letter.
    """

    def __init__(
        self,
        after_s: float | str | None = None,
        message: str = "the handler asked for a retry",
        *,
        after_ms: int | None = None,
    ) -> None:
        """``after_ms`` is for who has milliseconds; of both, ``after_s`` is obeyed."""
        is_message = isinstance(after_s, str)
        self.after_s = None if is_message else after_s
        self.after_ms = after_ms
        super().__init__(after_s if is_message else message)


class Reject(InturnError):
    """
    Raised by a handler: this window can never be answered.

    It is a dead letter at once, kept whole with the error: ``inturn dead list``, ``replay``.
    """


def describe_error(error: BaseException) -> str:
    """Class and text of an exception, also of a stranger's whose text cannot be told."""
    try:
        text = str(error)
    except Exception as why:  # noqa: BLE001  a stranger's __str__
        text = f"its text cannot be told ({type(why).__name__})"
    return f"{type(error).__name__}: {text}"
