"""``inturn instances show``, ``set``, ``unset``, ``pause``, ``resume``: steering at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ops.reach import with_store
from ops.table import render_table
from ops.told import as_document, doubt_name
from shared.connect import Pipe
from shared.errors import StartRefused
from shared.instance_facts import InstanceFacts, facts_of, is_known, steered_face
from shared.keys import Keys, is_instance_name
from shared.settings import load_settings
from shared.steering import NAMES, Value, change_problem, check_value
from shared.steering_store import SteeringStore

HEAD = ("SETTING", "VALUE", "FROM", "SINCE", "WITHOUT THAT")

IN_FORCE = "in force on all workers within 2 s"


@dataclass(frozen=True, slots=True)
class _Steered:
    """
    An instance as it is steered now, and whether it is one that anybody has heard of.

    ``may_be_paused``: no settings name it, so it may be behind a connection that is paused.
    """

    facts: InstanceFacts
    is_known: bool
    may_be_paused: bool


def show_settings(instance: str, *, as_json: bool) -> str:
    """
    What holds for an instance, and where each value comes from.

    Raises:
        StartRefused: no instance can have this name.
    """
    return _render(_change(instance, {}), as_json=as_json)


def set_settings(instance: str, pairs: Sequence[str], *, as_json: bool) -> str:
    """
    Set values at run time, each written as ``name=value``.

    Raises:
        StartRefused: no such name, or a value that it cannot have; nothing has changed.
    """
    return _render(_change(instance, _parse(pairs)), IN_FORCE, as_json=as_json)


def unset_settings(instance: str, names: Sequence[str], *, as_json: bool) -> str:
    """
    Take values back, or all that was set; a pause is over then, too.

    Raises:
        StartRefused: there is no such name; nothing has changed.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise StartRefused([f"{unknown[0]} is no setting of these: {', '.join(NAMES)}"])
    changes = dict.fromkeys(names or NAMES)
    return _render(_change(instance, changes), IN_FORCE, as_json=as_json)


def pause_instance(instance: str, *, as_json: bool) -> str:
    """
    Start no window of an instance any more; messages are accepted and kept.

    Raises:
        StartRefused: no instance can have this name.
    """
    found = _change(instance, {"paused": True})
    said = f"paused, {IN_FORCE}: what is in hand ends, what comes is kept"
    return _render(found, said, as_json=as_json)


def resume_instance(instance: str, *, as_json: bool) -> str:
    """
    Handle an instance's windows again, also where the connection that it is behind is paused.

    Raises:
        StartRefused: no instance can have this name.
    """
    found = _change(instance, {"paused": None})
    if found.facts.paused or found.may_be_paused:
        found = _change(instance, {"paused": False})
    return _render(found, f"goes on, {IN_FORCE}", as_json=as_json)


def _change(instance: str, changes: Mapping[str, Value | None]) -> _Steered:
    if not is_instance_name(instance):
        raise StartRefused(["INSTANCE must have 1 to 128 characters, no control characters"])
    settings = load_settings()

    async def act(pipe: Pipe, keys: Keys) -> _Steered:
        store = SteeringStore(pipe, keys)
        if changes:
            problem = change_problem(settings, await store.read(), instance, changes)
            if problem is not None:
                raise StartRefused([problem])
            await store.change(instance, changes)
        steering = await store.read()
        return _Steered(
            facts=facts_of(instance, settings, steering),
            is_known=await is_known(pipe, keys, settings, instance),
            may_be_paused=instance not in settings.instances and bool(steering.paused()),
        )

    return with_store(act)


def _parse(pairs: Sequence[str]) -> dict[str, Value | None]:
    changes: dict[str, Value | None] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.lower()
        try:
            if not equals:
                raise ValueError(f"{name}: write {name}=VALUE")
            changes[name] = check_value(name, _value_of(text))
        except ValueError as error:
            raise StartRefused([str(error)]) from error
    return changes


def _value_of(text: str) -> Value:
    """A number, true or false, or a word, as the shell gave it."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


def _render(found: _Steered, said: str = "", *, as_json: bool) -> str:
    facts = found.facts
    if as_json:
        return as_document(steered_face(facts, is_known=found.is_known))
    rows = [
        (
            name,
            _shown(one.value),
            one.source.value.replace("_", " "),
            _time(one.since),
            _shown(one.configured),
        )
        for name, one in facts.settings.items()
    ]
    lines = render_table(HEAD, rows)
    if not found.is_known:
        lines.append(doubt_name(facts.instance))
    if said:
        lines.append(said)
    return "\n".join(lines)


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _time(at_ms: int | None) -> str:
    if at_ms is None:
        return "-"
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"
