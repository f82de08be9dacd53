"""The Lua scripts, as files."""

from __future__ import annotations

from tests.support.redis_server import ROOT

LUA_FILES = {path.stem: path for path in sorted((ROOT / "shared" / "lua").glob("*.lua"))}
"""By name."""
