"""The services as processes of their own: ``python -m consumer`` and ``python -m ingest``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ops.chaos import processes
from ops.chaos.processes import Service, environment
from tests.support.redis_users import as_user

__all__ = ["Service", "ServiceProcess", "environment"]


class ServiceProcess(processes.ServiceProcess):
    """One that uses the tests' shared Redis as the user that it is to be there."""

    def __init__(
        self, service: Service, folder: Path, settings: Mapping[str, Any], **options: Any
    ) -> None:
        if "redis_url" in settings:
            settings = {**settings, "redis_url": as_user(settings["redis_url"], service)}
        super().__init__(service, folder, settings, **options)
