"""
What a Redis server says of itself: INFO, for CONFIG is blocked on managed services.

Pure: INFO's text in, claims out. Whoever judges them (``shared.preflight``, ``shared.doctor``) says
what follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from shared.redis_binary import OLDEST

NO_EVICTION = "noeviction"

_REPLICA = re.compile(r"slave\d+")

Version = tuple[int, int, int]


def parse_info(raw: bytes) -> dict[str, str]:
    """The ``name:value`` lines of all sections; what is no such line is passed over."""
    values = {}
    for line in raw.decode(errors="replace").splitlines():
        name, colon, value = line.partition(":")
        if colon and not name.startswith("#"):
            values[name] = value
    return values


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """
    INFO's values, under INFO's names.

    Compatible servers leave some out: a claim about what is missing is false, a number 0.
    """

    values: Mapping[str, str]

    @classmethod
    def parse(cls, raw: bytes) -> ServerInfo:
        """Of the answer to INFO."""
        return cls(parse_info(raw))

    def text(self, name: str) -> str:
        """A value as it came, empty where there is none."""
        return self.values.get(name, "")

    def number(self, name: str) -> int:
        """A whole number, 0 where there is none."""
        value = self.text(name)
        return int(value) if value.isascii() and value.isdigit() else 0

    @property
    def version(self) -> Version:
        """Of the Redis that it is compatible with; 0.0.0 when it does not say."""
        parts = self.text("redis_version").split(".")[:3]
        numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in parts]
        major, minor, patch = [*numbers, 0, 0, 0][:3]
        return major, minor, patch

    @property
    def name(self) -> str:
        """Name and version, for people: ``Redis 7.0.15``, ``Valkey 8.1.0``."""
        own = self.text("valkey_version")
        return f"Valkey {own}" if own else f"Redis {self.text('redis_version') or 'unknown'}"

    @property
    def is_too_old(self) -> bool:
        """Whether it lacks XAUTOCLAIM (6.2)."""
        return self.version < OLDEST

    @property
    def is_cluster(self) -> bool:
        """Whether it is a node of a Redis Cluster."""
        return self.text("cluster_enabled") == "1" or self.text("redis_mode") == "cluster"

    @property
    def is_sentinel(self) -> bool:
        """Whether it only knows where a primary is."""
        return self.text("redis_mode") == "sentinel"

    @property
    def holds_all_keys(self) -> bool:
        """Whether every key can be asked for here."""
        return not self.is_cluster and not self.is_sentinel

    @property
    def is_replica(self) -> bool:
        """Whether it takes no writes, or only such as are lost with the next synchronisation."""
        return self.text("role") in ("slave", "replica")

    @property
    def online_replicas(self) -> int:
        """How many replicas follow it and are not being synchronised for the first time."""
        rows = (text for name, text in self.values.items() if _REPLICA.fullmatch(name))
        return sum("state=online" in row.split(",") for row in rows)

    @property
    def append_only(self) -> bool | None:
        """Whether it keeps an append-only file; None when it does not say."""
        said = self.text("aof_enabled")
        return None if not said else said == "1"

    @property
    def eviction_policy(self) -> str:
        """``maxmemory_policy``, empty when it does not say."""
        return self.text("maxmemory_policy")

    @property
    def evicts(self) -> bool:
        """
        Whether it deletes keys on its own when its memory is full.

        Also without a ``maxmemory``: one that is set later makes it evict at once, and silently.
        """
        return self.eviction_policy not in ("", NO_EVICTION)
