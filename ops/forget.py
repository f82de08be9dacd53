"""``inturn forget``: everything of one user is deleted, here and on every ingest machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click

from ingest.spool.erase import erase
from ingest.spool.payload import Named
from ops.mute import check_names
from ops.reach import with_store
from ops.told import as_document
from shared.connect import Pipe
from shared.forget import NOT_REACHED, Forgetter, Report
from shared.keys import Keys
from shared.settings import load_settings

_WORDS = {
    "messages": "messages that were not finished",
    "windows": "windows that a worker had in hand",
    "replies": "replies that had not left",
    "dead_letters": "dead letters",
    "journal": "rows of the journal",
    "ids": "ids kept against duplicates",
    "history": "things said and answered",
    "persons": "notes on persons who answered",
    "mutes": "mutes",
    "tickets": "tickets, whose numbers stay",
}


def forget_user(instance: str, user: str, *, as_json: bool) -> bool:
    """
    Delete everything of a user; prints how much, and what is left to whom.

    After a crash or a lost answer it may be repeated. True: every ingest process that is known has
    said that its disk holds nothing any more.

    Raises:
        StartRefused: no conversation can have this name; or no Redis to be found, or no data.
        click.ClickException: Redis does not answer, or it refused; some of it may be deleted.
    """
    check_names(instance, user)
    erased = _erase(instance, user)

    async def act(pipe: Pipe, keys: Keys) -> Report:
        return await Forgetter(pipe, keys).forget(instance, user)

    report = with_store(act)
    if as_json:
        click.echo(as_document({**report.face(), "spooled_here": erased}))
    else:
        click.echo("\n".join(_lines(report, erased)))
    return not report.heeding.awaited and not report.heeding.silent


def forget_on_disk(instance: str, user: str, *, as_json: bool) -> str:
    """
    Overwrite what this machine's spool holds of a user, whoever works on it; says how much.

    Raises:
        StartRefused: no conversation can have this name.
    """
    check_names(instance, user)
    erased = _erase(instance, user)
    return as_document({"spooled_here": erased}) if as_json else _spooled(erased)


def _erase(instance: str, user: str) -> int:
    settings = load_settings()

    def is_due(named: Named) -> bool:
        return (named.instance, named.user) == (instance, user)

    return erase(settings.spool_dir, settings.prefix, is_due)


def _lines(report: Report, erased: int) -> Iterator[str]:
    counts = [(count, _WORDS[name]) for name, count in asdict(report.forgotten).items() if count]
    yield "deleted:" if counts or erased else "nothing was known of this user"
    for count, words in counts:
        yield f"  {count} {words}"
    if erased:
        yield f"  {_spooled(erased)}"
    heeding = report.heeding
    yield f"{heeding.heeded} ingest processes have said that their disks hold nothing any more"
    for process in heeding.awaited:
        yield f"NOT YET: ingest process {process} has not answered; repeat the command"
    for process in heeding.silent:
        yield f"NOT YET: ingest process {process} is away; it is told when it comes back"
    yield "not in inturn's hands:"
    for words in NOT_REACHED:
        yield f"  {words}"


def _spooled(erased: int) -> str:
    return f"{erased} records overwritten in the spool of this machine"
