"""The checks of what is left when all faults are over: work, memory, files, planted words."""

from __future__ import annotations

from collections.abc import Iterator

from ops.chaos.evidence import Evidence
from ops.chaos.rules import Rules

HEAL_S = 60.0
"""After healing, everything must be drained within this."""

CONSUMERS_PER_STREAM = 8
PARTITIONS_AT_MOST = 16
MEMORY_SLACK_BYTES = 16 * 1024 * 1024
BYTES_PER_MESSAGE = 1200
"""Dedupe keeps some 60 bytes per message, the journal some 500 per window for ``retention_ms``."""

FILES_SLACK = 400
"""Connections that are just open: of 256 handlers and 64 sends at once, kept alive for seconds."""


def undrained(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """After healing something is unread, pending, begun, unsent or spooled."""
    yield from (f"{count} {what} long after healing" for what, count in evidence.left.items())


def growth(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """Streams, consumers, seen keys, memory or file handles have grown without bound."""
    before, after = evidence.before, evidence.after
    if before is None or after is None:
        return
    users = len({sent.who for sent in evidence.sent.values()})
    instances = len({sent.who[0] for sent in evidence.sent.values()})
    if after.stream_entries:
        yield f"{after.stream_entries} entries are left in the streams"
    if after.consumers > CONSUMERS_PER_STREAM * max(instances, 1) * PARTITIONS_AT_MOST:
        yield f"{after.consumers} consumers"
    if after.seen_keys > 2 * users:
        yield f"{after.seen_keys} seen keys of {users} users"
    grown = after.memory_bytes - before.memory_bytes
    allowed = MEMORY_SLACK_BYTES + BYTES_PER_MESSAGE * len(evidence.sent)
    if grown > allowed:
        yield f"Redis has grown by {grown} bytes, more than {allowed}"
    for name, count in after.files.items():
        if count > before.files.get(name, count) + FILES_SLACK:
            yield f"{name} has {count} files open, {before.files[name]} at first"


def leaks(evidence: Evidence, _rules: Rules) -> Iterator[str]:
    """A planted phone number, text or secret stands where none may stand."""
    yield from evidence.leaks
