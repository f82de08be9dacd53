"""Alerts and rules name only what there is, and each alert says what to do."""

from __future__ import annotations

import re

import pytest

from tests.support.deploy_files import DEPLOY, alerting_rules, load_yaml, recording_rules
from tests.support.series import unknown_series

MANUAL = DEPLOY.parent / "docs" / "operating.md"


@pytest.mark.parametrize("name, rule", alerting_rules().items())
def test_an_alert_asks_for_what_is_counted(name: str, rule: dict[str, object]) -> None:
    """A metric that was renamed would make its alert silent for ever."""
    assert unknown_series(str(rule["expr"])) == set()


@pytest.mark.parametrize("name, expression", recording_rules().items())
def test_a_recording_rule_asks_for_what_is_counted(name: str, expression: str) -> None:
    """The same for what is recorded."""
    assert unknown_series(expression) == set()


@pytest.mark.parametrize(
    "expression, unknown",
    [
        ("max(inturn_backlog)", "inturn_backlog"),
        ("rate(inturn_handler_seconds[5m])", "inturn_handler_seconds"),
        ("sum(increase(inturn_dead_letters[5m]))", "inturn_dead_letters"),
        ("inturn:backlog_message > 0", "inturn:backlog_message"),
    ],
)
def test_a_misspelt_series_is_found(expression: str, unknown: str) -> None:
    """A name that is none, a histogram without its part, a counter without its end."""
    assert unknown_series(expression) == {unknown}


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
    assert f"### {name}\n" in MANUAL.read_text()


def test_the_manual_knows_no_alert_that_is_not_there() -> None:
    """A section of an alert that was removed would be looked for in vain."""
    assert set(re.findall(r"### (Inturn\w+)\n", MANUAL.read_text())) == set(alerting_rules())
