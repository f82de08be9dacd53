"""The command ``inturn`` in the test's own process, in a shell that leads to the shared server."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis import Redis

from ops.cli import inturn
from shared.keys import Keys
from tests.support.log_lines import own_logging
from tests.support.redis_users import Role, as_user


def run(*arguments: str, answer: str | None = None) -> Result:
    """One command, in this process; some set up logging, which is put back."""
    with own_logging():
        return CliRunner().invoke(inturn, arguments, input=answer)


def enter_shell(
    patch: pytest.MonkeyPatch, folder: Path, redis_url: str, prefix: str, role: Role = "operator"
) -> None:
    """Go into an empty folder, with settings of the shared server."""
    patch.chdir(folder)
    patch.setenv("INTURN_REDIS_URL", as_user(redis_url, role))
    patch.setenv("INTURN_PREFIX", prefix)


def created(client: Redis, prefix: str, partitions: int) -> Keys:
    """The keys of data that some service has created."""
    client.hset(f"{prefix}:meta", "partitions", str(partitions))
    return Keys(prefix, partitions)
