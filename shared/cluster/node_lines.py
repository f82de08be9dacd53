"""What a node of a cluster says of all of them: the lines of CLUSTER NODES. Pure."""

from __future__ import annotations

from dataclasses import dataclass

Slots = tuple[tuple[int, int], ...]
"""First and last of each run of slots."""

_GONE = frozenset({"fail", "fail?", "noaddr", "handshake"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterNode:
    """
    One of them. ``master_id``: whom it follows, empty for a master.

    ``is_gone``: it does not answer, by the word of the one that was asked or of most of them.
    """

    node_id: str
    place: str
    is_myself: bool
    is_gone: bool
    master_id: str
    slots: Slots

    @property
    def is_master(self) -> bool:
        """Whether it takes writes, if it is there."""
        return not self.master_id

    def has(self, slot: int) -> bool:
        """Whether a slot is its own."""
        return any(first <= slot <= last for first, last in self.slots)


def parse_nodes(raw: bytes) -> tuple[ClusterNode, ...]:
    """Of the answer to CLUSTER NODES."""
    return tuple(_parse(line) for line in raw.decode(errors="replace").splitlines() if line)


def _parse(line: str) -> ClusterNode:
    """
    ``<id> <ip>:<port>@<bus port>[,<name>] <flags> <master or -> <ping> <pong> <epoch> <link>
    <slots>...``; a slot that moves is one more, in brackets, and still with the one that has it.
    """
    node_id, place, flags, master_id, _, _, _, _, *runs = line.split(" ")
    told = flags.split(",")
    runs = [run for run in runs if not run.startswith("[")]
    return ClusterNode(
        node_id=node_id,
        place=place.split("@")[0],
        is_myself="myself" in told,
        is_gone=not _GONE.isdisjoint(told),
        master_id="" if master_id == "-" else master_id,
        slots=tuple((int(run.partition("-")[0]), int(run.rpartition("-")[2])) for run in runs),
    )
