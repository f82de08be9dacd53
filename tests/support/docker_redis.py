"""The tests' Redis in a container: ``make test REDIS=docker``."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

IMAGE = "redis:7.4-alpine"


@dataclass(frozen=True, slots=True)
class ContainerRedis:
    """A running container's address."""

    url: str


def why_no_docker() -> str | None:
    """The reason why no container can be started here, or nothing."""
    if shutil.which("docker") is None:
        return "REDIS=docker: there is no docker command on this machine"
    answer = subprocess.run(
        ["docker", "info"], capture_output=True, text=True, timeout=30, check=False
    )
    if answer.returncode == 0:
        return None
    lines = answer.stderr.strip().splitlines()
    return f"REDIS=docker: no Docker daemon answers: {lines[-1] if lines else 'docker info failed'}"


@contextmanager
def container_redis() -> Iterator[ContainerRedis]:
    """A fresh container, removed at the end."""
    from testcontainers.redis import RedisContainer

    with RedisContainer(IMAGE) as container:
        host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
        yield ContainerRedis(f"redis://{host}:{port}/0")
