"""The commands ``inturn outbox``: a person decides about replies that did not leave."""

# Imports inside functions are this file's way, as in cli:
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Any

import click

from ops.told import Telling, confirm, json_option
from ops.whole_help import WholeHelp


def _parse_reply_ids(_ctx: click.Context, _param: click.Parameter, given: Any) -> Any:
    """One id, or a tuple of them; a usage error says what one looks like."""
    from shared.unsent import ReplyId

    try:
        if isinstance(given, tuple):
            return tuple(ReplyId.parse(text) for text in given)
        return ReplyId.parse(given)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group(cls=WholeHelp)
def outbox() -> None:
    """Look at replies that were held or refused; have them sent, or throw them away."""


@outbox.command("list")
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="So many at most."
)
@click.option("--all", "every", is_flag=True, help="Also what is yet to be sent, or on its way.")
@json_option
def list_outbox(*, limit: int, every: bool, as_json: bool) -> None:
    """List the newest that wait for a decision, without texts and users."""
    from ops.outbox import list_replies

    click.echo(list_replies(limit, every=every, as_json=as_json))


@outbox.command("show")
@click.argument("reply_id", metavar="ID", callback=_parse_reply_ids)
@json_option
def show_outbox(reply_id: Any, *, as_json: bool) -> None:  # noqa: ARG001  it always is
    """Show everything that is kept of one, as JSON: also its texts and its user."""
    from ops.outbox import show_reply
    from shared.unsent import GONE

    text = show_reply(reply_id)
    if text is None:
        raise click.ClickException(GONE)
    click.echo(text)


@outbox.command("resend")
@click.argument("reply_ids", metavar="[ID]...", nargs=-1, callback=_parse_reply_ids)
@click.option("--all", "every", is_flag=True, help="All that wait for a decision now.")
@json_option
def resend_outbox(reply_ids: tuple[Any, ...], *, every: bool, as_json: bool) -> None:
    """Have replies sent after all, oldest first; no handler is called again."""
    if every == bool(reply_ids):
        raise click.UsageError("name the replies, or give --all")
    from ops.outbox import resend_replies

    chosen = None if every else reply_ids
    _exit(0 if resend_replies(chosen, Telling(as_json=as_json)) else 1)


@outbox.command("discard")
@click.argument("reply_ids", metavar="ID...", nargs=-1, required=True, callback=_parse_reply_ids)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def discard_outbox(reply_ids: tuple[Any, ...], *, yes: bool, as_json: bool) -> None:
    """Delete replies for ever: their users are not answered."""
    if not yes:
        confirm(f"delete {len(reply_ids)} for ever?", as_json=as_json)
    from ops.outbox import discard_replies

    _exit(0 if discard_replies(reply_ids, Telling(as_json=as_json)) else 1)


def _exit(code: int) -> None:
    click.get_current_context().exit(code)
