"""``inturn dead`` and ``inturn outbox``: what waits for an operator is shown, and decided on."""

from __future__ import annotations

import json

import pytest
from redis import Redis

from shared.keys import Keys
from tests.support.shell import created, run
from tests.support.undecided import bury, hold

PARTITIONS = 3
PHONE = "491700000001"
BROKEN, LOOPS = "answered 500", "loop limit"


pytestmark = pytest.mark.usefixtures("shell")


@pytest.fixture
def keys(client: Redis, prefix: str) -> Keys:
    """Of data that some service has created."""
    return created(client, prefix, PARTITIONS)


def test_list_shows_neither_text_nor_user(client: Redis, keys: Keys) -> None:
    """An operator's screen may be shared: instance, window, attempts and kind of error suffice."""
    letter_id = bury(client, keys, f"ValueError: no such user {PHONE}", PHONE)
    result = run("dead", "list")
    assert result.exit_code == 0
    head, row = result.output.splitlines()
    assert head.split() == ["ID", "AGE", "INSTANCE", "WINDOW", "MESSAGES", "ATTEMPTS", "ERROR"]
    assert row.split()[0] == letter_id
    assert row.split()[2] == "shop"
    assert row.split()[4:] == ["1", "3", "ValueError"]
    assert PHONE not in result.output
    assert "call me" not in result.output


def test_list_says_how_many_more_there_are(client: Redis, keys: Keys) -> None:
    """The bound is told, never silent."""
    for number in range(3):
        bury(client, keys, BROKEN, user=f"user-{number}")
    assert (
        run("dead", "list", "--limit", "2").output.splitlines()[-1].startswith("the newest 2 of 3")
    )


def test_list_of_nothing(keys: Keys) -> None:
    """One line that says so."""
    assert run("dead", "list").output == "no dead letters\n"


def test_show_prints_everything_as_json(client: Redis, keys: Keys) -> None:
    """Who asks for one letter gets all of it."""
    letter_id = bury(client, keys, BROKEN, PHONE)
    body = json.loads(run("dead", "show", letter_id).output)
    assert body["id"] == letter_id
    assert body["not_replayable"] is None
    assert body["dead_letter"]["window"]["entries"][0]["text"] == "please call me"
    assert run("dead", "show", "0:1-1").exit_code == 1


def test_replay_of_named_letters(client: Redis, keys: Keys) -> None:
    """Each is told apart, and one that is gone makes the command fail."""
    letter_id = bury(client, keys, BROKEN, PHONE)
    assert run("dead", "replay", letter_id).exit_code == 0
    again = run("dead", "replay", letter_id)
    assert again.exit_code == 1
    assert "replayed or discarded already" in again.output


def test_replay_of_all_is_oldest_first(client: Redis, keys: Keys) -> None:
    """A user's windows keep their order."""
    ids = [bury(client, keys, BROKEN, user=f"user-{n}", at=f"{1000 + n}-0") for n in range(5)]
    result = run("dead", "replay", "--all")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ids
    assert lines[-1] == "replayed 5 of 5"
    assert run("dead", "list").output == "no dead letters\n"


@pytest.mark.parametrize("arguments", [(), ("--all", "0:1-1"), ("nonsense",)])
def test_replay_wants_ids_or_all(arguments: tuple[str, ...]) -> None:
    """Anything else is a usage error before anything is done."""
    assert run("dead", "replay", *arguments).exit_code == 2


def test_discard_asks_first(client: Redis, keys: Keys) -> None:
    """What is gone for ever goes only when somebody said so."""
    letter_id = bury(client, keys, BROKEN, PHONE)
    assert run("dead", "discard", letter_id, answer="n\n").exit_code == 1
    assert run("dead", "show", letter_id).exit_code == 0
    assert run("dead", "discard", letter_id, "--yes").exit_code == 0
    assert run("dead", "discard", letter_id, "--yes").exit_code == 1


def test_looking_creates_nothing(client: Redis, prefix: str) -> None:
    """Where no service has run there are no data, and a command that looks leaves none."""
    result = run("dead", "list")
    assert result.exit_code == 2
    assert "are INTURN_PREFIX and INTURN_REDIS_URL right?" in result.output
    assert list(client.scan_iter(f"{prefix}*")) == []


def test_held_replies_are_listed_without_text_and_user(client: Redis, keys: Keys) -> None:
    """Newest first, with what a decision needs; others are shown when asked for."""
    first = hold(client, keys, f"refused: the provider answered 400: no {PHONE}", PHONE)
    second = hold(client, keys, LOOPS, "491700000002")
    waiting = hold(client, keys, "", "491700000003")
    result = run("outbox", "list")
    assert result.exit_code == 0
    head, *rows, last = result.output.splitlines()
    assert head.split() == ["ID", "AGE", "INSTANCE", "WINDOW", "STATE", "ATTEMPTS", "TEXTS", "WHY"]
    assert [row.split()[0] for row in rows] == [second, first]
    assert rows[0].split()[4:] == ["held", "2", "1", "loop", "limit"]
    assert rows[1].split()[4] == "failed"
    assert last == "2 replies wait for a decision"
    assert PHONE not in result.output
    assert "secret" not in result.output
    every = run("outbox", "list", "--all").output
    assert waiting in every
    assert len(run("outbox", "list", "--limit", "1").output.splitlines()) == 3


def test_a_held_reply_is_shown_whole(client: Redis, keys: Keys) -> None:
    """Who decides reads what it says, to whom, and why it was held."""
    reply_id = hold(client, keys, LOOPS, PHONE)
    shown = json.loads(run("outbox", "show", reply_id).output)
    assert (shown["id"], shown["state"], shown["sending"]["held"]) == (
        reply_id,
        "held",
        "loop limit",
    )
    assert shown["reply"]["texts"] == ["your secret answer"]
    assert run("outbox", "show", "0:1-1").exit_code == 1


def test_held_replies_are_resent(client: Redis, keys: Keys) -> None:
    """Each by its id, or all; a second time there is nothing to decide."""
    first, second = hold(client, keys, LOOPS, PHONE), hold(client, keys, LOOPS, "491700000002")
    assert run("outbox", "resend", first).exit_code == 0
    again = run("outbox", "resend", first)
    assert again.exit_code == 1
    assert "waits for nobody" in again.output
    result = run("outbox", "resend", "--all")
    assert result.exit_code == 0
    assert result.output.splitlines() == [f"{second}  to be sent", "to be sent: 1 of 1"]
    assert run("outbox", "list").output == "no replies wait for a decision\n"


@pytest.mark.parametrize("arguments", [(), ("--all", "0:1-1"), ("nonsense",)])
def test_resend_wants_ids_or_all(keys: Keys, arguments: tuple[str, ...]) -> None:
    """Anything else is a usage error before anything is done."""
    assert run("outbox", "resend", *arguments).exit_code == 2


def test_discarding_a_reply_asks_first(client: Redis, keys: Keys) -> None:
    """What is gone for ever goes only when somebody said so."""
    reply_id = hold(client, keys, LOOPS, PHONE)
    assert run("outbox", "discard", reply_id, answer="n\n").exit_code == 1
    assert run("outbox", "show", reply_id).exit_code == 0
    assert run("outbox", "discard", reply_id, "--yes").exit_code == 0
    assert run("outbox", "discard", reply_id, "--yes").exit_code == 1


def test_a_conversation_is_traced(client: Redis, keys: Keys) -> None:
    """Tables for people, the API's answer as data; of a stranger nothing is known."""
    letter_id = bury(client, keys, "HTTP 400: your secret", PHONE)
    reply_id = hold(client, keys, LOOPS, PHONE)
    run("mute", "shop", PHONE)
    text = run("trace", "shop", PHONE).output
    assert text.startswith("muted until ")
    for held, shown in ((reply_id, "outbox"), (letter_id, "dead")):
        assert f"\n{held}  " in text
        assert run(shown, "show", held).exit_code == 0
    assert "loop limit" in text
    assert "call me" not in text
    data = json.loads(run("trace", "shop", PHONE, "--json").output)
    assert [letter["dead_letter_id"] for letter in data["dead"]] == [letter_id]
    assert data["replies"][0]["held"] == "loop limit"
    stranger = run("trace", "shop", "nobody")
    assert stranger.exit_code == 1
    assert stranger.output.startswith("Error: nothing is known of this: are the names right?")
    assert "RETENTION_MS" in stranger.output
