"""``inturn windows`` and ``instances`` on real data: what they count, and what they keep quiet."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner
from redis.asyncio import Redis

from ops.cli import inturn
from ops.instances import NOTHING as NO_INSTANCES
from ops.windows import NOTHING as NO_WINDOWS
from shared import open_windows as module
from shared.connect import Pipe
from shared.keys import Keys
from shared.open_windows import Bounds, OpenWindows, open_windows
from shared.redis_time import time_ms_at
from shared.settings import Settings
from shared.steering_store import SteeringStore
from shared.trace.whereabouts import WindowState
from tests.support.partition_scripts import ANN, SHOP, T1, Scripts


@pytest.fixture(autouse=True)
async def shell(shell: pytest.MonkeyPatch, keys: Keys, redis_client: Redis) -> pytest.MonkeyPatch:
    """Its settings lead to data that some service has created."""
    shell.setenv("INTURN_MAX_WAIT_MS", "3600000")
    await redis_client.hset(keys.meta, "partitions", str(keys.partitions))
    return shell


async def run(*arguments: str) -> str:
    """What one command prints."""
    result = await asyncio.to_thread(CliRunner().invoke, inturn, arguments)
    assert result.exit_code == 0, result.output
    return result.output


async def told(*arguments: str) -> Any:
    """The same as data."""
    return json.loads(await run(*arguments, "--json"))


async def start_first(scripts: Scripts, delay_ms: int | None = None, error: str = "") -> str:
    """A handler has Ann's first message; or its attempt failed, and the next one is due so late."""
    epoch = await scripts.acquire()
    window = await scripts.read_window(epoch, SHOP, 1)
    await scripts.begin(window, epoch)
    if delay_ms is not None:
        await scripts.us.postpone((SHOP, ANN), T1, delay_ms, counts=True, error=error)
    return window.id


async def test_an_open_window_counts_down(scripts: Scripts) -> None:
    """It is told with its messages and when it closes, as long as nothing else closes it."""
    first = (await scripts.append("A", text="please call me"))[1]
    await scripts.append("B")
    found = await told("windows")
    (window,) = found["windows"]
    assert (window["state"], window["messages"], window["opened_at"]) == ("open", 2, first.ms)
    assert window["due_at"] == first.ms + 3_600_000
    assert window["goes_on_in_ms"] == window["due_at"] - found["at"]
    assert (found["open"], found["running"]) == (1, 0)
    text = await run("windows")
    assert " in 3" in text
    for output in (json.dumps(found), text):
        assert "call me" not in output
        assert ANN not in output.replace(window["window_id"], "")


async def test_a_full_window_goes_on_now(scripts: Scripts, shell: pytest.MonkeyPatch) -> None:
    """It waits for a worker alone."""
    shell.setenv("INTURN_MAX_MESSAGES", "2")
    for name in "ABC":
        await scripts.append(name)
    (window,) = (await told("windows"))["windows"]
    assert (window["state"], window["messages"]) == ("closed", 2)
    assert window["closed_by"] == "max_messages"


async def test_a_running_window_and_the_one_behind_it(scripts: Scripts) -> None:
    """The user's next window gathers meanwhile, and waits."""
    await scripts.append("A")
    await scripts.append("B")
    running_id = await start_first(scripts)
    first, second = (await told("windows"))["windows"]
    assert (first["window_id"], first["state"], first["attempt"]) == (running_id, "running", 1)
    assert (first["worker"], first["goes_on_in_ms"], first["error"]) == ("us", None, None)
    assert (second["state"], second["messages"], second["behind"]) == ("open", 1, True)
    lines = (await run("windows")).splitlines()
    assert "since 0s" in lines[1] or "since 1s" in lines[1]
    assert "after the one before" in lines[2]
    assert lines[3] == "1 open, 1 running"


async def test_a_window_that_waits_for_its_next_attempt(scripts: Scripts) -> None:
    """With the time until then, and the kind of error: not what the handler said, and of whom."""
    await scripts.append("A")
    await start_first(scripts, delay_ms=600_000, error=f"answered 500: no {ANN}")
    (window,) = (await told("windows"))["windows"]
    assert (window["state"], window["worker"]) == ("retrying", None)
    assert 0 < window["goes_on_in_ms"] <= 600_000
    assert window["error"] == "answered 500"
    last = (await run("windows")).splitlines()[-1]
    assert last == "1 after an attempt that came to nothing: answered 500"


async def test_what_a_handler_says_of_whom_is_not_shown(scripts: Scripts) -> None:
    """Its errors may be of any form: a number in one is left out."""
    await scripts.append("A")
    await start_first(scripts, delay_ms=600_000, error="no user 491700000001")
    text = await run("windows")
    assert text.splitlines()[-1] == "1 after an attempt that came to nothing: no user ***"


async def test_a_window_that_a_pause_holds_back_says_so(
    scripts: Scripts, pipe: Pipe, keys: Keys, shell: pytest.MonkeyPatch
) -> None:
    """A closed one, and one that is tried again; what gathers goes on gathering."""
    shell.setenv("INTURN_MAX_MESSAGES", "2")
    await scripts.append("A")
    await start_first(scripts, delay_ms=600_000)
    for name in "BC":
        await scripts.append(name, user="bob")
    await scripts.append("D", user="cid")
    await SteeringStore(pipe, keys).change(SHOP, {"paused": True})
    retrying, closed, gathers = (await told("windows"))["windows"]
    assert retrying["paused_since"] == closed["paused_since"] > 0
    assert (gathers["state"], gathers["paused_since"]) == ("open", None)
    lines = (await run("windows")).splitlines()
    assert sum("when it is resumed" in line for line in lines) == 2


async def test_windows_of_one_instance_and_no_more_than_asked(
    scripts: Scripts, redis_client: Redis
) -> None:
    """What is left out is said."""
    for name in "ABC":
        await scripts.append(name, user=f"user-{name}")
    await scripts.append("D", instance="clinic")
    assert [one["instance"] for one in (await told("windows", "clinic"))["windows"]] == ["clinic"]
    assert (await run("windows", "clinic")).splitlines()[-1] == "1 open"
    assert (await run("windows", "clinik")).splitlines() == [
        "no window of clinik is open or in hand",
        "nobody called clinik has written yet: is the name right?",
    ]
    await redis_client.sadd(scripts.p.streams, "quiet")
    assert await run("windows", "quiet") == "no window of quiet is open or in hand\n"
    text = await run("windows", "--limit", "2")
    assert text.splitlines()[-1] == "the oldest 2 of 4; --limit shows more"


async def test_a_long_stream_is_looked_at_in_part(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said that there is more."""
    monkeypatch.setattr(module, "ENTRIES_PER_STREAM", 8)
    for number in range(12):
        await scripts.append(f"M{number}", user=f"user-{number}")
    found = await told("windows")
    assert (found["is_whole"], len(found["windows"])) == (False, 8)
    assert "inturn instances tells how much waits" in await run("windows")


async def test_an_entry_that_cannot_be_read_hides_no_other(
    scripts: Scripts, redis_client: Redis
) -> None:
    """Nor does a record that somebody else wrote."""
    await scripts.append("A")
    await redis_client.xadd(scripts.p.stream(SHOP), {"x": "nonsense"})
    await redis_client.hset(scripts.p.running, "nonsense", "nonsense")
    assert (await told("windows"))["open"] == 1


async def test_nothing_is_open(keys: Keys) -> None:
    """One line that says so."""
    assert await run("windows") == f"{NO_WINDOWS}\n"
    assert (await told("windows"))["windows"] == []
    assert await run("instances") == f"{NO_INSTANCES}\n"


async def test_instances_with_their_settings_and_backlog(
    scripts: Scripts, shell: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Those that the file names and those that wrote; a handler's address is not told."""
    config = tmp_path / "inturn.toml"
    config.write_text(
        '[instances.quiet]\nmax_wait_ms = 3000\nquiet_ms = 1500\nmode = "pass_through"\n'
        'handler = "http://bot:hunter2@127.0.0.1/answer"\n'
    )
    shell.setenv("INTURN_CONFIG", str(config))
    await scripts.append("A")
    epoch = await scripts.acquire()
    await scripts.read(epoch, [(SHOP, 1)])
    await scripts.append("B")
    shop, quiet = (await told("instances"))["instances"]
    assert (shop["instance"], shop["messages"], shop["orphans"]) == (SHOP, 2, 1)
    assert (shop["handler"], shop["mode"], shop["max_wait_ms"]) == ("echo", "window", 3_600_000)
    assert (quiet["instance"], quiet["messages"], quiet["oldest_at"]) == ("quiet", 0, None)
    assert (quiet["handler"], quiet["mode"], quiet["quiet_ms"]) == ("http", "pass_through", 1500)
    text = await run("instances")
    assert "hunter2" not in text
    assert "2 instances, 2 messages are not finished" in text
    assert "1 of them were read by a worker that lives no more" in text


async def test_the_oldest_are_told_of_all_that_are_counted(
    pipe: Pipe, keys: Keys, scripts: Scripts
) -> None:
    """Of one instance or of all; each with whose it is, which no command prints."""
    for name, instance in (("A", SHOP), ("B", SHOP), ("C", SHOP), ("D", "clinic")):
        _, entry = await scripts.append(name, user=f"user-{name}", instance=instance)
        while await time_ms_at(pipe, keys.partition(0).streams) <= entry.ms:
            pass  # those of the same ms come in any order

    async def look(**bounds: Any) -> OpenWindows:
        return await open_windows(pipe, keys, Settings(max_wait_ms=3_600_000), Bounds(**bounds))

    oldest, one = await look(windows=2), await look(instance="clinic", windows=2)
    assert (oldest.users, oldest.counts) == (["user-A", "user-B"], {WindowState.OPEN: 4})
    assert (one.users, one.counts) == (["user-D"], {WindowState.OPEN: 1})
    assert [window.instance for window in one.windows] == ["clinic"]


async def test_so_much_is_looked_at_in_all_and_no_more(
    pipe: Pipe, keys: Keys, scripts: Scripts
) -> None:
    """A page that is looked at each second costs no more when more waits."""
    for number in range(20):
        await scripts.append(f"M{number}", user=f"user-{number}")
    part = await open_windows(pipe, keys, Settings(), Bounds(entries=1))
    whole = await open_windows(pipe, keys, Settings(), Bounds(entries=1000))
    assert (part.is_whole, sum(part.counts.values())) == (False, 8)
    assert (whole.is_whole, sum(whole.counts.values())) == (True, 20)
