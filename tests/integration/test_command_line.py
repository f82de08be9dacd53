"""The command ``inturn`` on a real Redis: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from shared.home import FolderLock, home_folder, note_up, prepare_folder
from shared.keys import Keys
from shared.redis_binary import ServerBinary
from shared.redis_url import place_of
from tests.support.redis_server import ROOT, RedisServer
from tests.support.shell import created, run
from tests.support.undecided import hold

PARTITIONS = 3
PHONE = "491700000001"


pytestmark = pytest.mark.usefixtures("shell")


@pytest.fixture
def keys(client: Redis, prefix: str) -> Keys:
    """Of data that some service has created."""
    return created(client, prefix, PARTITIONS)


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
        assert f"is disabled (Redis at {place_of(redis_url)}): check" in result.stderr
        assert "check address, user and password in INTURN_REDIS_URL" in result.stderr
        assert "repeat" not in result.stderr
        assert "geheim" not in result.stderr


def test_an_address_of_a_cluster_that_is_none_is_to_be_checked(
    shell: pytest.MonkeyPatch, redis_binary: ServerBinary
) -> None:
    """To repeat a command makes no cluster of a server."""
    with RedisServer(redis_binary, on_port=True) as server:
        shell.setenv("INTURN_REDIS_URL", f"redis+cluster://127.0.0.1:{server.port}")
        result = run("dead", "list")
    assert result.exit_code == 1
    assert "check address, user and password in INTURN_REDIS_URL" in result.stderr
    assert "repeat" not in result.stderr


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
    client.sadd(keys.partition(0).streams, "shop")
    assert "is the name right?" not in run("mute", "shop", PHONE).output
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


def test_a_message_is_traced(client: Redis, keys: Keys) -> None:
    """One line for each thing that happened, with its time."""
    hold(client, keys, "refused: the provider answered 400", PHONE)
    lines = run("trace", "shop", PHONE, "M1").output.splitlines()
    assert lines[0].endswith("made")
    assert lines[1].split(maxsplit=1) == ["-", "reply failed refused: the provider answered 400"]
    assert lines[-1].startswith("state: answered since 20")
    assert json.loads(run("trace", "shop", PHONE, "M1", "--json").output)["state"] == "answered"
    assert run("trace", "shop", PHONE, "M9").exit_code == 1
