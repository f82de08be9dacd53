"""Programs that only some checks need: ``promtool``, ``prometheus``, ``systemd-analyze``."""

from __future__ import annotations

import os
import shutil

import pytest


def require_tool(name: str, package: str) -> str:
    """
    The path of a program; skip where it is not installed, fail in CI, which installs it.

    ``CI_WITHOUT`` names the packages that CI could not get.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is missing: apt-get install {package}"
    if os.environ.get("CI") and package not in os.environ.get("CI_WITHOUT", "").split():
        pytest.fail(reason)
    pytest.skip(reason)
