"""
What can be set, with units, defaults and the relations that must hold.

Rising precedence: the defaults here, the TOML file that ``INTURN_CONFIG`` names (the same names
in lower case), the environment (``INTURN_`` + name), ``[instances.<name>]`` in the file, and what
``steering`` knows of run time.
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
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from typing_extensions import Annotated

from shared.date_zone import is_time_zone
from shared.durability import Durability
from shared.errors import StartRefused
from shared.handlers.place import Place
from shared.http_url import check_public_url
from shared.instance_settings import (
    AnswerPathText,
    FollowedSecret,
    HandlerHeaders,
    HandlerName,
    HumanPolicy,
    InstanceSettings,
    ModelSettings,
    PatternList,
    Secret,
)
from shared.instances import behind_their_connections
from shared.keys import is_instance_name
from shared.redis_url import check_redis_url

MiB = 1024 * 1024


def _check_redis_secret(value: Secret) -> Secret:
    check_redis_url(value.get_secret_value())
    return value


def _check_durability(value: str) -> str:
    Durability.parse(value)
    return value


def _split_names(value: Any) -> Any:
    """A list of the file, or of the environment: ``clinic-1, clinic-2``."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _check_clinic(value: str) -> str:
    if not is_instance_name(value):
        raise ValueError("a clinic has 1 to 128 characters, no control characters")
    return value


def _check_zone(value: str) -> str:
    if not is_time_zone(value):
        raise ValueError(f"this machine knows no time zone {value}, as Europe/Berlin")
    return value


RedisUrl = Annotated[FollowedSecret, AfterValidator(_check_redis_secret)]
PublicUrl = Annotated[str, AfterValidator(check_public_url)]
DurabilityName = Annotated[str, AfterValidator(_check_durability)]
ClinicName = Annotated[str, AfterValidator(_check_clinic)]
ClinicNames = Annotated[tuple[ClinicName, ...], NoDecode, BeforeValidator(_split_names)]
ZoneName = Annotated[str, AfterValidator(_check_zone)]
Ms = Annotated[int, Field(ge=0)]
PositiveMs = Annotated[int, Field(gt=0)]


class Settings(ModelSettings, BaseSettings):
    """One class for all services: ``inturn up`` runs them in one process from one file."""

    model_config = SettingsConfigDict(
        env_prefix="INTURN_", extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    redis_url: RedisUrl | None = None
    prefix: str = Field("inturn", pattern=r"^[A-Za-z0-9_.:-]{1,64}$")
    partitions: int = Field(16, ge=1, le=4096)

    host: str = "127.0.0.1"
    port: int = Field(8420, ge=0, le=65535)
    consumer_port: int = Field(8421, ge=0, le=65535)
    metrics_port: int = Field(8430, ge=0, le=65535)
    api_token: FollowedSecret | None = None
    public_url: PublicUrl | None = None
    playground: bool | None = None

    max_wait_ms: int = Field(8000, ge=1, le=3_600_000)
    max_messages: int = Field(5, ge=1, le=1000)
    quiet_ms: Ms = 0
    grace_ms: Ms = 2000
    mode: Literal["window", "pass_through"] = "window"
    bypass: PatternList = ()
    flush: PatternList = ()

    handler: HandlerName = "echo"
    handler_secret: FollowedSecret | None = None
    handler_timeout_ms: PositiveMs = 60_000
    handler_concurrency: int = Field(256, ge=1, le=100_000)
    instance_concurrency: int | None = Field(None, ge=1, le=100_000)
    handler_images: bool = True
    history_messages: int = Field(20, ge=0, le=1000)
    history_ms: PositiveMs = 86_400_000
    handler_headers: HandlerHeaders = Field(default_factory=dict)
    answer_path: AnswerPathText | None = None
    max_attempts: int = Field(3, ge=1, le=100)
    retry_base_ms: PositiveMs = 1000
    retry_max_ms: PositiveMs = Field(300_000, validate_default=True)
    unavailable_ms: Ms = 600_000

    lease_ms: int = Field(6000, ge=500)
    drain_ms: Ms = 20_000
    reclaim_idle_ms: PositiveMs = 60_000
    retention_ms: PositiveMs = 300_000
    dedupe_ms: PositiveMs = Field(86_400_000, validate_default=True)
    max_age_ms: PositiveMs = 21_600_000
    read_ahead: int = Field(2000, ge=1)

    durability: DurabilityName = "memory"
    backlog_limit: int = Field(1_000_000, ge=1)
    on_outage: Literal["spool", "direct", "reject"] = "spool"
    spool_dir: Path = Path(".inturn/spool")
    spool_max_bytes: int = Field(1024 * MiB, ge=1)
    body_max_bytes: int | None = Field(None, ge=1024)
    media_inline_bytes: int = Field(256 * 1024, ge=0)
    store_raw: bool = False
    outbox_policy: Literal["resend", "hold"] = "resend"
    loop_limit: int = Field(20, ge=1)
    on_human: HumanPolicy = "ignore"
    groups: bool = False

    ticket_clinics: ClinicNames = Field(default_factory=tuple)
    ticket_waiting_max: int = Field(0, ge=0)
    ticket_listeners_max: int = Field(2000, ge=0)
    ticket_timezone: ZoneName = "UTC"

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
        return behind_their_connections(value)

    # Relations stand at the later of two fields, where a wrong value elsewhere does not hide
    # them; a value that is itself wrong is not in ``data``.

    @field_validator("quiet_ms")
    @classmethod
    def _quiet_within_the_wait(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("max_wait_ms", value):
            raise ValueError("must not exceed INTURN_MAX_WAIT_MS")
        return value

    @field_validator("retry_max_ms")
    @classmethod
    def _backoff_grows(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("retry_base_ms", value):
            raise ValueError("must be at least INTURN_RETRY_BASE_MS")
        return value

    @field_validator("dedupe_ms")
    @classmethod
    def _known_while_it_gathers(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("max_wait_ms", 0) + info.data.get("grace_ms", 0):
            raise ValueError("must be at least INTURN_MAX_WAIT_MS + INTURN_GRACE_MS")
        return value

    @property
    def handler_was_set(self) -> bool:
        """Whether somebody wrote ``HANDLER``, so that ``echo`` may reach real users."""
        return "handler" in self.model_fields_set

    @property
    def place(self) -> Place:
        """Where the windows of an instance go that says nothing else."""
        return Place(self.handler, self.handler_base_url)

    def instance(self, name: str, connection: str | None = None) -> InstanceSettings:
        """
        The instance's own settings; where the file does not name it, those of the connection
        that its messages came through; else empty ones.
        """
        found = self.instances.get(name)
        if found is None and connection is not None:
            behind = self.instances.get(connection)
            found = None if behind is None else behind.for_account(name)
        return _NO_INSTANCE if found is None else found

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
        except (OSError, ValueError) as error:  # ValueError: no TOML, or no UTF-8
            why = (isinstance(error, OSError) and error.strerror) or error
            problems.append(f"INTURN_CONFIG: cannot read {Path(path).absolute()}: {why}")
    try:
        settings = Settings(**from_file)
    except ValidationError as error:
        problems += [_explain(dict(detail)) for detail in error.errors(include_url=False)]
    except SettingsError as error:
        problems.append(f"{_unreadable(error)}: is not JSON; better write it into a file")
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


def _unreadable(error: SettingsError) -> str:
    """The variable that cannot be read: of those that are JSON the one that the error names."""
    names = (name for name in ("handler_headers", "instances") if f'"{name}"' in str(error))
    return f"INTURN_{next(names, 'CONFIG').upper()}"


def _explain(detail: dict[str, Any]) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = _NO_SUCH_SETTING
    elif detail["type"] == "string_type":
        message = "must be text: write it in quotes"
    where = [part for part in detail["loc"] if isinstance(part, str) and part != "[key]"]
    if not where:
        return message
    if where[0] == "instances":
        name = f"[{'.'.join(where[:2])}] {'.'.join(where[2:])}".rstrip()
        return f"{name}: {message}"
    return ".".join([f"INTURN_{where[0].upper()}", *where[1:]]) + f": {message}"
