"""``inturn top``: looks again and again, plain where there is no terminal."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from ops.cli import inturn
from ops.top import DRAW_ANEW, Look, Looker, Plan, keep_looking, render_text
from shared.backlog_by_instance import InstanceBacklog
from shared.errors import BrokerUnavailable
from shared.keys import Keys
from shared.survey import Kept, PartitionSurvey, StoreSurvey
from tests.support.clients import look_now
from tests.support.partition_scripts import ANN, SHOP, Scripts
from tests.support.redis_server import ROOT
from tests.support.redis_users import as_user

NOW_MS = 1_760_000_000_000


def made(*backlogs: int, owned: bool = True, kept: int = 0) -> Look:
    """A look at instances with so many messages each."""
    part = PartitionSurvey(
        number=0,
        owned=owned,
        messages=sum(backlogs),
        oldest_at=NOW_MS - 65_000,
        now_ms=NOW_MS,
    )
    return Look(
        survey=StoreSurvey(now_ms=NOW_MS, partitions=(part,)),
        kept=Kept(replies=kept, dead_letters=kept),
        in_hand=2,
        workers={"a": "up", "b": "draining"},
        instances=[
            InstanceBacklog(
                instance=f"shop-{n}", messages=count, oldest_at=NOW_MS - 65_000, orphans=0
            )
            for n, count in enumerate(backlogs)
        ],
    )


def test_totals_come_first() -> None:
    """Whether anyone waits, and for how long, is the first line."""
    first, second, *_ = render_text(made(3), None, 10).splitlines()
    assert first == "3 messages are not finished, the oldest for 65s; 2 windows in hand"
    assert second == "workers: 1, draining: 1"


def test_what_needs_a_person_names_its_command() -> None:
    """Partitions that nobody owns, dead letters, and replies that did not leave."""
    second = render_text(made(owned=False, kept=4), None, 10).splitlines()[1]
    for command in ("inturn doctor", "inturn dead list", "inturn outbox list"):
        assert command in second


def test_changes_are_told_against_the_look_before() -> None:
    """Growing and shrinking; nothing where there was no look."""
    rows = render_text(made(5, 1, 2), made(2, 3, 2), 10).splitlines()[4:]
    assert [row.split()[2] for row in rows] == ["+3", "-2", "-"]
    assert render_text(made(5), None, 10).splitlines()[4].split()[2] == "-"


def test_what_does_not_fit_is_counted() -> None:
    """The rows with the most to do stay."""
    lines = render_text(made(9, 8, 7), None, 2).splitlines()
    assert lines[-1] == "and 1 more: inturn instances"
    assert [line.split()[0] for line in lines[4:6]] == ["shop-0", "shop-1"]


class Failing:
    """Fails at the second of three looks."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> Look:
        """Once there is no answer."""
        self.looks += 1
        if self.looks == 2:
            raise BrokerUnavailable("no answer from Redis")
        return made(self.looks)


async def test_live_it_outlasts_an_outage() -> None:
    """It says so on the screen, and goes on; each picture replaces the one before."""
    said: list[str] = []
    looker: Any = Failing()
    plan = Plan(count=3, interval_s=0, is_live=True, as_json=False)
    await keep_looking(looker, plan, said.append)
    assert [text.startswith(DRAW_ANEW) for text in said] == [True] * 3
    assert "no answer from Redis; it is tried again" in said[1]
    assert "+2" in said[2]


async def test_elsewhere_an_outage_ends_it() -> None:
    """A program sees the exit code."""
    looker: Any = Failing()
    plan = Plan(count=3, interval_s=0, is_live=False, as_json=False)
    with pytest.raises(BrokerUnavailable):
        await keep_looking(looker, plan, lambda _text: None)


async def test_a_look_at_real_data(scripts: Scripts, keys: Keys) -> None:
    """Backlog, windows in hand and owner, as they are in Redis."""
    await scripts.window_in_hand("A")
    await scripts.append("B", instance="clinic")
    found = await Looker(scripts.pipe, keys).look()
    assert (found.survey.backlog_messages, found.in_hand) == (2, 1)
    assert found.survey.without_owner == ()
    assert sorted(one.instance for one in found.instances) == ["clinic", SHOP]


async def test_the_command_without_a_terminal(
    scripts: Scripts, redis_url: str, redis_client: Redis, keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One look in plain lines; as data, a line for each; and never a user or a text."""
    monkeypatch.setenv("INTURN_REDIS_URL", as_user(redis_url, "operator"))
    monkeypatch.setenv("INTURN_PREFIX", keys.prefix)
    await redis_client.hset(keys.meta, "partitions", str(keys.partitions))
    await scripts.append("A", text="please call me")

    async def run(*options: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, inturn, ["top", *options])
        assert result.exit_code == 0, result.output
        assert "call me" not in result.output
        assert f'"{ANN}"' not in result.output
        return result.output

    plain = await run()
    assert "\x1b" not in plain
    assert plain.splitlines()[-1].split()[:2] == [SHOP, "1"]
    assert plain.count("messages are not finished") == 1
    lines = (await run("--json", "--count", "2", "--seconds", "0.1")).splitlines()
    assert [json.loads(line)["backlog_messages"] for line in lines] == [1, 1]


def heed_ctrl_c() -> None:
    """As under a terminal, also where the tests themselves run in the background without."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("name", ["top", "windows", "doctor", "consumer", "up"])
def test_ctrl_c_ends_what_has_only_begun_without_a_word(name: str, tmp_path: Path) -> None:
    """No traceback of somebody else's module: while it imports, nothing is to be put in order."""
    slow = "import time; print('importing', flush=True); time.sleep(60)"
    (tmp_path / "pydantic_settings.py").write_text(slow)
    process = subprocess.Popen(
        [sys.executable, "-m", "ops.cli", name],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509  the main thread forks
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"importing\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == -signal.SIGINT


def test_on_a_terminal_it_goes_on_until_ctrl_c(
    redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The picture comes again and again; Ctrl-C is its end, and no error."""
    with look_now(redis_url) as client:
        client.hset(keys.meta, "partitions", str(keys.partitions))
    monkeypatch.setenv("INTURN_REDIS_URL", as_user(redis_url, "operator"))
    monkeypatch.setenv("INTURN_PREFIX", keys.prefix)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "ops.cli", "top", "--seconds", "0.1"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509  the main thread forks
    )
    os.close(theirs)
    try:
        seen = b""
        while seen.count(DRAW_ANEW.encode()) < 3:
            seen += os.read(ours, 4096)
        assert b"0 messages are not finished" in seen
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
