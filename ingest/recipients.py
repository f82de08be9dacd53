"""
Whose a message is: the connection's own instance, or one of several accounts behind it.

A connection is what a webhook's path names: its secrets vouch for all that comes through it. The
payload says which account a message is for; which instance that is, the settings say.
"""

from __future__ import annotations

from collections.abc import Mapping

from shared.instance_settings import InstanceSettings
from shared.keys import is_instance_name
from shared.providers import Provider, Recipient
from shared.settings import Settings


class Recipients:
    """The instances behind the connection of ``path``, which is the instance that a path names."""

    def __init__(self, path: str, provider: Provider, settings: Settings) -> None:
        own = settings.instance(path)
        self._connection = own.connection or path
        connection = settings.instance(self._connection)
        self._own = _recipient(path, provider, settings)
        self._settings = provider.account_settings
        self._accounts = dict(_accounts_of(own, provider))
        self._through = _recipient(self._connection, provider, settings)
        self._several = connection.serves_several
        self._named = settings.instances.keys()
        self._written_down = {
            **_accounts_behind(self._connection, provider, settings),
            **dict.fromkeys(_known_as(self._connection, connection, provider), self._through),
        }

    def of(
        self,
        account: str | None,
        setting: str | None = None,
        *others: tuple[str | None, str],
    ) -> Recipient | None:
        """
        The instance that messages for ``account`` are for; None: it is not one of these.

        A payload that names no account speaks for the path's instance itself, and so does one
        whose account nobody has written down, unless the instance's own, in the same ``setting``,
        is another. Of several accounts the first that is written down counts.
        """
        if not self._settings or (account is None and not others):
            return self._own
        known = [] if account is None else [(setting or self._settings[0], account)]
        if others:
            known += [(where, other) for other, where in others if other is not None]
        for each in known:
            found = self._written_down.get(each)
            if found is not None:
                return found
        if account is not None and self._several:
            return self._unnamed(account)
        if self._accounts and any(where in self._accounts for where, _ in known):
            return None
        return self._own

    def _unnamed(self, account: str) -> Recipient | None:
        """An account under its own name, which no instance of the settings may have."""
        through = self._through
        if account == through.instance:
            return through
        if account in self._named or not is_instance_name(account):
            return None
        return Recipient(
            instance=account,
            connection=through.instance,
            store_raw=through.store_raw,
            groups=through.groups,
            tenant=through.tenant,
        )


def connection_of(account: str | None, provider: Provider, settings: Settings) -> str | None:
    """
    Whose secrets must vouch for a payload that came by a path without an instance.

    The instance that has ``account`` in its settings, or its name; behind another connection, that
    one. An account that nobody has written down stands for itself, and has no secrets.
    """
    if account is None or not is_instance_name(account):
        return None
    for name, own in settings.instances.items():
        if own.provider == provider.name and account in dict(_accounts_of(own, provider)).values():
            return own.connection or name
    return settings.instance(account).connection or account


def _accounts_behind(
    connection: str, provider: Provider, settings: Settings
) -> Mapping[tuple[str, str], Recipient]:
    found: dict[tuple[str, str], Recipient] = {}
    for name, own in settings.instances.items():
        if own.connection == connection:
            recipient = _recipient(name, provider, settings)
            found |= dict.fromkeys(_known_as(name, own, provider), recipient)
    return found


def _known_as(name: str, own: InstanceSettings, provider: Provider) -> list[tuple[str, str]]:
    """An instance's accounts; where its settings name none, its own name."""
    return _accounts_of(own, provider) or [(each, name) for each in provider.account_settings[:1]]


def _accounts_of(own: InstanceSettings, provider: Provider) -> list[tuple[str, str]]:
    """The accounts that an instance's settings name, each with its setting."""
    named = ((setting, getattr(own, setting)) for setting in provider.account_settings)
    return [(setting, account) for setting, account in named if account is not None]


def _recipient(name: str, provider: Provider, settings: Settings) -> Recipient:
    own = settings.instance(name)
    return Recipient(
        instance=name,
        store_raw=settings.store_raw if own.store_raw is None else own.store_raw,
        groups=settings.groups if own.groups is None else own.groups,
        tenant=getattr(own, provider.tenant_setting) if provider.tenant_setting else None,
    )
