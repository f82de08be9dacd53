"""``inturn mute`` and ``unmute``: a person takes a conversation over, or gives it back."""

from __future__ import annotations

from datetime import UTC, datetime

from ops.reach import with_store
from shared.connect import Pipe
from shared.errors import StartRefused
from shared.keys import Keys, is_instance_name
from shared.message_form import is_user
from shared.mutes import Mutes
from shared.on_human import mute_ms_of
from shared.settings import load_settings


def mute_conversation(instance: str, user: str, minutes: int) -> str:
    """
    Mute for so long from now, in Redis's time; says until when.

    Raises:
        StartRefused: no conversation can have this name.
    """
    _check_names(instance, user)

    async def act(pipe: Pipe, keys: Keys) -> int:
        return await Mutes(pipe, keys).mute(instance, user, minutes * 60_000)

    until = datetime.fromtimestamp(with_store(act) / 1000, UTC)
    return f"muted until {until:%Y-%m-%d %H:%M:%S} UTC"


def unmute_conversation(instance: str, user: str) -> str:
    """
    End the mute, whoever began it; says whether there was one.

    Raises:
        StartRefused: no conversation can have this name.
    """
    _check_names(instance, user)
    human_ms = mute_ms_of(load_settings(), instance, None)

    async def act(pipe: Pipe, keys: Keys) -> bool:
        return await Mutes(pipe, keys).unmute(instance, user, human_ms)

    return "not muted any more" if with_store(act) else "was not muted"


def _check_names(instance: str, user: str) -> None:
    problems = []
    if not is_instance_name(instance):
        problems.append("INSTANCE must have 1 to 128 characters, no control characters")
    if not is_user(user):
        problems.append("USER must not be blank, too long or hold control characters")
    if problems:
        raise StartRefused(problems)
