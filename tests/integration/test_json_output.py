"""``--json`` on every command: one document on stdout, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from redis import Redis

from ops.chaos.checks import Problem
from ops.chaos.report import Row, document
from ops.cli import inturn
from shared.keys import Keys
from tests.support.shell import created
from tests.support.undecided import bury, hold

PHONE = "491700000007"
SERVICES = {"up", "ingest", "consumer"}
"""They print no answer: they run, and log."""


@pytest.fixture(autouse=True)
def data(shell: pytest.MonkeyPatch, client: Redis, prefix: str) -> Keys:
    """Data that some service has created, and a shell that finds them."""
    return created(client, prefix, 2)


def run(*arguments: str, answer: str | None = None) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(inturn, [*arguments, "--json"], input=answer)


def told(*arguments: str, code: int = 0) -> Any:
    """The document of a command that ends with ``code``."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def test_every_command_has_it() -> None:
    """A program need not read tables; only what runs as a service has none."""
    without = {
        name
        for name, command in commands(inturn)
        if "--json" not in {option for one in command.params for option in one.opts}
    }
    assert without == SERVICES


def test_dead_letters_as_data(client: Redis, data: Keys) -> None:
    """What the table shows, with the time as a number; neither text nor user."""
    letter_id = bury(client, data, f"ValueError: no {PHONE}", PHONE)
    found = told("dead", "list")
    (letter,) = found["dead_letters"]
    assert (found["total"], letter["id"], letter["instance"]) == (1, letter_id, "shop")
    assert (letter["messages"], letter["attempts"], letter["error"]) == (1, 3, "ValueError")
    assert letter["at"] == int(letter_id.partition(":")[2].partition("-")[0])
    assert PHONE not in json.dumps(found)
    assert "call me" not in json.dumps(found)
    assert told("dead", "show", letter_id)["id"] == letter_id


def test_replays_as_data(client: Redis, data: Keys) -> None:
    """Each with its outcome; the exit code says whether all were."""
    letter_id = bury(client, data, f"ValueError: no {PHONE}", PHONE)
    done = told("dead", "replay", letter_id)
    (result,) = done["results"]
    assert (done["replayed"], done["asked"]) == (1, 1)
    assert (result["id"], result["outcome"]) == (letter_id, "replayed")
    assert "-" in result["entry_id"]
    again = told("dead", "replay", letter_id, code=1)
    assert (again["replayed"], again["results"][0]["outcome"]) == (0, "gone")


def test_discards_as_data(client: Redis, data: Keys) -> None:
    """Of letters and of replies; the question is no part of the document."""
    letter_id = bury(client, data, f"ValueError: no {PHONE}", PHONE)
    reply_id = hold(client, data, "loop limit", PHONE)
    for group, one in (("dead", letter_id), ("outbox", reply_id)):
        result = run(group, "discard", one, answer="y\n")
        assert result.exit_code == 0
        document_of = json.loads(result.stdout)
        assert document_of == {
            "discarded": 1,
            "asked": 1,
            "results": [{"id": one, "outcome": "discarded"}],
        }
        assert told(group, "discard", one, "--yes", code=1)["results"][0]["outcome"] == "gone"


def test_replies_as_data(client: Redis, data: Keys) -> None:
    """What waits for a decision and why; neither text nor user."""
    reply_id = hold(client, data, "loop limit", PHONE)
    found = told("outbox", "list")
    (reply,) = found["replies"]
    assert (found["undecided"], reply["id"]) == (1, reply_id)
    assert (reply["state"], reply["why"], reply["attempts"]) == ("held", "loop limit", 2)
    assert PHONE not in json.dumps(found)
    assert "secret" not in json.dumps(found)
    assert told("outbox", "show", reply_id)["id"] == reply_id
    done = told("outbox", "resend", reply_id)
    assert done == {
        "released": 1,
        "asked": 1,
        "results": [{"id": reply_id, "outcome": "released"}],
    }


def test_mutes_as_data() -> None:
    """Until when, and whether there was one to end."""
    assert told("mute", "shop", PHONE)["muted_until"] > 1_700_000_000_000
    assert told("unmute", "shop", PHONE)["was_muted"] is True
    assert told("unmute", "shop", PHONE)["was_muted"] is False


def test_an_empty_spool_as_data() -> None:
    """Nothing waits, and nothing is left."""
    assert told("spool", "status") == {"messages": 0, "folders": []}
    assert told("spool", "replay") == {"replayed": 0, "left": []}


def test_a_fault_run_as_data() -> None:
    """The row of the table under its names, and every problem whole."""
    row = Row(
        name="inturn",
        sent=9,
        accepted=9,
        handled=8,
        repeated=0,
        lost=1,
        reordered=0,
        split=0,
        recovery_s=None,
    )
    found = json.loads(document(7, [row], [Problem("kept", "one is gone")]))
    assert (found["seed"], found["rows"][0]["lost"], found["rows"][0]["recovery_s"]) == (7, 1, None)
    assert found["problems"] == [{"check": "kept", "text": "one is gone"}]


def test_errors_leave_stdout_empty(data: Keys) -> None:
    """A program that reads stdout is not given half of a document; stderr says what to do."""
    result = run("dead", "show", "0:1-1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "replayed or discarded already" in result.stderr
