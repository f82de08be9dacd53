"""What docs/tickets.md says of fields, settings and metrics is true."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema_rs
import orjson

from ingest.openapi import openapi_document
from shared.metrics import IngestMetrics, InstanceLabels
from shared.providers.registry import PROVIDERS
from shared.settings import Settings
from shared.tickets.store import DAYS_KEPT, KEY_MAX_CHARS
from tests.support.doc_pages import blocks_of

PAGE = (Path(__file__).parents[2] / "docs" / "tickets.md").read_text()
HTTP = PAGE.partition("\n## In a Python handler")[0]
DOCUMENT = openapi_document(PROVIDERS, has_token=True)


def test_the_answers_are_of_the_form_that_the_document_gives() -> None:
    """Each JSON that the page shows, with every field that is there."""
    shown = blocks_of(HTTP, "json")
    for text, name in zip(shown, ("Entered", "QueueStatus", "QueueDays"), strict=True):
        told = orjson.loads(text)
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        jsonschema_rs.validator_for(schema).validate(told)
        assert told.keys() == DOCUMENT["components"]["schemas"][name]["properties"].keys()


def test_the_estimate_is_as_the_page_explains_it() -> None:
    """The average for each who waits, and once more for who is being served."""
    told = orjson.loads(blocks_of(HTTP, "json")[1])
    assert told["estimated_wait_s"] == told["average_service_s"] * (told["waiting"] + 1)
    assert told["user"]["ahead"] == told["user"]["number"] - told["serving"] - 1
    assert told["waiting"] == told["last"] - told["serving"]


def test_every_setting_of_tickets_is_told() -> None:
    """And none that does not exist."""
    named = {name.lower() for name in re.findall(r"\bTICKET_[A-Z_]+\b", PAGE)}
    assert named == {name for name in Settings.model_fields if name.startswith("ticket_")}


def test_every_metric_of_tickets_is_told() -> None:
    """And none that does not exist."""
    text = IngestMetrics(InstanceLabels(1)).render().decode()
    typed = re.findall(r"^# TYPE (inturn_tickets?_\w+)", text, re.MULTILINE)
    exported = {name for name in typed if not name.endswith("_created")}
    assert set(re.findall(r"\binturn_tickets?_\w+", PAGE)) == exported


def test_the_paths_and_bounds_are_those_of_the_code() -> None:
    """Every path is served, and numbers are the constants."""
    paths = set(re.findall(r"/api/v1/queue/\w+", HTTP))
    assert paths == {path for path in DOCUMENT["paths"] if path.startswith("/api/v1/queue/")}
    assert f"{DAYS_KEPT} days" in HTTP
    assert f"1 to {KEY_MAX_CHARS} characters" in HTTP
