"""What a command says: lines for a person, or with ``--json`` one document for a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import orjson

from ops.signals import told_of_ctrl_c

json_option = click.option("--json", "as_json", is_flag=True, help="The same as data.")


def confirm(question: str, *, as_json: bool) -> None:
    """Go on only if a person says yes; asked on stderr where stdout is a program's."""
    with told_of_ctrl_c():
        click.confirm(question, abort=True, err=as_json)


def doubt_name(instance: str) -> str:
    """What is said of an instance that nobody has heard of: a typo would do nothing, silently."""
    return f"nobody called {instance} has written yet: is the name right?"


def as_document(told: Mapping[str, Any]) -> str:
    """A document as it is printed."""
    return orjson.dumps(told, option=orjson.OPT_INDENT_2).decode()


class Telling:
    """
    Tells what becomes of one thing after the other.

    A person is told at once; a program gets ``end``'s document, with everything under ``results``.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._results: list[dict[str, Any]] = []

    def say(self, name: str, words: str, **facts: Any) -> None:
        """One thing is done."""
        self._results.append({"id": name, **facts})
        if not self._as_json:
            click.echo(f"{name}  {words}")

    def end(self, words: str, **totals: Any) -> None:
        """All are done; without ``words`` there is nothing more for a person."""
        if self._as_json:
            click.echo(as_document({**totals, "results": self._results}))
        elif words:
            click.echo(words)
