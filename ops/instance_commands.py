"""The commands ``inturn instances ...``: see each account, and steer it at run time."""

# Imports inside functions are this file's way, as in cli:
# ruff: noqa: PLC0415

from __future__ import annotations

import click

from ops.told import json_option
from ops.whole_help import WholeHelp


@click.group(cls=WholeHelp, invoke_without_command=True)
@json_option
@click.pass_context
def instances(ctx: click.Context, *, as_json: bool) -> None:
    """
    Show each account: its provider, what shapes its windows, and what waits; or steer one.

    What is set here goes before files and environment, holds on all workers within 2 s, and stays
    until it is taken back.
    """
    if ctx.invoked_subcommand is None:
        from ops.instances import show_instances

        click.echo(show_instances(as_json=as_json))


@instances.command("show")
@click.argument("instance")
@json_option
def show(instance: str, *, as_json: bool) -> None:
    """Show what holds for an account, and where each value comes from."""
    from ops.steer import show_settings

    click.echo(show_settings(instance, as_json=as_json))


@instances.command("set")
@click.argument("instance")
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=VALUE...")
@json_option
def set_(instance: str, pairs: tuple[str, ...], *, as_json: bool) -> None:
    """Set mode, max_wait_ms, max_messages, quiet_ms, grace_ms or paused at run time."""
    from ops.steer import set_settings

    click.echo(set_settings(instance, pairs, as_json=as_json))


@instances.command("unset")
@click.argument("instance")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
def unset(instance: str, names: tuple[str, ...], *, as_json: bool) -> None:
    """Take back what was set: those names, or all, a pause included."""
    from ops.steer import unset_settings

    click.echo(unset_settings(instance, names, as_json=as_json))


@instances.command("pause")
@click.argument("instance")
@json_option
def pause(instance: str, *, as_json: bool) -> None:
    """Start no window of an account; its messages are accepted and kept."""
    from ops.steer import pause_instance

    click.echo(pause_instance(instance, as_json=as_json))


@instances.command("resume")
@click.argument("instance")
@json_option
def resume(instance: str, *, as_json: bool) -> None:
    """Handle a paused account's windows again, in their order."""
    from ops.steer import resume_instance

    click.echo(resume_instance(instance, as_json=as_json))
