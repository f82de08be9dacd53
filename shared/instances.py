"""The instances of a file, each laid over the connection that it stands behind."""

from __future__ import annotations

from collections.abc import Mapping

from shared.instance_settings import InstanceSettings


def behind_their_connections(
    instances: Mapping[str, InstanceSettings],
) -> dict[str, InstanceSettings]:
    """
    Every instance with its connection's settings where it has none itself.

    Raises:
        ValueError: with every problem, each naming its instance.
    """
    whole: dict[str, InstanceSettings] = {}
    problems: list[str] = []
    for name, own in instances.items():
        try:
            whole[name] = _behind_its_connection(name, own, instances)
        except ValueError as error:
            problems.append(str(error))
    if problems := problems + _claimed_twice(whole):
        raise ValueError("; ".join(problems))
    return whole


def _claimed_twice(instances: Mapping[str, InstanceSettings]) -> list[str]:
    """Accounts that two instances behind one connection have: one would get both's messages."""
    owners: dict[tuple[str, str], str] = {}
    problems: list[str] = []
    for name, own in instances.items():
        if (account := own.account()) is None:
            continue
        field, value = account
        owner = owners.setdefault((own.connection or name, value), name)
        if owner != name:
            problems.append(f"{name}: {field} is that of {owner}, too: write its own")
    return problems


def _behind_its_connection(
    name: str, own: InstanceSettings, instances: Mapping[str, InstanceSettings]
) -> InstanceSettings:
    if own.connection is None:
        if problems := own.without_a_provider():
            raise ValueError(f"{name}: {'; '.join(problems)}")
        return own
    connection = instances.get(own.connection)
    if connection is None or connection.connection is not None:
        why = "is none" if connection is None else "has one"
        expected = "connection must name an instance that has none itself"
        raise ValueError(f"{name}: {expected}, and {own.connection!r} {why}")
    if own.provider not in (None, connection.provider):
        raise ValueError(f"{name}: provider is not that of its connection, {own.connection}")
    for field in sorted(own.model_fields_set & {"secret", "serves_several"}):
        raise ValueError(f"{name}: {field} is its connection's, {own.connection}: write it there")
    merged = own.behind(connection)
    if problems := merged.problems() + merged.without_a_provider():
        raise ValueError(f"{name}: {'; '.join(problems)}")
    return merged
