"""Alerts, rules and dashboard name only what there is, and each alert says what to do."""

from __future__ import annotations

import re

import pytest

from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels
from tests.support.deploy_files import DEPLOY, alerting_rules, load_yaml, recording_rules

METRIC = re.compile(r"(?<![:\w])inturn_\w+")
RECORDED = re.compile(r"\b(?:inturn|process):[\w:]+")


def exported() -> set[str]:
    """Every series that the services can have, histograms' own ones too."""
    pages = (IngestMetrics(InstanceLabels(9)).registry, ConsumerMetrics().registry)
    names = set()
    for registry in pages:
        for family in registry.collect():
            suffixes = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}
            names |= {family.name + end for end in suffixes.get(family.type, ("",))}
    return names


@pytest.mark.parametrize("name, rule", alerting_rules().items())
def test_an_alert_asks_for_what_is_counted(name: str, rule: dict[str, object]) -> None:
    """A metric that was renamed would make its alert silent for ever."""
    expression = str(rule["expr"])
    assert set(METRIC.findall(expression)) <= exported()
    assert set(RECORDED.findall(expression)) <= set(recording_rules())


@pytest.mark.parametrize("name, expression", recording_rules().items())
def test_a_recording_rule_asks_for_what_is_counted(name: str, expression: str) -> None:
    """The same for what is recorded."""
    assert set(METRIC.findall(expression)) <= exported()
    assert set(RECORDED.findall(expression)) <= set(recording_rules())


def test_every_alert_fires_in_a_case_of_its_own() -> None:
    """What never fired in a test may never fire at all."""
    cases = load_yaml("prometheus/rules_test.yml")["tests"]
    fired = set(re.findall(r'alertname="(\w+)"', str(cases)))
    assert fired == set(alerting_rules())


@pytest.mark.parametrize("name, rule", alerting_rules().items())
def test_an_alert_says_what_it_means_and_what_to_do(name: str, rule: dict[str, object]) -> None:
    """It has one of two severities, says what is wrong and what follows, and has its section."""
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    annotations = rule["annotations"]
    assert isinstance(annotations, dict)
    assert all(annotations[part] for part in ("summary", "description"))
    manual = (DEPLOY.parent / "docs" / "operating.md").read_text()
    assert f"### {name}\n" in manual


def test_the_manual_knows_no_alert_that_is_not_there() -> None:
    """A section of an alert that was removed would be looked for in vain."""
    manual = (DEPLOY.parent / "docs" / "operating.md").read_text()
    assert set(re.findall(r"### (Inturn\w+)\n", manual)) == set(alerting_rules())
