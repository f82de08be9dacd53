"""What stands on a page of docs/, to be loaded or run as it stands."""

from __future__ import annotations

import asyncio
import re

OURS = "127.0.0.1:8420"
"""Where pages have inturn."""


def blocks_of(page: str, language: str) -> list[str]:
    """The fenced blocks of a page's text in ``language``."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


async def run_curl(script: str, place: str, shell: str = "sh") -> bytes:
    """What a page's curl prints when inturn is at ``place``; it must succeed."""
    command = script.replace(OURS, place)
    process = await asyncio.create_subprocess_exec(
        shell,
        "-c",
        command.replace("curl ", "curl --silent --show-error --fail-with-body "),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said
