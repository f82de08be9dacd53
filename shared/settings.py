"""
What can be set, with units, defaults and the relations that must hold.

Rising precedence: the defaults here, the TOML file that ``INTURN_CONFIG`` names (the same names
in lower case), the environment (``INTURN_`` + name), ``[instances.<name>]`` in the file.
``load_settings`` reports every problem at once. Times are in ms unless the name says otherwise.
What stands here is read somewhere (a test holds that): a setting that would do nothing is refused.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import Annotated

from shared.errors import StartRefused
from shared.keys import is_instance_name

MiB = 1024 * 1024


class Secret(SecretStr):
    """A secret whose ``repr`` and ``str`` are ``***``."""

    def _display(self) -> str:
        return "***" if self._secret_value else ""


def follow_reference(value: str) -> str:
    """``env:NAME`` and ``file:PATH`` stand for the variable and the file's text."""
    scheme, _, name = value.partition(":")
    if scheme == "env":
        if name not in os.environ:
            raise ValueError(f"the environment variable {name} is not set")
        return os.environ[name]
    if scheme == "file":
        try:
            return Path(name).read_text().strip()
        except OSError as error:
            raise ValueError(f"cannot read {name}: {error.strerror}") from error
    return value


def _follow_secret(value: Secret) -> Secret:
    return Secret(follow_reference(value.get_secret_value()))


FollowedSecret = Annotated[Secret, AfterValidator(_follow_secret)]
Ms = Annotated[int, Field(ge=0)]
PositiveMs = Annotated[int, Field(gt=0)]


class WindowSettings(BaseModel):
    """What shapes a window; may be set for all, and per instance."""

    max_wait_ms: int | None = Field(None, ge=1, le=3_600_000)
    max_messages: int | None = Field(None, ge=1, le=1000)
    quiet_ms: int | None = Field(None, ge=0)
    mode: Literal["window", "pass_through"] | None = None


class InstanceSettings(WindowSettings):
    """``[instances.<name>]``: the provider's credentials, and what differs from the general."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = None
    base_url: str | None = None
    token: FollowedSecret | None = None
    secret: list[FollowedSecret] = Field(default_factory=list)
    handler: str | None = None
    handler_secret: FollowedSecret | None = None
    handler_timeout_ms: int | None = Field(None, gt=0)
    outbox_policy: Literal["resend", "hold"] | None = None
    store_raw: bool | None = None

    @field_validator("secret", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("base_url")
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/") if value else value


class Settings(BaseSettings):
    """One class for all services: ``inturn up`` runs them in one process from one file."""

    model_config = SettingsConfigDict(
        env_prefix="INTURN_", extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    redis_url: FollowedSecret | None = None
    prefix: str = Field("inturn", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    partitions: int = Field(16, ge=1, le=4096)

    host: str = "127.0.0.1"
    port: int = Field(8420, ge=0, le=65535)
    consumer_port: int = Field(8421, ge=0, le=65535)
    api_token: FollowedSecret | None = None

    max_wait_ms: int = Field(8000, ge=1, le=3_600_000)
    max_messages: int = Field(5, ge=1, le=1000)
    quiet_ms: Ms = 0
    grace_ms: Ms = 2000
    mode: Literal["window", "pass_through"] = "window"

    handler: str = "echo"
    handler_secret: FollowedSecret | None = None
    handler_timeout_ms: PositiveMs = 60_000
    handler_concurrency: int = Field(256, ge=1, le=100_000)
    max_attempts: int = Field(3, ge=1, le=100)
    retry_base_ms: PositiveMs = 1000
    retry_max_ms: PositiveMs = 300_000
    unavailable_ms: Ms = 600_000

    lease_ms: int = Field(6000, ge=500)
    drain_ms: Ms = 20_000
    reclaim_idle_ms: PositiveMs = 60_000
    retention_ms: PositiveMs = 300_000
    dedupe_ms: PositiveMs = 86_400_000
    max_age_ms: PositiveMs = 21_600_000
    read_ahead: int = Field(2000, ge=1)

    durability: Literal["memory"] = "memory"
    body_max_bytes: int | None = Field(None, ge=1024)
    media_inline_bytes: int = Field(256 * 1024, ge=0)
    store_raw: bool = False
    outbox_policy: Literal["resend", "hold"] = "resend"
    loop_limit: int = Field(20, ge=1)

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["console", "json"] | None = None
    metrics_instances: int = Field(200, ge=1)

    instances: dict[str, InstanceSettings] = Field(default_factory=dict)

    @field_validator("instances")
    @classmethod
    def _instance_names(cls, value: dict[str, InstanceSettings]) -> dict[str, InstanceSettings]:
        bad = [name for name in value if not is_instance_name(name)]
        if bad:
            raise ValueError(f"not an instance name: {bad}")
        return value

    @model_validator(mode="after")
    def _relations(self) -> Settings:
        problems = []
        if self.quiet_ms > self.max_wait_ms:
            problems.append("INTURN_QUIET_MS must not exceed INTURN_MAX_WAIT_MS")
        if self.retry_base_ms > self.retry_max_ms:
            problems.append("INTURN_RETRY_BASE_MS must not exceed INTURN_RETRY_MAX_MS")
        if self.dedupe_ms < self.max_wait_ms + self.grace_ms:
            problems.append(
                "INTURN_DEDUPE_MS must be at least INTURN_MAX_WAIT_MS + INTURN_GRACE_MS"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def handler_was_set(self) -> bool:
        """Whether somebody wrote ``HANDLER``, so that ``echo`` may reach real users."""
        return "handler" in self.model_fields_set

    def instance(self, name: str) -> InstanceSettings:
        """The instance's own settings; empty when the file does not name it."""
        return self.instances.get(name, _NO_INSTANCE)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment over what ``load_settings`` read from the TOML file."""
        return (env_settings, init_settings)


_NO_INSTANCE = InstanceSettings()
_NO_SUCH_SETTING = "there is no such setting in this version"


def load_settings() -> Settings:
    """
    Read the TOML file and the environment.

    Raises:
        StartRefused: with every problem, each naming its setting; the caller exits 2.
    """
    problems = _unknown_names(os.environ)
    from_file: dict[str, Any] = {}
    if path := os.environ.get("INTURN_CONFIG"):
        try:
            from_file = tomllib.loads(Path(path).read_text())
        except (OSError, tomllib.TOMLDecodeError) as error:
            problems.append(f"INTURN_CONFIG: cannot read {path}: {error}")
    try:
        settings = Settings(**from_file)
    except ValidationError as error:
        problems += [_explain(dict(detail)) for detail in error.errors(include_url=False)]
    if problems:
        raise StartRefused(problems)
    return settings


def _unknown_names(environ: Mapping[str, str]) -> list[str]:
    known = {f"INTURN_{name.upper()}" for name in Settings.model_fields} | {"INTURN_CONFIG"}
    return [
        f"{name}: {_NO_SUCH_SETTING}"
        for name in sorted(environ)
        if name.startswith("INTURN_") and name not in known
    ]


def _explain(detail: dict[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = _NO_SUCH_SETTING
    where = [str(part) for part in detail["loc"]]
    if not where:
        return message
    if where[0] == "instances":
        return f"[{'.'.join(where[:2])}] {'.'.join(where[2:])}: {message}"
    return f"INTURN_{where[0].upper()}: {message}"
