"""The commands that show what is in Redis just now: ``windows``, ``instances``."""

# Imports inside functions are this file's way, as in cli:
# ruff: noqa: PLC0415

from __future__ import annotations

import click

from ops.told import json_option


@click.command()
@click.argument("instance", required=False)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@json_option
def windows(instance: str | None, limit: int, *, as_json: bool) -> None:
    """Show windows that are open or in hand, and when each goes on; without texts and users."""
    from ops.windows import show_windows

    click.echo(show_windows(limit, instance, as_json=as_json))


@click.command()
@json_option
def instances(*, as_json: bool) -> None:
    """Show each account: its provider, what shapes its windows, and what waits."""
    from ops.instances import show_instances

    click.echo(show_instances(as_json=as_json))
