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
    """The instances behind one connection."""

    def __init__(self, connection: str, provider: Provider, settings: Settings) -> None:
        own = settings.instance(connection)
        self._own = _recipient(connection, own, settings)
        self._settings = provider.account_settings
        self._accounts = dict(_accounts_of(own, provider))
        self._several = own.serves_several
        self._written_down = {
            **_accounts_behind(connection, provider, settings),
            **dict.fromkeys(self._accounts.items(), self._own),
        }

    def of(
        self,
        account: str | None,
        setting: str | None = None,
        *others: tuple[str | None, str],
    ) -> Recipient | None:
        """
        The instance that messages for ``account`` are for; None: it is not one of these.

        A payload that names no account speaks for the connection itself, and so does one whose
        account nobody has written down, unless the connection's own, in the same ``setting``, is
        another. Of several accounts the first that is written down counts.
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
        own = self._own
        if account == own.instance:
            return own
        if not is_instance_name(account):
            return None
        return Recipient(
            instance=account,
            connection=own.instance,
            store_raw=own.store_raw,
            groups=own.groups,
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
            recipient = _recipient(name, own, settings)
            accounts = _accounts_of(own, provider) or [(provider.account_settings[0], name)]
            found |= dict.fromkeys(accounts, recipient)
    return found


def _accounts_of(own: InstanceSettings, provider: Provider) -> list[tuple[str, str]]:
    """The accounts that an instance's settings name, each with its setting."""
    named = ((setting, getattr(own, setting)) for setting in provider.account_settings)
    return [(setting, account) for setting, account in named if account is not None]


def _recipient(name: str, own: InstanceSettings, settings: Settings) -> Recipient:
    return Recipient(
        instance=name,
        store_raw=settings.store_raw if own.store_raw is None else own.store_raw,
        groups=settings.groups if own.groups is None else own.groups,
    )
