"""The commands that show what is in Redis just now: ``top``, ``windows``."""

# Imports inside functions are this file's way, as in cli:
# ruff: noqa: PLC0415

from __future__ import annotations

import sys

import click

from ops.told import json_option


@click.command()
@click.argument("instance", required=False)
@click.option(
    "--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="The oldest."
)
@json_option
def windows(instance: str | None, limit: int, *, as_json: bool) -> None:
    """Show windows that are open or in hand, and when each goes on; without texts and users."""
    from ops.windows import show_windows

    click.echo(show_windows(limit, instance, as_json=as_json))


@click.command()
@click.option("--count", type=click.IntRange(1), help="So many looks; else one, or without end.")
@click.option(
    "--seconds",
    default=2.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="Between looks.",
)
@json_option
def top(count: int | None, seconds: float, *, as_json: bool) -> None:
    """
    Watch what waits, and where: a table that is drawn anew, on a terminal until Ctrl-C.

    Elsewhere it looks once, or --count times. With --json each look is one line.
    """
    from ops.top import Plan, show_top

    is_live = not as_json and sys.stdout.isatty()
    looks = count if count is not None or is_live else 1
    plan = Plan(count=looks, interval_s=seconds, is_live=is_live, as_json=as_json)
    show_top(plan, click.echo)
