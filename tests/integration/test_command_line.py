"""The command ``inturn`` on a real Redis: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from ops.cli import inturn
from shared.home import FolderLock, home_folder, note_up, prepare_folder
from shared.keys import Keys
from shared.redis_binary import ServerBinary
from shared.redis_url import place_of
from tests.support.redis_server import ROOT, RedisServer
from tests.support.redis_users import as_user
from tests.support.undecided import bury, hold

PARTITIONS = 3
PHONE = "491700000001"
BROKEN, LOOPS = "answered 500", "loop limit"


@pytest.fixture(autouse=True)
def shell(
    redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """A shell in an empty folder whose settings lead to the shared server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTURN_REDIS_URL", as_user(redis_url, "operator"))
    monkeypatch.setenv("INTURN_PREFIX", prefix)
    return monkeypatch


@pytest.fixture
def keys(client: Redis, prefix: str) -> Keys:
    """Of data that some service has created."""
    client.hset(f"{prefix}:meta", "partitions", str(PARTITIONS))
    return Keys(prefix, PARTITIONS)


def run(*arguments: str, answer: str | None = None) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(inturn, arguments, input=answer)


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


def test_wrong_settings_are_one_message(shell: pytest.MonkeyPatch) -> None:
    """Every problem at once, each naming its setting, exit 2."""
    shell.setenv("INTURN_PARTITIONS", "0")
    shell.setenv("INTURN_PORTT", "1")
    for command in (["up"], ["ingest"], ["consumer"], ["dead", "list"], ["doctor"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "INTURN_PARTITIONS" in result.stderr
        assert "INTURN_PORTT" in result.stderr


def test_without_any_redis_it_is_said_what_to_set(shell: pytest.MonkeyPatch) -> None:
    """In a folder where nothing runs."""
    shell.delenv("INTURN_REDIS_URL")
    for command in (["ingest"], ["consumer"], ["dead", "list"], ["doctor"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "INTURN_REDIS_URL is not set, and no inturn up runs" in result.stderr


def test_embedded_redis_of_a_running_up_is_found(
    shell: pytest.MonkeyPatch, redis_binary: ServerBinary
) -> None:
    """A second terminal in the same folder needs no setting."""
    shell.delenv("INTURN_REDIS_URL")
    prepare_folder(home_folder())
    lock = FolderLock(home_folder())
    lock.take()
    with RedisServer(redis_binary) as server:
        note_up(home_folder(), redis_pid=server.pid, redis_socket=server.socket)
        result = run("doctor")
        assert f"Redis answers at {server.socket}" in result.output
        note_up(home_folder(), redis_pid=None, redis_socket=None)
        assert "embeds no Redis" in run("doctor").stderr
    lock.release()


def test_redis_that_is_gone_is_an_error_without_traceback(
    shell: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The person is told which Redis, which setting, and that the command may be repeated."""
    shell.setenv("INTURN_REDIS_URL", f"unix://{tmp_path}/nothing.sock")
    result = run("dead", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: no answer from Redis")
    assert f"(Redis at {tmp_path}/nothing.sock)" in result.stderr
    assert "`inturn doctor` tells whether it is INTURN_REDIS_URL" in result.stderr
    assert "the command may be repeated" in result.stderr


def test_a_redis_that_lets_nobody_in_is_named_with_what_to_do(
    shell: pytest.MonkeyPatch, redis_url: str, tmp_path: Path
) -> None:
    """To repeat a command mends no password; and the one that was tried is not shown."""
    shell.setenv("INTURN_REDIS_URL", f"{redis_url}?username=nobody&password=geheim")
    (tmp_path / ".inturn" / "spool").mkdir(parents=True)
    for command in (["windows"], ["top"], ["spool", "replay"], ["mute", "shop", PHONE]):
        result = run(*command)
        assert result.exit_code == 1
        assert len(result.stderr.splitlines()) == 1
        assert place_of(redis_url) in result.stderr
        assert "check address, user and password in INTURN_REDIS_URL" in result.stderr
        assert "repeat" not in result.stderr
        assert "geheim" not in result.stderr


def test_command_starts_as_a_process() -> None:
    """Help and version come fast and need neither settings nor Redis."""
    command = [sys.executable, "-m", "ops.cli"]
    version = subprocess.run(
        [*command, "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("inturn")
    usage = subprocess.run(
        [*command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in ("up", "ingest", "consumer", "dead", "doctor"):
        assert f"\n  {name} " in usage.stdout


def test_help_tells_what_each_command_does_to_the_end() -> None:
    """No sentence is cut, and no line is wider than a terminal."""
    for group in ([], ["dead"], ["outbox"], ["instances"], ["spool"]):
        told = run(*group, "--help").output
        assert "..." not in told.replace("INTURN_...", "").replace("[ARGS]...", "")
        assert max(map(len, told.splitlines())) <= 80


def test_reading_help_imports_no_redis_client() -> None:
    """The parent of ``up`` and every help page stay small."""
    code = "import sys, ops.cli; sys.exit('redis' in sys.modules or 'aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_up_refuses_to_wait_for_replicas_of_its_own_redis(shell: pytest.MonkeyPatch) -> None:
    """The embedded Redis has none: every message would wait for them for ever."""
    shell.delenv("INTURN_REDIS_URL")
    shell.setenv("INTURN_DURABILITY", "replicas:1")

    result = run("up")

    assert result.exit_code == 2
    assert "INTURN_DURABILITY is replicas:1, but the embedded Redis has none" in result.output


def test_a_conversation_is_muted_and_unmuted(client: Redis, keys: Keys) -> None:
    """It says until when, and whether there was a mute to end; both may be repeated."""
    muted, field = keys.of("shop", PHONE).muted, f"shop\0{PHONE}"
    result = run("mute", "shop", PHONE, "--minutes", "5")
    assert result.exit_code == 0
    assert result.output.startswith("muted until ")
    assert result.output.endswith("nobody called shop has written yet: is the name right?\n")
    assert json.loads(run("mute", "shop", PHONE, "--json").output)["is_known"] is False
    until = client.zscore(muted, field)
    assert isinstance(until, float)
    for said in ("not muted any more\n", "was not muted\n"):
        result = run("unmute", "shop", PHONE)
        assert (result.exit_code, result.output) == (0, said)
        assert client.zscore(muted, field) is None


def test_nobody_of_an_impossible_name_is_muted(keys: Keys) -> None:
    """A misspelt command is a usage error, and names what is wrong."""
    result = run("mute", "sh\nop", " ")
    assert result.exit_code == 2
    assert "INSTANCE" in result.output
    assert "USER" in result.output
    assert run("mute", "shop", PHONE, "--minutes", "0").exit_code == 2


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


def test_a_message_is_traced(client: Redis, keys: Keys) -> None:
    """One line for each thing that happened, with its time."""
    hold(client, keys, "refused: the provider answered 400", PHONE)
    lines = run("trace", "shop", PHONE, "M1").output.splitlines()
    assert lines[0].endswith("made")
    assert lines[1].split(maxsplit=1) == ["-", "reply failed refused: the provider answered 400"]
    assert lines[-1].startswith("state: answered since 20")
    assert json.loads(run("trace", "shop", PHONE, "M1", "--json").output)["state"] == "answered"
    assert run("trace", "shop", PHONE, "M9").exit_code == 1
