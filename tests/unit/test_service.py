"""What runs in a service's background."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from shared.errors import StartRefused
from shared.service import in_background


async def test_background_ends_with_the_block() -> None:
    """Nothing that a service started runs after it."""
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with in_background(work=work()):
        await asyncio.sleep(0)
    assert ended.is_set()


async def test_a_failure_in_the_background_ends_the_service() -> None:
    """Who serves without what keeps it alive would only look alive."""

    async def work() -> None:
        raise OSError("gone")

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(5), in_background(work=work()):
            await asyncio.Event().wait()
    assert failed.group_contains(OSError, match="gone")


async def test_a_refusal_inside_comes_out() -> None:
    """A port that is in use ends the start, whatever runs already."""
    with pytest.raises(ExceptionGroup) as refused:
        async with in_background(work=asyncio.sleep(60)):
            raise StartRefused(["INTURN_PORT: in use"])
    assert refused.group_contains(StartRefused)


ON_A_FULL_DISK = """
import sys
from shared.service import end_process
with open("/dev/full", "w") as sys.stderr:
    end_process("the loop stood still", 70)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_process_ends_though_its_log_is_full() -> None:
    """The watchdog's word is lost, and its deed is not: others take over."""
    ended = subprocess.run([sys.executable, "-c", ON_A_FULL_DISK], check=False, timeout=30)
    assert ended.returncode == 70
