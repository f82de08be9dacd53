"""``inturn spool``: what it says of the files on the disk, and what it puts into Redis."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from ingest.spool.folder import HeldFolder
from ingest.spool.payload import Spooled, encode_spooled
from ingest.spool.record import pack_record
from ops.cli import inturn
from shared.keys import Keys
from tests.support.log_lines import own_logging
from tests.support.shell import created, enter_shell
from tests.support.spooling import INSTANCE, message

PHONE = "+491700000001"


@pytest.fixture(autouse=True)
def shell(
    redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pytest.MonkeyPatch]:
    """A shell in an empty folder whose settings lead to the shared server."""
    enter_shell(monkeypatch, tmp_path, redis_url, prefix, "ingest")
    with own_logging():
        yield monkeypatch


@pytest.fixture
def keys(client: Redis, prefix: str) -> Keys:
    """Of data that some service has created."""
    return created(client, prefix, 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The default ``SPOOL_DIR`` of this folder."""
    made = tmp_path / ".inturn" / "spool"
    made.mkdir(parents=True)
    return made


def run(*arguments: str) -> Result:
    """One command, in this process."""
    return CliRunner().invoke(inturn, ["spool", *arguments])


def leave(root: Path, prefix: str, *numbers: int, damage: bytes = b"") -> HeldFolder:
    """A folder with messages; whoever made it still holds it."""
    folder = HeldFolder.create(root, prefix)
    payloads = (encode_spooled(Spooled(message=message(n, user=PHONE), at=1)) for n in numbers)
    data = b"".join(pack_record(payload) for payload in payloads)
    (folder.path / "000000000001.spool").write_bytes(data + damage)
    return folder


def test_without_a_spool_nothing_waits(tmp_path: Path) -> None:
    """Asking creates nothing, and says that nothing is there."""
    result = run("status")
    assert (result.exit_code, result.output) == (
        0,
        "the spool is empty, and no process uses it\n",
    )
    assert run("replay").exit_code == 0
    assert not (tmp_path / ".inturn").exists()


def test_status_tells_counts_and_nobody(root: Path, prefix: str) -> None:
    """Who holds it, how much, how old, what is damaged or refused; no text, no user."""
    held = leave(root, prefix, 1, 2)
    free = leave(root, prefix, 3, damage=b"torn")
    free.set_aside(b"{}\n{}")
    free.release()
    try:
        result = run("status")
        data = json.loads(run("status", "--json").stdout)
    finally:
        held.release()

    assert result.exit_code == 0
    rows = [line.split() for line in result.output.splitlines()[1:3]]
    # made within one millisecond, they have no order
    assert {(row[1], row[2], row[5], row[6]) for row in rows} == {
        (str(os.getpid()), "2", "0", "0"),
        ("nobody", "1", "1", "1"),
    }
    assert result.output.splitlines()[-1] == "3 messages wait for Redis"
    assert data["messages"] == 3
    assert {one["held_by"] for one in data["folders"]} == {os.getpid(), None}
    assert PHONE not in result.output


def test_replay_takes_what_nobody_works_on(
    root: Path, keys: Keys, client: Redis, prefix: str
) -> None:
    """What a dead process left is in Redis, and what a live one holds is left to it and named."""
    held = leave(root, prefix, 1)
    leave(root, prefix, 2, 3).release()
    try:
        result = run("replay")
    finally:
        held.release()

    assert result.exit_code == 1
    assert result.stdout.splitlines()[0] == "replayed 2 messages"
    assert f"1 messages are left in {held.path.name}, held by pid {os.getpid()}" in result.output
    assert client.xlen(keys.partition(0).stream(INSTANCE)) == 2

    again = run("replay")
    assert (again.exit_code, again.stdout) == (0, "replayed 1 messages\n")
    assert client.xlen(keys.partition(0).stream(INSTANCE)) == 3


def test_replay_tries_again_what_was_refused(
    root: Path, keys: Keys, client: Redis, prefix: str
) -> None:
    """What an earlier version could not read is in Redis; what this one cannot either stays."""
    folder = leave(root, prefix, 1)
    folder.set_aside(encode_spooled(Spooled(message=message(2, user=PHONE), at=1)))
    folder.set_aside(b"{}\n{}")
    folder.release()
    for _ in range(2):
        assert run("replay").exit_code == 0
        assert client.xlen(keys.partition(0).stream(INSTANCE)) == 2
        [left] = json.loads(run("status", "--json").stdout)["folders"]
        assert (left["messages"], left["refused"]) == (0, 1)


def test_replay_without_redis_leaves_everything(
    root: Path, prefix: str, shell: pytest.MonkeyPatch
) -> None:
    """Nothing is taken out of the spool that is not in Redis."""
    leave(root, prefix, 1).release()
    shell.setenv("INTURN_REDIS_URL", "unix:///nowhere.sock")

    assert run("replay").exit_code == 1
    assert json.loads(run("status", "--json").stdout)["messages"] == 1
