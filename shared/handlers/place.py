"""
Where a handler's settings lead: a secret leaves only to the place that it was set for. Pure.

Settings for all stand beneath an instance's own, and a connection's beneath those of the accounts
behind it. What is meant for one endpoint goes along only where both name the same one.
"""

from __future__ import annotations

from typing import NamedTuple

OF_AN_ENDPOINT = frozenset({"handler_secret", "handler_headers", "answer_path"})
OF_A_SERVER = frozenset({"handler_key"})


class Place(NamedTuple):
    """The settings ``handler`` and ``handler_base_url``; None: what stands beneath says it."""

    handler: str | None
    base_url: str | None


def not_for(own: Place, beneath: Place) -> frozenset[str]:
    """The settings that stand beside ``beneath`` and must not go where ``own`` leads."""
    names: frozenset[str] = frozenset()
    if own.handler not in (None, beneath.handler):
        names |= OF_AN_ENDPOINT
    if not _is_same_server(own, beneath):
        names |= OF_A_SERVER
    return names


def _is_same_server(own: Place, beneath: Place) -> bool:
    """Whether the key of a model's server is asked for by the same one."""
    is_other = own.handler not in (None, beneath.handler)
    handlers = (own.handler or "", beneath.handler or "")
    if is_other and any(handler.startswith("dify:") for handler in handlers):
        return False
    if is_other and beneath == Place(None, None):
        return False  # its key is for what stands further beneath, which is not known here
    return own.base_url in (None, beneath.base_url)
