"""Why an address cannot be had, in words that name the setting."""

from __future__ import annotations

import errno


def explain_address(error: OSError, host: str, port: int, setting: str) -> str:
    """One line for ``StartRefused``."""
    if error.errno == errno.EADDRINUSE:
        return f"{setting}: port {port} on {host} is in use; choose another one"
    return f"{setting}: cannot listen on {host} port {port}: {error.strerror}"
