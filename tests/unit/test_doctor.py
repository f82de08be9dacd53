"""The doctor's judgement, on the words of servers that are not at hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson
import pytest

from ops.doctor import render_json, render_text
from shared.doctor import has_failed, judge, judge_silence
from shared.doctor.examine import DataState, Examination
from shared.doctor.failing import Failing
from shared.doctor.judge_data import judge_handler, judge_pauses
from shared.doctor.point import Verdict
from shared.doctor.report import report_face
from shared.doctor.server import Rights, ServerState, judge_refusals, probes
from shared.errors import BrokerRefused
from shared.instance_settings import InstanceSettings
from shared.preflight import Meta
from shared.server_info import ServerInfo
from shared.settings import Settings
from shared.survey import Kept, PartitionSurvey, StoreSurvey
from tests.support.lua_files import LUA_FILES
from tests.support.redis_server import ROOT

HEALTHY = {
    "redis_version": "7.0.15",
    "redis_mode": "standalone",
    "role": "master",
    "maxmemory_policy": "noeviction",
    "maxmemory": "1000000000",
    "used_memory": "1000000",
    "aof_enabled": "1",
    "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok",
    "aof_last_bgrewrite_status": "ok",
}
META = Meta(partitions="2", layout="1", log_key="00" * 16)
NOW_MS = 1_760_000_000_000


def healthy_data(**changes: object) -> DataState:
    """Two partitions with an owner each and nothing waiting, but for ``changes``."""
    values = {"messages": 0, "oldest_at": None, "owned": True, "now_ms": NOW_MS}
    parts = tuple(PartitionSurvey(number=n, **(values | changes)) for n in range(2))  # type: ignore[arg-type]
    survey = StoreSurvey(now_ms=NOW_MS, partitions=parts)
    return DataState(survey=survey, kept=Kept(replies=0, dead_letters=0), workers={"a": "up"})


def verdicts(
    info: dict[str, str] | None = None,
    settings: Settings | None = None,
    **changes: Any,
) -> dict[str, Verdict]:
    """Every point's verdict when all is well but for ``info`` and ``changes``."""
    server: dict[str, Any] = {
        "info": ServerInfo(HEALTHY | (info or {})),
        "fsync": "always",
        "skew_ms": 3,
        "rights": Rights(),
        "has_waitaof": False,
    }
    values: dict[str, Any] = {"meta": META, "data": healthy_data(), "meta_problems": ()}
    one = ServerState(**{name: changes.get(name, value) for name, value in server.items()})
    rest = {name: changes.get(name, value) for name, value in values.items()}
    points = judge(Examination(servers=[one], **rest), settings or Settings())
    for point in points:
        assert bool(point.costs) == bool(point.advice) == (point.verdict is not Verdict.OK)
    return {point.name: point.verdict for point in points}


def test_healthy_server_passes_every_point() -> None:
    """Nothing is found where nothing is wrong."""
    found = verdicts()
    assert set(found.values()) == {Verdict.OK}
    assert len(found) == 19


ONLINE = {f"slave{n}": f"ip=10.0.0.{n},port=6379,state=online,offset=9,lag=0" for n in range(2)}
SYNCING = {"slave0": "ip=10.0.0.1,port=6379,state=wait_bgsave,offset=0,lag=0"}


@pytest.mark.parametrize(
    "durability, info, changes, verdict",
    [
        ("memory", {"aof_enabled": "0"}, {}, Verdict.OK),
        ("replicas:1", {}, {}, Verdict.FAIL),
        ("replicas:1", SYNCING, {}, Verdict.FAIL),
        ("replicas:2", ONLINE, {}, Verdict.WARN),
        ("replicas:1", ONLINE, {}, Verdict.OK),
        ("fsync", {}, {}, Verdict.OK),
        ("fsync", {}, {"fsync": None}, Verdict.FAIL),
        ("fsync", {}, {"fsync": None, "has_waitaof": True}, Verdict.OK),
        ("fsync", {}, {"fsync": "everysec"}, Verdict.FAIL),
        ("fsync", {}, {"fsync": "everysec", "has_waitaof": True}, Verdict.WARN),
        ("fsync", {}, {"fsync": "no", "has_waitaof": True}, Verdict.FAIL),
        ("fsync", {"aof_enabled": "0"}, {"has_waitaof": True}, Verdict.FAIL),
        ("fsync", {"aof_enabled": ""}, {"has_waitaof": True}, Verdict.OK),
        ("fsync", {"aof_enabled": ""}, {}, Verdict.FAIL),
    ],
)
def test_durability_is_judged_against_the_setting(
    durability: str, info: dict[str, str], changes: dict[str, object], verdict: Verdict
) -> None:
    """What was promised is compared with what this server can keep."""
    assert verdicts(info, Settings(durability=durability), **changes)["durability"] is verdict


@pytest.mark.parametrize(
    "info, name, verdict",
    [
        ({"redis_version": "6.0.16"}, "version", Verdict.FAIL),
        ({"redis_version": "6.2.0"}, "version", Verdict.OK),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.0"}, "version", Verdict.OK),
        ({"redis_version": ""}, "version", Verdict.FAIL),
        ({"role": "slave"}, "primary", Verdict.FAIL),
        ({"redis_mode": "sentinel"}, "primary", Verdict.FAIL),
        ({"cluster_enabled": "1"}, "cluster", Verdict.FAIL),
        ({"maxmemory_policy": "allkeys-lru"}, "eviction", Verdict.FAIL),
        ({"maxmemory_policy": "volatile-lru", "maxmemory": "0"}, "eviction", Verdict.FAIL),
        ({"maxmemory_policy": ""}, "eviction", Verdict.WARN),
        ({"aof_enabled": "0"}, "append_only", Verdict.FAIL),
        ({"aof_enabled": "0", "connected_slaves": "1"}, "append_only", Verdict.WARN),
        ({"aof_last_write_status": "err"}, "disk", Verdict.FAIL),
        ({"rdb_last_bgsave_status": "err"}, "disk", Verdict.FAIL),
        ({"aof_last_bgrewrite_status": "err"}, "disk", Verdict.WARN),
        ({"loading": "1"}, "disk", Verdict.FAIL),
        ({"used_memory": "799999999"}, "memory", Verdict.OK),
        ({"used_memory": "800000000"}, "memory", Verdict.WARN),
        ({"used_memory": "950000000"}, "memory", Verdict.FAIL),
        ({"maxmemory": "0", "total_system_memory": "1200000"}, "memory", Verdict.WARN),
        ({"maxmemory": "0", "total_system_memory": "9000000"}, "memory", Verdict.OK),
    ],
)
def test_words_of_the_server(info: dict[str, str], name: str, verdict: Verdict) -> None:
    """One thing that is wrong is one point that says so, and no other."""
    found = verdicts(info)
    assert found.pop(name) is verdict
    assert set(found.values()) == {Verdict.OK}


@pytest.mark.parametrize(
    "fsync, verdict",
    [("everysec", Verdict.OK), ("no", Verdict.WARN), (None, Verdict.OK)],
)
def test_fsync_policy_is_told_where_it_is_shown(fsync: str | None, verdict: Verdict) -> None:
    """A managed service that hides it is not called ill for that."""
    assert verdicts(fsync=fsync)["append_only"] is verdict


@pytest.mark.parametrize(
    "skew_ms, verdict",
    [(-1999, Verdict.OK), (2000, Verdict.WARN), (-300_000, Verdict.FAIL)],
)
def test_clocks_may_differ_a_little(skew_ms: int, verdict: Verdict) -> None:
    """Either clock may be the wrong one."""
    assert verdicts(skew_ms=skew_ms)["clock"] is verdict


def test_denied_info_is_a_missing_right_and_hides_what_it_would_tell() -> None:
    """What was not asked is not judged."""
    points = judge(Examination(servers=[ServerState(rights=Rights())], meta=META), Settings())
    found = {point.name: point.verdict for point in points}
    assert found == {"rights": Verdict.FAIL, "clock": Verdict.OK, "partitions": Verdict.OK}


def test_other_partitions_and_no_data_are_told_apart() -> None:
    """A wrong setting fails; an empty Redis is only strange."""
    assert verdicts(meta_problems=("INTURN_PARTITIONS is 8",))["partitions"] is Verdict.FAIL
    empty = Meta(partitions=None, layout=None, log_key=None)
    assert verdicts(meta=empty, data=None)["partitions"] is Verdict.WARN


def test_orphans_are_a_failure_only_while_nobody_could_take_them() -> None:
    """During a rolling restart a partition is without owner for a moment."""
    data = healthy_data(owned=False)
    assert verdicts(data=data)["owners"] is Verdict.WARN
    nobody = DataState(survey=data.survey, kept=data.kept, workers={})
    found = verdicts(data=nobody)
    assert (found["owners"], found["workers"]) == (Verdict.FAIL, Verdict.FAIL)
    leaving = DataState(survey=data.survey, kept=data.kept, workers={"a": "draining"})
    assert verdicts(data=leaving)["workers"] is Verdict.FAIL


def test_backlog_is_judged_by_age() -> None:
    """As long as a message waits no longer than its window and one attempt, it is none."""
    settings = Settings(max_wait_ms=8000, grace_ms=2000, handler_timeout_ms=60_000)
    young, old = NOW_MS - 70_000, NOW_MS - 70_001
    assert verdicts(data=healthy_data(messages=5, oldest_at=young))["backlog"] is Verdict.OK
    aged = healthy_data(messages=5, oldest_at=old)
    assert verdicts(settings=settings, data=aged)["backlog"] is Verdict.WARN
    patient = Settings(instances={"shop": InstanceSettings(max_wait_ms=20_000)})
    assert verdicts(settings=patient, data=aged)["backlog"] is Verdict.OK


def test_a_pause_is_worth_a_look() -> None:
    """Somebody has to end it; of many the first are named."""
    data = replace(healthy_data(), paused=tuple(f"shop-{number}" for number in range(9)))
    assert verdicts(data=data)["pauses"] is Verdict.WARN
    says = judge_pauses(data.paused).says
    assert says.startswith("9 instances are paused: shop-0, shop-1")
    assert says.endswith("shop-7, ...")


def test_dead_letters_are_worth_a_look() -> None:
    """Somebody was not answered."""
    data = healthy_data()
    dead = DataState(survey=data.survey, kept=Kept(replies=0, dead_letters=1), workers={"a": "up"})
    assert verdicts(data=dead)["dead_letters"] is Verdict.WARN


def test_what_fails_just_now_is_worth_a_look() -> None:
    """A handler's error, a provider's, and a reply that waits for a person: a point of each."""
    failing = Failing(windows={"answered 401 Unauthorized": 2}, is_whole=True)
    assert verdicts(data=replace(healthy_data(), failing=failing))["handler"] is Verdict.WARN
    says = judge_handler(replace(failing, is_whole=False)).says
    assert says.endswith("answered 401 Unauthorized (at least 2)")
    many = {"no 491700000001": 5, "timeout": 4, "answered 500": 3, "answered 502": 2}
    says = judge_handler(Failing(windows=many)).says
    assert says.endswith("no *** (5), timeout (4), answered 500 (3), ...")
    sends, held = Failing(sends={"no answer": 1}), Failing(held={"loop limit": 1})
    for one, point in ((sends, "sends"), (held, "replies")):
        data = replace(healthy_data(), failing=one)
        found = verdicts(data=data)
        assert [name for name, verdict in found.items() if verdict is Verdict.WARN] == [point]


def test_refusals_are_told_apart_from_their_consequences() -> None:
    """That a group cannot be made in a stream that was not allowed is no second finding."""
    denied = BrokerRefused("ERR", "this user has no permissions to run the 'xadd' command")
    follows = BrokerRefused("ERR", "The XGROUP subcommand requires the key to exist")
    unknown = BrokerRefused("ERR", "unknown command 'EVAL', with args beginning with: ")
    full = BrokerRefused("OOM", "command not allowed when used memory > 'maxmemory'")
    rights = judge_refusals(
        [("XADD", denied), ("XGROUP CREATE", follows), ("EVAL", unknown), ("HSET", full)]
    )
    assert rights.denied == ("XADD", "EVAL")
    assert rights.writes_refused is not None
    assert rights.writes_refused.startswith("OOM")


def test_every_command_in_use_is_probed() -> None:
    """A command that is added to a script or a module is one that the doctor must try."""
    used = set()
    for path in LUA_FILES.values():
        used |= set(re.findall(r"redis\.p?call\('([A-Z]+)'", path.read_text()))
    for room in ("shared", "consumer", "ingest"):
        for path in (ROOT / room).rglob("*.py"):
            used |= set(re.findall(r"\.call\(\s*\"([A-Z]+)\"", path.read_text()))
    asked_where_allowed = {"INFO", "CONFIG", "WAITAOF", "CLUSTER"}
    assert used - asked_where_allowed <= {command[0] for command in probes("key")}


def test_report_in_text_and_as_data() -> None:
    """Both say the same; a line of text that is not ok is followed by its cost and its cure."""
    point = judge_silence("no answer", "db:6379")
    text = render_text([point])
    assert text.startswith("FAIL  reachable  Redis at db:6379")
    assert "costs: nobody is answered" in text
    body = orjson.loads(render_json(report_face([point], None, None)))
    assert body["ok"] is False
    assert body["points"][0]["verdict"] == "fail"
    assert has_failed([point])
