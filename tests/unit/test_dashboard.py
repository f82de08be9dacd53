"""The dashboard for Grafana asks for what there is, and has its panels side by side."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest

from tests.support.series import dashboard, dashboard_expressions, unknown_series

WIDTH = 24


@pytest.mark.parametrize("expression", sorted(set(dashboard_expressions())))
def test_a_panel_asks_for_what_is_counted(expression: str) -> None:
    """A metric that was renamed would leave its panel empty, which looks like health."""
    assert unknown_series(expression) == set()


def test_panels_have_ids_titles_and_room_of_their_own() -> None:
    """Grafana draws panels that overlap, or share an id, over one another."""
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] for panel in panels)
    assert not [(a["title"], b["title"]) for a, b in combinations(panels, 2) if _overlap(a, b)]
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= WIDTH for p in panels)


def test_the_first_row_says_whether_anyone_waits() -> None:
    """Whoever opens it sees the answer before anything else, and red where there is a problem."""
    first = [panel for panel in dashboard()["panels"] if panel["gridPos"]["y"] == 0]
    asked = [panel["targets"][0]["expr"] for panel in first]
    assert asked[0] == "inturn:oldest_unfinished_seconds"
    assert "inturn:messages_lost:increase1h" in asked


def test_every_panel_takes_the_chosen_prometheus() -> None:
    """It works with any number of them, whatever they are called."""
    sources = [panel["datasource"] for panel in dashboard()["panels"] if panel["type"] != "row"]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
    below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
    return not (beside or below)
