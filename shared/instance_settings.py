"""
``[instances.<name>]``: one account's provider and credentials, and what differs from the general.

An instance is the connection that its webhooks' path names, unless it has a ``connection``: then
it is one of several accounts behind that one, and takes from it what it does not set itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode
from typing_extensions import Annotated, Self

from shared.handlers.answer_path import parse_answer_path
from shared.handlers.headers import check_header_name, check_header_value
from shared.handlers.kinds import handler_kind
from shared.handlers.place import Place, not_for
from shared.http_url import check_http_url
from shared.on_human import parse_mute_ms
from shared.patterns import PATTERNS_MAX, check_pattern, read_list
from shared.reference import follow_reference

if TYPE_CHECKING:
    from shared.providers import Provider


class Secret(SecretStr):
    """A secret whose ``repr`` and ``str`` are ``***``."""

    def _display(self) -> str:
        return "***" if self._secret_value else ""


def _follow_secret(value: Secret) -> Secret:
    return Secret(follow_reference(value.get_secret_value()))


def _check_handler(value: str) -> str:
    handler_kind(value)
    return value


def _known_providers() -> dict[str, Provider]:
    # not at the top: providers speak HTTP, and the parent of `inturn up` does not
    from shared.providers.registry import PROVIDERS  # noqa: PLC0415

    return dict(PROVIDERS)


def _check_provider(value: str) -> str:
    known = _known_providers()
    if value not in known:
        raise ValueError(f"no such provider; possible are {', '.join(sorted(known))}")
    return value


def _check_on_human(value: str) -> str:
    parse_mute_ms(value)
    return value


def _check_answer_path(value: str) -> str:
    parse_answer_path(value)
    return value


def _check_header(value: Secret) -> Secret:
    check_header_value(value.get_secret_value())
    return value


FollowedSecret = Annotated[Secret, AfterValidator(_follow_secret)]
FollowedText = Annotated[str, AfterValidator(follow_reference), Field(min_length=1)]
HttpUrl = Annotated[str, AfterValidator(check_http_url)]
AnswerPathText = Annotated[str, AfterValidator(_check_answer_path)]
HandlerHeaders = dict[
    Annotated[str, AfterValidator(check_header_name)],
    Annotated[FollowedSecret, AfterValidator(_check_header)],
]
HandlerName = Annotated[str, AfterValidator(_check_handler)]
HumanPolicy = Annotated[str, AfterValidator(_check_on_human)]
PatternList = Annotated[
    tuple[Annotated[str, AfterValidator(check_pattern)], ...],
    Field(max_length=PATTERNS_MAX),
    BeforeValidator(read_list),
    NoDecode,
]
ProviderName = Annotated[str, AfterValidator(_check_provider)]


class WindowSettings(BaseModel):
    """What shapes a window; may be set for all, and per instance."""

    max_wait_ms: int | None = Field(None, ge=1, le=3_600_000)
    max_messages: int | None = Field(None, ge=1, le=1000)
    quiet_ms: int | None = Field(None, ge=0)
    mode: Literal["window", "pass_through"] | None = None
    bypass: PatternList | None = None
    flush: PatternList | None = None


class ProviderSettings(BaseModel):
    """What single providers need besides; each says in ``settings_of_its_own`` which."""

    instance_name: FollowedText | None = None
    verify_token: FollowedSecret | None = None
    phone_number_id: FollowedText | None = None
    page_id: FollowedText | None = None
    instagram_id: FollowedText | None = None
    account_id: FollowedText | None = None
    inbox_id: FollowedText | None = None
    session: FollowedText | None = None
    account_sid: FollowedText | None = None
    from_: FollowedText | None = Field(None, alias="from")
    messaging_service_sid: FollowedText | None = None


class ModelSettings(BaseModel):
    """How a handler asks a model (``openai:``, ``dify:``); may be set for all, and per instance."""

    handler_base_url: HttpUrl | None = None
    handler_key: FollowedSecret | None = None
    handler_images: bool | None = None
    system_prompt: FollowedText | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1)
    history_messages: int | None = Field(None, ge=0, le=1000)
    history_ms: int | None = Field(None, gt=0)


class InstanceSettings(WindowSettings, ModelSettings, ProviderSettings):
    """
    ``token`` is what we send with, ``secret`` what the provider signs or sends with: several
    while they rotate. ``serves_several``: webhooks of accounts that no instance names are taken
    too, under the account's own name.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    provider: ProviderName | None = None
    connection: str | None = None
    serves_several: bool = False
    base_url: HttpUrl | None = None
    token: FollowedSecret | None = None
    secret: list[FollowedSecret] = Field(default_factory=list)
    handler: HandlerName | None = None
    handler_secret: FollowedSecret | None = None
    handler_timeout_ms: int | None = Field(None, gt=0)
    handler_concurrency: int | None = Field(None, ge=1, le=100_000)
    handler_headers: HandlerHeaders = Field(default_factory=dict)
    answer_path: AnswerPathText | None = None
    outbox_policy: Literal["resend", "hold"] | None = None
    on_human: HumanPolicy | None = None
    store_raw: bool | None = None
    groups: bool | None = None

    @field_validator("secret", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _what_the_provider_needs(self) -> Self:
        if self.connection is None and (problems := self.problems()):
            raise ValueError("; ".join(problems))
        return self

    def problems(self) -> list[str]:
        """What the provider lacks, or does not know, of its own settings."""
        if self.provider is None:
            return []
        provider = _known_providers()[self.provider]
        return [
            *self._foreign(provider),
            *self._missing(provider),
            *self._unreachable(provider),
            *provider.problems_of(self),
        ]

    def _unreachable(self, provider: Provider) -> list[str]:
        """What asks for accounts where payloads name none."""
        if provider.account_settings:
            return []
        asked = [name for name in ("connection", "serves_several") if getattr(self, name)]
        why = "does not say which account a message is for: each instance has a path of its own"
        return [f"{name} is not possible: provider {provider.name} {why}" for name in asked]

    def _foreign(self, provider: Provider) -> list[str]:
        own = provider.settings_of_its_own
        known = ", ".join(map(_shown, own)) or "none"
        return [
            f"{_shown(name)} is no setting of provider {provider.name}; those of its own: {known}"
            for name in ProviderSettings.model_fields
            if getattr(self, name) is not None and name not in own
        ]

    def _missing(self, provider: Provider) -> list[str]:
        """
        A provider that was given a part of what it needs to send was meant to send.

        A connection of several accounts need have none itself.
        """
        if self.token is None:
            return []
        spared = provider.account_settings if self.serves_several else ()
        return self._missing_one(provider) + [
            f"{_shown(name)} is missing: provider {provider.name} needs it to send"
            + (f" ({meaning})" if (meaning := provider.settings_of_its_own.get(name)) else "")
            for name in provider.needs_to_send
            if getattr(self, name) is None and name not in spared
        ]

    def _missing_one(self, provider: Provider) -> list[str]:
        fields = provider.needs_one_of
        if not fields or self.serves_several or any(getattr(self, name) for name in fields):
            return []
        names = " or ".join(map(_shown, fields))
        return [f"{names} is missing: provider {provider.name} needs one of them to send"]

    @property
    def place(self) -> Place:
        """Where its windows go, as far as it says that itself."""
        return Place(self.handler, self.handler_base_url)

    def behind(self, connection: InstanceSettings) -> InstanceSettings:
        """These settings, with the connection's where they say nothing."""
        not_kept = {"serves_several", *not_for(self.place, connection.place)}
        if connection.provider is not None:
            not_kept.update(_known_providers()[connection.provider].account_settings)
        kept = {name: getattr(connection, name) for name in connection.model_fields_set - not_kept}
        own = {name: getattr(self, name) for name in self.model_fields_set}
        return InstanceSettings.model_construct(**(kept | own))

    def without_a_provider(self) -> list[str]:
        """What is set though only a provider reads it, and none is named."""
        if self.provider is not None:
            return []
        return [
            f"{_shown(name)} has no effect without a provider: write provider = ..."
            for name in ProviderSettings.model_fields
            if getattr(self, name) is not None
        ]

    def account(self) -> tuple[str, str] | None:
        """The setting that first tells whose a message is, as it is written, and its value."""
        if self.provider is None:
            return None
        for name in _known_providers()[self.provider].account_settings[:1]:
            if (value := getattr(self, name)) is not None:
                return _shown(name), value
        return None

    def for_account(self, account: str) -> InstanceSettings:
        """A connection's settings for an account behind it that no instance names."""
        if self.provider is None:
            return self
        names = _known_providers()[self.provider].account_settings
        return self.model_copy(update=dict.fromkeys(names) | dict.fromkeys(names[:1], account))


def _shown(field: str) -> str:
    """A field as it is written in the file."""
    return field.rstrip("_")
