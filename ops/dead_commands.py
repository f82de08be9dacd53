"""The commands ``inturn dead``: a person decides about windows that were given up."""

# Imports inside functions are this file's way, as in cli:
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Any

import click

from ops.told import Telling, confirm, json_option
from ops.whole_help import WholeHelp


def _parse_letter_ids(_ctx: click.Context, _param: click.Parameter, given: Any) -> Any:
    """One id, or a tuple of them; a usage error says what one looks like."""
    from shared.kept_letters import LetterId

    try:
        if isinstance(given, tuple):
            return tuple(LetterId.parse(text) for text in given)
        return LetterId.parse(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(cls=WholeHelp)
def dead() -> None:
    """Look at windows that were given up; hand them over again, or throw them away."""


@dead.command("list")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="So many at most.",
)
@json_option
def list_dead(limit: int, *, as_json: bool) -> None:
    """List the newest, without texts and users."""
    from ops.dead import list_letters

    click.echo(list_letters(limit, as_json=as_json))


@dead.command("show")
@click.argument("letter_id", metavar="ID", callback=_parse_letter_ids)
@json_option
def show_dead(letter_id: Any, *, as_json: bool) -> None:  # noqa: ARG001  it always is
    """Show everything that is kept of one, as JSON: also what people wrote."""
    from ops.dead import show_letter
    from shared.dead_letters import GONE

    text = show_letter(letter_id)
    if text is None:
        raise click.ClickException(GONE)
    click.echo(text)


@dead.command("replay")
@click.argument("letter_ids", metavar="[ID]...", nargs=-1, callback=_parse_letter_ids)
@click.option("--all", "every", is_flag=True, help="All that there are now.")
@json_option
def replay_dead(letter_ids: tuple[Any, ...], *, every: bool, as_json: bool) -> None:
    """Hand windows over again, oldest first, each with its old id and new attempts."""
    if every == bool(letter_ids):
        raise click.UsageError("name the dead letters, or give --all")
    from ops.dead import replay_letters

    chosen = None if every else letter_ids
    _exit(0 if replay_letters(chosen, Telling(as_json=as_json)) else 1)


@dead.command("discard")
@click.argument("letter_ids", metavar="ID...", nargs=-1, required=True, callback=_parse_letter_ids)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def discard_dead(letter_ids: tuple[Any, ...], *, yes: bool, as_json: bool) -> None:
    """Delete dead letters for ever, with every message in them."""
    if not yes:
        confirm(f"delete {len(letter_ids)} for ever?", as_json=as_json)
    from ops.dead import discard_letters

    _exit(0 if discard_letters(letter_ids, Telling(as_json=as_json)) else 1)


def _exit(code: int) -> None:
    click.get_current_context().exit(code)
