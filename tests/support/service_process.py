"""The services as processes of their own: ``python -m consumer`` and ``python -m ingest``."""

from ops.chaos.processes import Service, ServiceProcess, environment

__all__ = ["Service", "ServiceProcess", "environment"]
