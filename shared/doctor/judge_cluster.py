"""Whether a cluster's masters share the work, and have replicas. Pure: words in, points out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.cluster.node_lines import ClusterNode
from shared.cluster.slots import SLOTS, slot_of
from shared.doctor.point import Point, fail, ok, warn
from shared.doctor.server import ServerState
from shared.keys import Keys

FAR_MORE = 2.0
"""Times its fair share of the partitions: sixteen on three masters are 6, 6 and 4."""

NAMED_MAX = 8


def judge_cluster(servers: Sequence[ServerState], keys: Keys) -> list[Point]:
    """Everything that CLUSTER NODES tells; of several words the first one's."""
    nodes = next((server.nodes for server in servers if server.nodes), ())
    if not nodes:
        return [
            warn(
                "cluster",
                "no node tells who has which slots (CLUSTER NODES)",
                "nothing is said of how the partitions are placed, nor of replicas",
                "allow cluster|nodes (ACL SETUSER)",
            )
        ]
    points = [judge_placement(nodes, keys), judge_followers(nodes)]
    if any(server.needs_all_slots for server in servers):
        points.append(
            warn(
                "coverage",
                "cluster-require-full-coverage is yes",
                "while one master is away and nobody takes its place, all others refuse, too",
                "set cluster-require-full-coverage no on every node",
            )
        )
    return points


def judge_placement(nodes: Sequence[ClusterNode], keys: Keys) -> Point:
    """Every slot is served, and no master has all the work or none of it."""
    masters = [node for node in nodes if node.is_master and not node.is_gone]
    served = sum(last - first + 1 for node in masters for first, last in node.slots)
    placed = place_partitions(masters, keys)
    lost = [number for number in range(keys.partitions) if number not in placed]
    if served < SLOTS:
        says = f"{SLOTS - served} of {SLOTS} slots are served by nobody"
        says += f"; in them are the partitions {_named(lost)}" if lost else ""
        return fail(
            "cluster",
            says,
            "the messages of their users are not accepted, and wait; so may all processes",
            "start the masters that are gone, or give their slots to others "
            "(redis-cli --cluster fix)",
        )
    counts = {node.place: 0 for node in masters}
    for place in placed.values():
        counts[place] += 1
    return _judge_counts(counts, keys.partitions)


def place_partitions(masters: Sequence[ClusterNode], keys: Keys) -> dict[int, str]:
    """Where each partition is; those are left out whose slot nobody serves."""
    slots = {number: slot_of(keys.partition(number).lease) for number in range(keys.partitions)}
    return {
        number: node.place for number, slot in slots.items() for node in masters if node.has(slot)
    }


def judge_followers(nodes: Sequence[ClusterNode]) -> Point:
    """Somebody must be able to take a master's place."""
    followed = {node.master_id for node in nodes if not node.is_master and not node.is_gone}
    masters = [node for node in nodes if node.is_master and not node.is_gone and node.slots]
    alone = [node.place for node in masters if node.node_id not in followed]
    if not alone:
        return ok("replicas", f"each of {len(masters)} masters has a replica")
    return warn(
        "replicas",
        f"no replica follows {_named(alone)}",
        "when it fails, the messages of its users are not accepted, and wait, until it is back",
        "add one (redis-cli --cluster add-node --cluster-slave), or start the one that is gone",
    )


def _judge_counts(counts: Mapping[str, int], partitions: int) -> Point:
    told = ", ".join(f"{count} at {place}" for place, count in sorted(counts.items()))
    says = f"{partitions} partitions on {len(counts)} masters: {told}"
    advice = (
        "move some of their slots (redis-cli --cluster reshard), or begin with more PARTITIONS: "
        "sixteen for each master"
    )
    if not all(counts.values()):
        idle = _named(sorted(place for place, count in counts.items() if not count))
        return warn("cluster", says, f"{idle} does nothing, and the others do its work", advice)
    if max(counts.values()) > FAR_MORE * partitions / len(counts):
        most = max(counts, key=lambda place: counts[place])
        costs = f"{most} is full, or at its end, long before the others"
        return warn("cluster", says, costs, advice)
    return ok("cluster", says)


def _named(things: Sequence[object]) -> str:
    rest = f" and {len(things) - NAMED_MAX} more" if len(things) > NAMED_MAX else ""
    return ", ".join(map(str, things[:NAMED_MAX])) + rest
