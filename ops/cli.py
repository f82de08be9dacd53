"""
The command ``inturn``.

Each command imports what it needs when it runs: the parent of ``inturn up`` stays small, and
nobody waits for a Redis client to read a help page.
"""

# Imports inside functions are this file's way:
# ruff: noqa: PLC0415

from __future__ import annotations

from typing import Any

import click

from ops.dead_commands import dead
from ops.instance_commands import instances
from ops.look_commands import top, windows
from ops.outbox_commands import outbox
from ops.signals import end_at_once
from ops.told import confirm, json_option
from ops.whole_help import WholeHelp
from shared.errors import InturnError, StartRefused

REFUSED = 2
"""The exit code of StartRefused, and of click for a wrong argument."""


class Refusal(click.ClickException):
    """Every problem in one message on stderr."""

    exit_code = REFUSED

    def __init__(self, error: StartRefused) -> None:
        super().__init__("\n".join(error.problems))

    def show(self, file: Any = None) -> None:  # noqa: ARG002  stderr, always
        """One line per problem."""
        for problem in self.message.splitlines():
            click.echo(f"inturn: {problem}", err=True)


class Commands(WholeHelp):
    """Turns our errors into messages and exit codes: nobody is shown a traceback for them."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except StartRefused as error:
            raise Refusal(error) from error
        except InturnError as error:
            raise click.ClickException(f"{error}; the command may be repeated") from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=lambda ctx, _param, wanted: _show_version(ctx) if wanted else None,
    help="Show the version and exit.",
)
def inturn() -> None:
    """
    A burst of messages in, one window, one reply out.

    Settings come from INTURN_... variables and from the TOML file that INTURN_CONFIG names.
    Where INTURN_REDIS_URL is unset, commands find the Redis of the `inturn up` of this folder.
    """


@inturn.command()
def up() -> None:
    """Start everything: an embedded Redis unless one is set, ingest and consumer."""
    from ops.supervise import supervise
    from shared.home import home_folder
    from shared.settings import load_settings

    settings = load_settings()
    url = settings.redis_url
    if url is None and settings.durability.startswith("replicas"):
        problem = f"INTURN_DURABILITY is {settings.durability}, but the embedded Redis has none"
        raise StartRefused([f"{problem}: set fsync, which it keeps, or INTURN_REDIS_URL"])
    code = supervise(
        lambda: _serve_up(embeds_redis=url is None),
        folder=home_folder(),
        redis_url=None if url is None else url.get_secret_value(),
        say=lambda text: click.echo(text, err=True),
    )
    _exit(code)


@inturn.command()
@click.option("--processes", type=click.IntRange(1, 64), help="So many, all on INTURN_PORT.")
def ingest(*, processes: int | None) -> None:
    """
    Run the ingest service: webhooks and API messages into Redis.

    With --processes each tells its health and metrics on INTURN_METRICS_PORT or a port after it;
    one that dies is started again.
    """
    if processes is not None:
        from ops.ingest_crew import run_ingest_crew

        _exit(run_ingest_crew(processes))
        return
    from ingest.service import main as serve

    _exit(serve())


@inturn.command()
def consumer() -> None:
    """Run the consumer service: windows to the handler, replies to the users."""
    from consumer.service import main as serve

    _exit(serve())


@inturn.command()
@click.option("--json", "as_json", is_flag=True, help="The whole report as data.")
def doctor(*, as_json: bool) -> None:
    """Check Redis and the data; say what each failing point costs. Exit 1 if one fails."""
    from ops.doctor import diagnose

    text, is_well = diagnose(as_json=as_json)
    click.echo(text)
    _exit(0 if is_well else 1)


@inturn.command()
@click.option("--minutes", default=2.0, show_default=True, type=click.FloatRange(0.1, 1440))
@click.option("--seed", type=int, help="Draws the same faults again; none: a new one.")
@click.option("--workers", default=3, show_default=True, type=click.IntRange(2, 16))
@click.option("--baseline", is_flag=True, help="Then a buffer with a TTL, under the same faults.")
@json_option
def chaos(*, minutes: float, seed: int | None, workers: int, baseline: bool, as_json: bool) -> None:
    """
    Kill, stop and cut off services under load, on a private Redis; say what was lost.

    Prints how many messages were sent, accepted, handled, repeated, lost, reordered and split, and
    how long the work of a killed worker stood still. Exit 1 if anything was lost.
    """
    import secrets
    from functools import partial

    from ops.chaos.run import Plan, run_chaos
    from ops.signals import told_of_ctrl_c
    from shared.home import home_folder
    from shared.redis_binary import find_server

    chosen = secrets.randbelow(10**9) if seed is None else seed
    plan = Plan(minutes=minutes, seed=chosen, workers=workers, baseline=baseline)
    with told_of_ctrl_c():
        binary = find_server(home_folder() / "bin")
        if not as_json:
            _exit(run_chaos(plan, binary, click.echo))
        _exit(run_chaos(plan, binary, partial(click.echo, err=True), click.echo))


for command in (dead, outbox, top, windows, instances):
    inturn.add_command(command)


@inturn.command()
@click.argument("instance")
@click.argument("user")
@click.argument("message_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="The same as data, as the API tells it.")
def trace(instance: str, user: str, message_id: str | None, *, as_json: bool) -> None:
    """Show where a user's messages and replies are; or one message's way, with times (UTC)."""
    from ops.trace import trace_conversation, trace_message

    if message_id is None:
        text = trace_conversation(instance, user, as_json=as_json)
    else:
        text = trace_message(instance, user, message_id, as_json=as_json)
    if text is None:
        asks = "are the names right? What is finished is forgotten after RETENTION_MS"
        raise click.ClickException(f"nothing is known of this: {asks}")
    click.echo(text)


@inturn.command()
@click.argument("instance")
@click.argument("user")
@click.option(
    "--minutes",
    default=30,
    show_default=True,
    type=click.IntRange(1, 10_080),
    help="So long from now.",
)
@json_option
def mute(instance: str, user: str, minutes: int, *, as_json: bool) -> None:
    """Have the bot be silent towards a user: a person takes over."""
    from ops.mute import mute_conversation

    click.echo(mute_conversation(instance, user, minutes, as_json=as_json))


@inturn.command()
@click.argument("instance")
@click.argument("user")
@json_option
def unmute(instance: str, user: str, *, as_json: bool) -> None:
    """Have the bot answer a user again, also one whom a person wrote by hand."""
    from ops.mute import unmute_conversation

    click.echo(unmute_conversation(instance, user, as_json=as_json))


@inturn.command()
@click.argument("instance")
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def forget(instance: str, user: str, *, yes: bool, as_json: bool) -> None:
    """
    Delete everything of a user: messages, replies, dead letters, history, spool, tickets.

    Says how much went, and what is not in inturn's hands. Exit 1 if an ingest process has not said
    that its disk holds nothing any more.
    """
    if not yes:
        confirm("delete everything of this user for ever?", as_json=as_json)
    from ops.forget import forget_user

    _exit(0 if forget_user(instance, user, as_json=as_json) else 1)


@inturn.group(cls=WholeHelp)
def spool() -> None:
    """Look at what ingest keeps on this machine's disk while Redis takes nothing."""


@spool.command("status")
@json_option
def show_spool_status(*, as_json: bool) -> None:
    """Show each process's folder: who holds it, how much waits, how old, what is damaged."""
    from ops.spool import show_spool

    click.echo(show_spool(as_json=as_json))


@spool.command("replay")
@json_option
def replay_spool_now(*, as_json: bool) -> None:
    """Put into Redis what no process works on. Exit 1 if something is left."""
    from ops.spool import replay_spool

    _exit(0 if replay_spool(as_json=as_json) else 1)


@spool.command("forget")
@click.argument("instance")
@click.argument("user")
@json_option
def forget_in_spool(instance: str, user: str, *, as_json: bool) -> None:
    """Overwrite what this machine's disk holds of a user; Redis is not asked."""
    from ops.forget import forget_on_disk

    click.echo(forget_on_disk(instance, user, as_json=as_json))


def main() -> None:
    """The console script."""
    end_at_once()
    inturn(prog_name="inturn")


def _show_version(ctx: click.Context) -> None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"inturn {version('inturn')}")
    except PackageNotFoundError:
        click.echo("inturn, not installed: run from a checkout")
    ctx.exit()


def _serve_up(*, embeds_redis: bool) -> int:
    """In the forked child: what starts threads is imported only here."""
    from ops.serve import serve_up

    return serve_up(embeds_redis=embeds_redis)


def _exit(code: int) -> None:
    click.get_current_context().exit(code)


if __name__ == "__main__":
    main()
