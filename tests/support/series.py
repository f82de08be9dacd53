"""Which series there are: what the services export, and what the rules record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels
from tests.support.deploy_files import DEPLOY, recording_rules, strings_of

_NAMES = re.compile(r"\b(?:inturn|process)[:_][\w:]+")
_ENDS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}


def exported_series() -> set[str]:
    """Every name that a page of metrics can have, histograms' own ones too."""
    pages = (IngestMetrics(InstanceLabels(9)).registry, ConsumerMetrics().registry)
    families = [family for registry in pages for family in registry.collect()]
    return {family.name + end for family in families for end in _ENDS.get(family.type, ("",))}


def unknown_series(expression: str) -> set[str]:
    """The names in an expression that nobody exports or records."""
    return set(_NAMES.findall(expression)) - exported_series() - set(recording_rules())


def dashboard() -> Any:
    """What Grafana is given."""
    return json.loads((DEPLOY / "grafana" / "inturn.json").read_text())


def dashboard_expressions() -> Iterator[str]:
    """What its panels ask Prometheus for."""
    return strings_of(dashboard(), "expr")
