"""The kinds of handler, as the setting ``HANDLER`` names them; what it takes to tell them apart."""

from __future__ import annotations

from typing import Literal

POSSIBLE = "echo, python:module:function, http://..., https://..., openai:<model>, dify:<base url>"


def handler_kind(setting: str) -> Literal["echo", "python", "http", "openai", "dify"]:
    """
    Which kind ``setting`` names; whether its handler can be had is ``handler_for``'s to find out.

    Raises:
        ValueError: none of them.
    """
    kind = setting.partition(":")[0]
    if setting == "echo":
        return "echo"
    if kind == "python":
        return "python"
    if kind.lower() in ("http", "https"):
        return "http"
    if kind == "openai" and ":" in setting:
        return "openai"
    if kind == "dify" and ":" in setting:
        return "dify"
    # A URL pasted without its scheme may hold a password: only what is surely a kind is shown.
    unknown = f"no handler {kind!r}" if kind.isalpha() and len(kind) <= 20 else "not a handler"
    raise ValueError(f"{unknown}; possible are {POSSIBLE}")
