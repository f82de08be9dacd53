"""``docs/coming-from-a-buffer.md``: what it says is here is here."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shared.metrics import ConsumerMetrics, IngestMetrics, InstanceLabels
from shared.settings import Settings
from tests.support.doc_pages import blocks_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coming-from-a-buffer.md").read_text()
OLD = {
    *("BUFFER_DELAY_MS", "BUFFER_TTL_SECONDS", "TIMER_TTL_SECONDS", "PROCESSED_BUFFER_TTL"),
    *("GRACE_PERIOD_MS", "MAX_RETRY_ATTEMPTS", "MAX_RETRY_COUNT", "LOCK_TTL", "QUEUE_TTL"),
    *("MESSAGE_TTL", "ENABLE_BUFFER_MONITORING", "USE_QUEUE_SYSTEM", "USE_OLD_BUFFERING"),
    *("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
}
"""The settings of such buffers that the page is to explain."""


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_old_setting_is_explained() -> None:
    """Each stands in the first column once, with what it guarded against and what is here."""
    table = rows("Settings")
    names = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]

    assert sorted(names) == sorted(OLD)
    assert all(len(row) == 3 and all(row) for row in table)


def test_every_setting_that_takes_a_place_exists_with_that_default() -> None:
    """Who sets what the page names is not refused, and finds the value that it tells."""
    here = " ".join(row[2] for row in rows("Settings"))
    named = set(re.findall(r"`([A-Z][A-Z_]+)[`=]", here))

    assert len(named) > 10
    assert {name for name in named if name.lower() not in Settings.model_fields} == set()
    told = re.findall(r"`([A-Z_]+)`, (\d+)", here)
    assert len(told) >= 4
    for name, value in told:
        assert Settings.model_fields[name.lower()].default == int(value), name


def test_every_event_is_logged_somewhere_and_every_metric_exported() -> None:
    """Who looks for a line of the page in the log finds it."""
    folders = ("shared", "ingest", "consumer", "ops")
    code = "".join(path.read_text() for name in folders for path in (ROOT / name).rglob("*.py"))
    here = " ".join(row[2] for row in rows("Log lines"))
    events = re.findall(r"`([a-z]+\.[a-z_]+)`", here)
    metrics = re.findall(r"`(inturn_\w+)`", here)

    assert len(events) >= 5
    assert [event for event in events if f'"{event}"' not in code] == []
    exported = (IngestMetrics(InstanceLabels(1)).render() + ConsumerMetrics().render()).decode()
    assert metrics
    assert [name for name in metrics if f"# TYPE {name} " not in exported] == []


def test_the_settings_written_out_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """As old defaults come to: four calls for three retries."""
    monkeypatch.setenv("REDIS_URL", "rediss://default:planted@eager-otter.example.org:6379")
    (text,) = blocks_of(PAGE, "toml")
    settings = Settings(**tomllib.loads(text))

    assert settings.max_attempts == 1 + 3
    assert settings.max_wait_ms == Settings.model_fields["max_wait_ms"].default
