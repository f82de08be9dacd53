"""What the scripts of a partition are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from msgspec import Struct

from shared.errors import BrokerRefused
from shared.model import Conversation, EntryId, Memory, Token, Window, WorkerId

RawEntry = tuple[bytes, bytes | list[bytes]]
"""An entry as Redis gives it: id, and field, value, ...; or the value alone of the field m."""


_LOST_GROUP, _REWOUND = 2, 3
"""What ``claim`` calls NO_GROUP and REWOUND."""


class ReadCode(IntEnum):
    """What became of the read of one stream."""

    READ = 0
    NO_STREAM = 1
    NO_GROUP = 2
    FAILED = 3
    MORE = 4


class StartCode(IntEnum):
    """What became of the start of one window."""

    STARTED = 0
    CONFLICT = 1
    GONE = 2


class FinishCode(IntEnum):
    """
    What became of a finish: ``ALREADY`` is the answer to a call whose answer was lost.

    ``MUTED``: it is finished, and its reply dropped, for somebody had muted the user meanwhile.
    """

    FINISHED = 0
    ALREADY = 1
    REFUSED = 2
    MUTED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Peek:
    """The partition at a moment: Redis's ms, streams with unread entries, the last reply's id."""

    now_ms: int
    unread: tuple[str, ...]
    last_reply: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRead:
    """What one stream gave. ``drained``: nothing is left in it."""

    instance: str
    code: ReadCode
    entries: Sequence[RawEntry]
    drained: bool
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """What one read script gave. ``peek``: the partition afterwards, if that was asked."""

    peek: Peek | None
    streams: Sequence[StreamRead]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPage:
    """
    A page of pending entries; ``cursor`` is ``0-0`` after the last one.

    ``foreign``: told with the first page, how many of the stream another worker had read.
    ``lost_group``: there was no group; it is there again from 0, and the stream ready to be read.
    ``rewound``: the same with a group that held less than is there, and nothing was to be read.
    """

    cursor: bytes
    entries: Sequence[RawEntry]
    missing: int
    lost_group: bool = False
    rewound: bool = False
    foreign: int = 0

    @classmethod
    def of(cls, answer: Sequence[Any], us: WorkerId) -> ClaimPage:
        """What ``claim`` answered us."""
        code, cursor, entries, missing, readers = answer
        own = us.encode()
        return cls(
            cursor=cursor,
            entries=entries,
            missing=missing,
            lost_group=code == _LOST_GROUP,
            rewound=code == _REWOUND,
            foreign=sum(int(count) for reader, count in readers if reader != own),
        )


class StartRequest(Struct, frozen=True, kw_only=True, gc=False):
    """A window to start: the token that must stand there now (None: none), and the new one."""

    window: Window
    replaces: Token | None
    token: Token
    error: str = ""


class FinishRequest(Struct, frozen=True, kw_only=True, gc=False):
    """
    What became of a window, whose first entry is ``first``.

    ``outcome``: ``answered`` (value: the encoded reply), ``dead`` (the dead letter), ``silent``,
    ``muted``, ``with_human`` or ``missing``. ``memory``: what the handler is told again;
    ``mute_ms``: for how long the user is muted then.
    """

    conversation: Conversation
    first: EntryId
    token: Token
    outcome: str
    value: bytes = b""
    memory: Memory | None = None
    mute_ms: int = 0


FinishAnswer = FinishCode | BrokerRefused
"""What became of one window's finish; an error of its own is no other's."""


class StartAnswer(Struct, frozen=True, kw_only=True, gc=False):
    """
    What became of a start; the numbers are the record's, ``now_ms`` is Redis's time.

    ``is_muted``: no handler is to be called, the user is a person's.
    """

    code: StartCode
    attempt: int
    delay_ms: int
    since: int
    now_ms: int
    is_muted: bool = False


def peek_of(now_ms: int, names: Sequence[bytes], last_reply: bytes) -> Peek:
    """What the peek of a script gave."""
    unread = tuple(name.decode() for name in names)
    return Peek(now_ms=now_ms, unread=unread, last_reply=last_reply)


def stream_read_of(instance: str, code: int, body: Any) -> StreamRead:
    """What a read script gave of one stream."""
    failed = code == ReadCode.FAILED
    return StreamRead(
        instance=instance,
        code=ReadCode(code),
        entries=[] if failed else list(zip(body[::2], body[1::2], strict=True)),
        drained=code in (ReadCode.NO_STREAM, ReadCode.READ),
        error=body.decode() if failed else "",
    )
