"""
The users of ``deploy/redis`` on a server of the tests, and services that run as them.

The one Redis that tests share has these users: whatever a service or the command line asks of it
is asked with the rights that it is to have, and what was denied fails the run at its end. Tests
themselves look into it as ``default``, who may do everything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from redis import Redis

from tests.support.clients import urls_of
from tests.support.deploy_files import DEPLOY

Role = Literal["ingest", "consumer", "operator"]

ROLES: tuple[Role, ...] = ("ingest", "consumer", "operator")

_with_users: set[str] = set()
"""The URLs of servers that have these users."""


SELECTORS_SINCE = (7, 0, 0)
"""Before it Redis knows no rights that are for some keys alone."""


def write_users(
    into: Path, version: tuple[int, int, int] = SELECTORS_SINCE, *, prefix: str = "test-"
) -> Path:
    """
    The shipped users for keys that begin with ``prefix``, each with a password that is its name,
    and a ``default`` who may do everything; for a Redis of that version.
    """
    text = (DEPLOY / "redis" / shipped_for(version)).read_text()
    for role in ROLES:
        hashed = hashlib.sha256(role.encode()).hexdigest()
        text = text.replace(f"#{role.upper()}_SHA256", f"#{hashed}")
    text = text.replace("~inturn:*", f"~inturn:* ~{prefix}*")
    text = text.replace("&inturn:*", f"&inturn:* &{prefix}*")
    text = re.sub(r"~inturn:(\{\S+?)(?=[ )])", rf"~inturn:\1 ~{prefix}*:\1", text)
    text = text.replace("user default off", "user default on nopass ~* &* +@all")
    path = into / "users.acl"
    path.write_text(text)
    return path


def shipped_for(version: tuple[int, int, int]) -> str:
    """The name of the shipped users that a Redis of that version loads as they are."""
    return "users.acl" if version >= SELECTORS_SINCE else "users-6.2.acl"


def note_users(url: str) -> None:
    """The server at ``url`` has these users."""
    _with_users.add(url)


def as_user(url: str, role: Role) -> str:
    """``url`` for a user of that name, where the server has one."""
    return f"{url}?username={role}&password={role}" if url in _with_users else url


def denied_commands(url: str) -> Sequence[str]:
    """What these users were denied, once each: ``ingest: xdel``."""
    rows: list[dict[str, Any]] = []
    for each in urls_of(url):
        with Redis.from_url(each, protocol=2, decode_responses=True) as client:
            rows += client.acl_log(count=1000)
    denied = {f"{row['username']}: {row['object']} ({row['context']})" for row in rows}
    return sorted(each for each in denied if each.startswith(ROLES))
