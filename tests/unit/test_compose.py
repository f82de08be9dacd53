"""The Compose file against its schema, and against what it names: files, settings, roles."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ops.cli import inturn
from shared.redis_url import check_redis_url
from shared.settings import Settings, load_settings
from tests.support.deploy_files import DEPLOY, load_yaml, prepared_copy, run_check
from tests.support.tools import require_tool

OURS = ("ingest", "consumer", "operator")

PREPARED = {
    *("api_token", "grafana_password", "inturn.toml", "users.acl"),
    *(f"redis_url_{role}" for role in OURS),
}


def problems_of(compose: dict[str, Any]) -> list[str]:
    """What its schema cannot see: names that lead nowhere, and rights that nobody needs."""
    problems = []
    for name, service in compose["services"].items():
        problems += [f"{name}: {each}" for each in _loose_ends(service, compose)]
        problems += [f"{name}: {each}" for each in _needless_rights(service)]
    for secret, where in compose["secrets"].items():
        if where["file"].removeprefix("./private/") not in PREPARED:
            problems.append(f"secret {secret}: deploy/prepare makes no {where['file']}")
    for name in OURS:
        problems += _problems_of_service(name, compose["services"][name])
    return problems


def _loose_ends(service: dict[str, Any], compose: dict[str, Any]) -> Iterator[str]:
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("."):
            if not (DEPLOY / source).exists():
                yield f"{source} is not there"
        elif source not in compose["volumes"]:
            yield f"there is no volume {source}"
    for secret in service.get("secrets", []):
        named = secret if isinstance(secret, str) else secret["source"]
        if named not in compose["secrets"]:
            yield f"there is no secret {named}"


def _needless_rights(service: dict[str, Any]) -> Iterator[str]:
    if service.get("cap_drop") != ["ALL"] or "no-new-privileges:true" not in str(service):
        yield "has rights that it does not need"
    if "build" not in service and not re.search(r":v?\d+\.\d+", service["image"]):
        yield f"{service['image']} may be another one tomorrow"
    for port in service.get("ports", []):
        if "127.0.0.1" not in port:
            yield f"{port} is open to everybody"


def _problems_of_service(name: str, service: dict[str, Any]) -> list[str]:
    problems = []
    known = {f"INTURN_{field.upper()}" for field in Settings.model_fields} | {"INTURN_CONFIG"}
    problems += [f"{name}: no setting {each}" for each in set(service["environment"]) - known]
    if service["command"][0] not in inturn.commands:
        problems.append(f"{name}: inturn has no command {service['command'][0]}")
    given = [each if isinstance(each, str) else each["target"] for each in service["secrets"]]
    for value in service["environment"].values():
        path = value.removeprefix("file:")
        if path.removeprefix("/run/secrets/") not in given:
            problems.append(f"{name}: nothing is at {path}")
    if not service["read_only"]:
        problems.append(f"{name}: may write to its own image")
    return problems


def check_schema(file: Path) -> tuple[int, str]:
    """Against the schema that comes with check-jsonschema."""
    program = Path(sys.executable).parent / "check-jsonschema"
    return run_check(program, "--builtin-schema", "vendor.compose-spec", file)


def test_compose_file_holds() -> None:
    """It fits its schema, and everything that it names is there."""
    code, said = check_schema(DEPLOY / "compose.yaml")
    assert code == 0, said
    assert problems_of(load_yaml("compose.yaml")) == []


@pytest.mark.parametrize(
    "right, wrong",
    [("replicas: 2", "replicas: [2]"), ("cap_drop:", "cap_drops:"), ("image: redis", "- redis")],
)
def test_a_mistake_in_its_form_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    """A list for a number, a key that there is not, a list for a table."""
    text = (DEPLOY / "compose.yaml").read_text()
    assert right in text
    wrong_file = tmp_path / "compose.yaml"
    wrong_file.write_text(text.replace(right, wrong))
    assert check_schema(wrong_file)[0] != 0


@pytest.mark.parametrize(
    "right, wrong, problem",
    [
        ("./redis/redis.conf:", "./redis/redis.cfg:", "redis: ./redis/redis.cfg is not there"),
        ("- spool:/var", "- spol:/var", "ingest: there is no volume spol"),
        ("    secrets: [grafana_password]", "    secrets: [grafana]", "no secret grafana"),
        ("private/api_token", "private/token", "deploy/prepare makes no ./private/token"),
        ("INTURN_API_TOKEN:", "INTURN_TOKEN:", "no setting INTURN_TOKEN"),
        ("command: [consumer]", "command: [worker]", "inturn has no command worker"),
        ("secrets/redis_url_consumer", "secrets/redis_url", "at /run/secrets/redis_url"),
        ("read_only: true", "read_only: false", "may write to its own image"),
        ("cap_drop: [ALL]", "cap_drop: [KILL]", "has rights that it does not need"),
        ("redis:7.2-alpine", "redis:latest", "may be another one tomorrow"),
        ('"127.0.0.1:9090:9090"', '"9090:9090"', "prometheus: 9090:9090 is open to everybody"),
    ],
)
def test_a_mistake_in_what_it_names_is_found(right: str, wrong: str, problem: str) -> None:
    """Each kind of problem is seen where there is one."""
    text = (DEPLOY / "compose.yaml").read_text()
    assert right in text
    found = problems_of(yaml.safe_load(text.replace(right, wrong)))
    assert any(problem in each for each in found), found


def test_preparing_draws_secrets_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Everything that Compose gives the containers is there, for nobody else to read; the services
    start with it; a second time nothing changes.
    """
    private = prepared_copy(tmp_path)
    first = {path.name: path.read_text() for path in private.iterdir()}
    assert set(first) == PREPARED
    assert private.stat().st_mode & 0o777 == 0o700
    assert "_SHA256" not in first["users.acl"]
    assert len(first["users.acl"].splitlines()) == 4
    assert len(set(first.values())) == len(first)

    monkeypatch.setenv("INTURN_CONFIG", str(private / "inturn.toml"))
    monkeypatch.setenv("INTURN_API_TOKEN", f"file:{private / 'api_token'}")
    monkeypatch.setenv("INTURN_REDIS_URL", f"file:{private / 'redis_url_ingest'}")
    settings = load_settings()
    assert settings.redis_url is not None
    check_redis_url(settings.redis_url.get_secret_value())

    assert run_check(private.parent / "prepare")[0] == 0
    assert {path.name: path.read_text() for path in private.iterdir()} == first


@pytest.mark.parametrize(
    "right, wrong, code",
    [("", "", 0), ("balance leastconn", "balance leastcon", 1), ("resolvers docker", "", 1)],
)
def test_proxy_configuration_is_read(tmp_path: Path, right: str, wrong: str, code: int) -> None:
    """HAProxy takes what is shipped, and no misspelt word or name that nobody defines."""
    program = require_tool("haproxy", "haproxy")
    text = (DEPLOY / "haproxy" / "haproxy.cfg").read_text()
    file = tmp_path / "haproxy.cfg"
    file.write_text(text.replace(right, wrong, 1) if right else text)
    found, said = run_check(program, "-c", "-f", file)
    assert min(found, 1) == code, said


def test_the_operators_container_has_the_command_line() -> None:
    """``docker compose run --rm operator doctor`` and the others are there."""
    assert CliRunner().invoke(inturn, ["doctor", "--help"]).exit_code == 0
