"""The doctor's judgement of clusters that are not at hand."""

from __future__ import annotations

from typing import Any

import pytest

from shared.cluster.node_lines import ClusterNode, parse_nodes
from shared.doctor import judge, merge_points
from shared.doctor.examine import Examination
from shared.doctor.judge_cluster import judge_cluster
from shared.doctor.point import Point, Verdict, fail, ok, warn
from shared.doctor.report import report_face
from shared.doctor.server import ServerState
from shared.keys import Keys
from shared.server_info import ServerInfo
from shared.settings import Settings

KEYS = Keys("inturn", 16)
LAST = 16383

THREE = b"""\
a1 10.0.0.1:6379@16379 myself,master - 0 1700000000000 1 connected 0-5460 [93-<-b1]
b1 10.0.0.2:6379@16379,two.example master - 0 1700000000000 2 connected 5461-10922
c1 10.0.0.3:6379@16379 master - 0 1700000000000 3 connected 10923-16382 16383
a2 10.0.0.4:6379@16379 slave a1 0 1700000000000 1 connected
b2 10.0.0.5:6379@16379 slave b1 0 1700000000000 2 connected
c2 10.0.0.6:6379@16379 slave c1 0 1700000000000 3 connected
"""


def changed(*changes: tuple[bytes, bytes]) -> tuple[ClusterNode, ...]:
    """The three masters and their replicas, but for ``changes`` of the lines."""
    lines = THREE
    for old, new in changes:
        assert old in lines
        lines = lines.replace(old, new)
    return parse_nodes(lines)


def points_of(nodes: tuple[ClusterNode, ...], keys: Keys = KEYS, **more: Any) -> dict[str, Point]:
    """What is said of these nodes, by name."""
    server = ServerState(place="10.0.0.1:6379", nodes=nodes, **more)
    points = judge_cluster([server], keys)
    for point in points:
        assert bool(point.costs) == bool(point.advice) == (point.verdict is not Verdict.OK)
    return {point.name: point for point in points}


def test_lines_are_understood() -> None:
    """Ranges and single slots, names behind addresses, who is asked, who follows whom."""
    a1, b1, c1, a2, *_ = parse_nodes(THREE)
    assert (a1.is_myself, a1.slots, a1.is_master) == (True, ((0, 5460),), True)
    assert (b1.place, b1.is_myself) == ("10.0.0.2:6379", False)
    assert c1.has(LAST)
    assert not c1.has(0)
    assert (a2.is_master, a2.master_id, a2.slots) == (False, "a1", ())
    assert not any(node.is_gone for node in (a1, b1, c1, a2))


def test_even_cluster_passes() -> None:
    """Sixteen partitions on three masters with a replica each: 6, 6 and 4."""
    found = points_of(parse_nodes(THREE))
    assert {name: point.verdict for name, point in found.items()} == {
        "cluster": Verdict.OK,
        "replicas": Verdict.OK,
    }
    says = "16 partitions on 3 masters: 6 at 10.0.0.1:6379, 6 at 10.0.0.2:6379, 4 at 10.0.0.3:6379"
    assert found["cluster"].says == says


def test_master_without_partitions_is_told() -> None:
    """One with slots that hold no partition, and one that has just joined and has no slots."""
    point = points_of(
        changed((b"0-5460", b"0-1"), (b"5461-10922", b"2-10922")),
    )["cluster"]
    assert point.verdict is Verdict.WARN
    assert "10.0.0.1:6379 does nothing" in point.costs
    newcomer = b"d1 10.0.0.7:6379@16379 master - 0 1700000000000 0 connected\n"
    point = points_of(parse_nodes(THREE + newcomer))["cluster"]
    assert point.verdict is Verdict.WARN
    assert "10.0.0.7:6379 does nothing" in point.costs


def test_master_with_far_more_than_its_share_is_told() -> None:
    """More than twice of it; a little more is chance."""
    few = Keys("inturn", 64)
    assert points_of(parse_nodes(THREE), few)["cluster"].verdict is Verdict.OK
    point = points_of(changed((b"0-5460", b"0-1500"), (b"5461-10922", b"1501-15000"),
                              (b"10923-16382", b"15001-16382")), few)["cluster"]  # fmt: skip
    assert point.verdict is Verdict.WARN
    assert point.costs.startswith("10.0.0.2:6379")


@pytest.mark.parametrize("flags", [b"master,fail", b"master,fail?", b"master,noaddr"])
def test_slots_of_a_master_that_is_gone_are_told_with_their_partitions(flags: bytes) -> None:
    """Nobody serves them, though they are its own."""
    point = points_of(changed((b"two.example master", b"two.example " + flags)))["cluster"]
    assert point.verdict is Verdict.FAIL
    assert "5462 of 16384 slots" in point.says
    assert "partitions" in point.says


def test_old_master_that_lost_its_slots_is_no_finding() -> None:
    """After a failover it stays in the list until somebody takes it out."""
    old = b"d1 10.0.0.7:6379@16379 master,fail - 0 1700000000000 0 disconnected\n"
    assert points_of(parse_nodes(THREE + old))["cluster"].verdict is Verdict.OK


@pytest.mark.parametrize("instead", [b"slave a1 0", b"slave,fail b1 0"])
def test_master_without_a_replica_is_told(instead: bytes) -> None:
    """Its replica follows another one, or has failed."""
    point = points_of(changed((b"slave b1 0", instead)))["replicas"]
    assert point.verdict is Verdict.WARN
    assert point.says == "no replica follows 10.0.0.2:6379"


def test_cluster_that_stops_whole_is_told() -> None:
    """One master away must not be all away."""
    assert points_of(parse_nodes(THREE), needs_all_slots=True)["coverage"].verdict is Verdict.WARN
    assert "coverage" not in points_of(parse_nodes(THREE), needs_all_slots=False)


def test_cluster_that_tells_nothing_is_not_called_well() -> None:
    """CLUSTER NODES may be denied."""
    assert points_of(())["cluster"].verdict is Verdict.WARN


def test_points_of_many_servers_become_one_of_each_name() -> None:
    """The gravest counts, and it is said where; what all say is said once."""
    told = [
        ("a:1", [ok("disk", "fine"), warn("memory", "80 %", "much", "more"), ok("clock", "3 ms")]),
        ("b:1", [ok("disk", "fine"), fail("memory", "99 %", "all", "more"), ok("clock", "9 ms")]),
        ("c:1", [ok("disk", "fine"), fail("memory", "99 %", "all", "more"), ok("clock", "9 ms")]),
    ]
    disk, memory, clock = merge_points(told)
    assert disk == ok("disk", "fine")
    assert (memory.verdict, memory.says, memory.costs) == (Verdict.FAIL, "b:1, c:1: 99 %", "all")
    assert clock.says == "a:1: 3 ms; b:1, c:1: 9 ms"
    assert merge_points([("", [warn("x", "only", "c", "a")])]) == [warn("x", "only", "c", "a")]


def test_one_silent_master_is_a_finding_and_the_others_are_judged() -> None:
    """Whoever asks during a failover is told of the rest."""
    answering = ServerState(
        place="10.0.0.1:6379",
        info=ServerInfo({"redis_version": "7.0.15", "cluster_enabled": "1"}),
        nodes=changed((b"two.example master", b"two.example master,fail")),
    )
    silent = ServerState(place="10.0.0.2:6379", silence="no answer")
    found = Examination(servers=[answering, silent], meta=None)
    points = {point.name: point for point in judge(found, Settings())}
    assert points["reachable"].verdict is Verdict.FAIL
    assert "10.0.0.2:6379" in points["reachable"].says
    assert points["version"].verdict is Verdict.OK
    assert "partitions" not in points
    assert [node["place"] for node in report_face([], found, None)["nodes"]] == [
        "10.0.0.1:6379",
        "10.0.0.2:6379",
    ]
