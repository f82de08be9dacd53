"""``inturn mute`` and ``unmute``: a person takes a conversation over, or gives it back."""

from __future__ import annotations

from datetime import UTC, datetime

from ops.reach import with_store
from ops.told import as_document, doubt_name
from shared.connect import Pipe
from shared.errors import StartRefused
from shared.instance_facts import is_known
from shared.keys import Keys, is_instance_name
from shared.message_form import is_user
from shared.mutes import Mutes
from shared.on_human import mute_ms_of
from shared.settings import load_settings


def mute_conversation(instance: str, user: str, minutes: int, *, as_json: bool) -> str:
    """
    Mute for so long from now, in Redis's time; says until when, and whether the instance is known.

    Raises:
        StartRefused: no conversation can have this name.
    """
    check_names(instance, user)

    settings = load_settings()

    async def act(pipe: Pipe, keys: Keys) -> tuple[int, bool]:
        until_ms = await Mutes(pipe, keys).mute(instance, user, minutes * 60_000)
        return until_ms, await is_known(pipe, keys, settings, instance)

    until_ms, known = with_store(act)
    if as_json:
        told = {"instance": instance, "user": user, "muted_until": until_ms, "is_known": known}
        return as_document(told)
    until = datetime.fromtimestamp(until_ms / 1000, UTC)
    said = f"muted until {until:%Y-%m-%d %H:%M:%S} UTC"
    return said if known else f"{said}\n{doubt_name(instance)}"


def unmute_conversation(instance: str, user: str, *, as_json: bool) -> str:
    """
    End the mute, whoever began it; says whether there was one.

    Raises:
        StartRefused: no conversation can have this name.
    """
    check_names(instance, user)
    human_ms = mute_ms_of(load_settings(), instance, None)

    async def act(pipe: Pipe, keys: Keys) -> bool:
        return await Mutes(pipe, keys).unmute(instance, user, human_ms)

    was_muted = with_store(act)
    if as_json:
        return as_document({"instance": instance, "user": user, "was_muted": was_muted})
    return "not muted any more" if was_muted else "was not muted"


def check_names(instance: str, user: str) -> None:
    """
    Raises:
        StartRefused: no conversation can have this name.
    """
    problems = []
    if not is_instance_name(instance):
        problems.append("INSTANCE must have 1 to 128 characters, no control characters")
    if not is_user(user):
        problems.append("USER must not be blank, too long or hold control characters")
    if problems:
        raise StartRefused(problems)
