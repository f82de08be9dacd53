"""
The names of everything in Redis.

Every key of a partition carries its hash tag ``{<number>}``, so that a script on them touches
one slot of a cluster. Users and message ids appear only hashed, instance names percent-encoded.
The same module decides which partition a conversation belongs to.
"""

from __future__ import annotations

import hashlib
import unicodedata
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial
from urllib.parse import quote

GROUP = b"workers"
"""The consumer group of every stream."""

LAYOUT = 1
"""Version of what this module describes; kept in ``<prefix>:meta`` beside the partition count."""

INSTANCE_MAX_CHARS = 128

_PARTITION_KEYS = (
    "streams",
    "ready",
    "pending",
    "bell",
    "lease",
    "epoch",
    "running",
    "outbox",
    "sending",
    "journal",
    "dead",
    "muted",
    "counts",
)

# A copy of one that is set up costs half of setting one up.
_USER_HASH = hashlib.blake2b(digest_size=16, person=b"inturn-user")
_MESSAGE_HASH = hashlib.blake2b(digest_size=12, person=b"inturn-message")
_TICKET_HASH = hashlib.blake2b(digest_size=16, person=b"inturn-ticket")
_SENT_HASH = hashlib.blake2b(digest_size=12, person=b"inturn-sent")


def partition_of(instance: str, user: str, partitions: int) -> int:
    """The partition of a conversation: fixed for the life of the data."""
    return zlib.crc32(f"{instance}\0{user}".encode()) % partitions


def is_instance_name(name: str) -> bool:
    """1 to 128 characters, none of them a control character or half a surrogate pair."""
    if not 0 < len(name) <= INSTANCE_MAX_CHARS:
        return False
    if name.isascii():
        return name.isprintable()  # of ASCII just the control characters are not
    return all(unicodedata.category(char) not in ("Cc", "Cs") for char in name)


def conversation_hash(instance: str, user: str) -> str:
    """32 hex digits that stand for a conversation in key names and in the journal."""
    hashed = _USER_HASH.copy()
    hashed.update(f"{instance}\0{user}".encode())
    return hashed.hexdigest()


def message_hash(message_id: str) -> bytes:
    """12 bytes that stand for a message id in its conversation's dedupe hash."""
    hashed = _MESSAGE_HASH.copy()
    hashed.update(message_id.encode())
    return hashed.digest()


def sent_hash(instance: str, user: str, sent_id: str) -> bytes:
    """12 bytes that stand for the id of a text that was sent to a user."""
    hashed = _SENT_HASH.copy()
    hashed.update(f"{instance}\0{user}\0{sent_id}".encode(errors="surrogatepass"))
    return hashed.digest()


def ticket_hash(verb: str, key: str) -> bytes:
    """16 bytes that stand for an Idempotency-Key of one verb of the tickets."""
    hashed = _TICKET_HASH.copy()
    hashed.update(f"{verb}\0{key}".encode(errors="surrogatepass"))
    return hashed.digest()


def tickets_channel(prefix: str) -> str:
    """Where the name of a clinic is published after each change of its queue."""
    return f"{prefix}:tickets"


def conversation_field(instance: str, user: str) -> bytes:
    """The field of ``running`` that belongs to a conversation."""
    return f"{instance}\0{user}".encode()


def conversation_of_field(field: bytes) -> tuple[str, str]:
    """The inverse of ``conversation_field``; an instance name holds no NUL."""
    instance, _, user = field.decode().partition("\0")
    return instance, user


@lru_cache(maxsize=4096)
def _quoted(instance: str) -> str:
    return quote(instance, safe="")


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """The keys of one partition."""

    number: int
    base: str
    streams: str
    ready: str
    pending: str
    bell: str
    lease: str
    epoch: str
    running: str
    outbox: str
    sending: str
    journal: str
    dead: str
    muted: str
    counts: str

    def stream(self, instance: str) -> str:
        """STREAM, group ``workers``: the entries of ``instance`` that are not finished."""
        return f"{self.base}:stream:{_quoted(instance)}"

    def seen(self, generation: int, instance: str, user: str) -> str:
        """
        HASH message hash -> entry id, and window -> ending, one of two generations (0 or 1).

        It expires, with what it says of messages and of what became of them.
        """
        return f"{self.base}:seen:{generation}:{conversation_hash(instance, user)}"

    def both_seen(self, instance: str, user: str) -> tuple[str, str]:
        """The keys of both generations."""
        return self.both_seen_of(conversation_hash(instance, user))

    def both_seen_of(self, who: str) -> tuple[str, str]:
        """The same, of a conversation's hash."""
        return f"{self.base}:seen:0:{who}", f"{self.base}:seen:1:{who}"

    def both_sent(self, hashed: bytes) -> tuple[str, str]:
        """
        HASHes sent hash -> '', of even and of odd generations; they expire.

        Conversations share them, by the hash's first byte: a key of its own would cost a user ten
        times what an id costs.
        """
        return f"{self.base}:sent:0:{hashed[0]:02x}", f"{self.base}:sent:1:{hashed[0]:02x}"

    def history(self, instance: str, user: str) -> str:
        """LIST, expires: what a handler is told again of what was said and answered."""
        return f"{self.base}:history:{conversation_hash(instance, user)}"

    def human(self, instance: str, user: str) -> str:
        """HASH, expires: what persons wrote to a user by hand, and the send that is on its way."""
        return f"{self.base}:human:{conversation_hash(instance, user)}"


@dataclass(frozen=True, slots=True)
class ClinicKeys:
    """The keys of one clinic's queue, in a slot of their own."""

    queue: str
    tickets: str
    numbers: str
    idempotent: str
    days: str
    events: str

    @classmethod
    def of(cls, prefix: str, clinic: str) -> ClinicKeys:
        """Of any instance name; a brace would end the hash tag, and is encoded like all else."""
        base = f"{prefix}:{{clinic:{_quoted(clinic)}}}"
        return cls(*(f"{base}:{name}" for name in cls.__slots__))


class Keys:
    """All key names under one prefix, for a given number of partitions."""

    def __init__(self, prefix: str, partitions: int) -> None:
        self.prefix = prefix
        self.partitions = partitions
        self.workers = f"{prefix}:workers"
        self.meta = f"{prefix}:meta"
        self.settings = f"{prefix}:settings"
        self.bell = f"{prefix}:bell"
        self.counts = f"{prefix}:counts"
        self.forgets = f"{prefix}:{{forget}}:asked"
        self.heeded = f"{prefix}:{{forget}}:heeded"
        self.wishes = f"{prefix}:{{forget}}:wishes"
        self._partition = lru_cache(maxsize=None)(partial(_make_partition, prefix))

    def worker(self, worker_id: str) -> str:
        """HASH with a TTL of ``lease_ms``: a live worker, whether it drains."""
        return f"{self.prefix}:worker:{worker_id}"

    def forget_report(self, wish: str) -> str:
        """HASH, expires: what was deleted for a wish to forget."""
        return f"{self.prefix}:{{forget}}:report:{wish}"

    def partition(self, number: int) -> PartitionKeys:
        """The keys of partition ``number``."""
        return self._partition(number)

    def of(self, instance: str, user: str) -> PartitionKeys:
        """The keys of the partition that a conversation belongs to."""
        return self._partition(partition_of(instance, user, self.partitions))


def _make_partition(prefix: str, number: int) -> PartitionKeys:
    base = f"{prefix}:{{{number}}}"
    return PartitionKeys(number, base, *(f"{base}:{name}" for name in _PARTITION_KEYS))
