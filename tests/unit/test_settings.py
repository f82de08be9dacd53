"""What may be set: nothing unknown, nothing without effect, every problem at once."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from shared.instance_settings import InstanceSettings
from shared.providers.registry import PROVIDERS
from shared.settings import Settings, load_settings
from tests.support.problems import problems

ROOT = Path(__file__).parents[2]
SETTINGS = ROOT / "shared" / "settings.py"


def test_environment_stands_above_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell says for one start counts more than what was written down."""
    config.write_text("max_wait_ms = 3000\nmax_messages = 7\n")
    monkeypatch.setenv("INTURN_MAX_WAIT_MS", "4000")

    settings = load_settings()

    assert (settings.max_wait_ms, settings.max_messages) == (4000, 7)


@pytest.mark.parametrize("name", ["max_wait", "history_days"])
def test_a_setting_without_effect_is_refused(
    name: str, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever relies on a setting is told when nothing would obey it, wherever it stands."""
    config.write_text(f'{name} = "1"\n[instances.shop]\n{name} = "1"\n')
    monkeypatch.setenv(f"INTURN_{name.upper()}", "1")

    found = problems()

    assert [one.partition(": ")[0] for one in found] == [
        f"INTURN_{name.upper()}",
        f"[instances.shop] {name}",
        f"INTURN_{name.upper()}",
    ]
    assert all("there is no such setting" in one for one in found)


@pytest.mark.parametrize("durability", ["disk", "replicas", "replicas:0", "replicas:-1", "fsync:1"])
def test_a_durability_that_is_none_is_refused(
    durability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody relies on a word that promises nothing."""
    monkeypatch.setenv("INTURN_DURABILITY", durability)

    (found,) = problems()

    assert found.startswith("INTURN_DURABILITY: must be memory, fsync or replicas:N")


@pytest.mark.parametrize("durability", ["memory", "fsync", "replicas:1", "replicas:12"])
def test_every_durability_is_taken(durability: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three kinds, by their names."""
    monkeypatch.setenv("INTURN_DURABILITY", durability)

    assert load_settings().durability == durability


def test_clinics_are_a_list_in_the_file_and_words_in_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None listed: any may be named."""
    assert load_settings().ticket_clinics == ()
    config.write_text('ticket_clinics = ["north, left", "south"]\n')
    assert load_settings().ticket_clinics == ("north, left", "south")
    monkeypatch.setenv("INTURN_TICKET_CLINICS", "east, west wing,عيادة")
    assert load_settings().ticket_clinics == ("east", "west wing", "عيادة")


@pytest.mark.parametrize("clinics", ["east,", "east,,west", " ", "x" * 129])
def test_a_clinic_without_a_name_is_refused(clinics: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could ever take a number there."""
    monkeypatch.setenv("INTURN_TICKET_CLINICS", clinics)
    (found,) = problems()
    assert found.startswith("INTURN_TICKET_CLINICS: a clinic has 1 to 128 characters")


@pytest.mark.parametrize("zone", ["Mars/Base", "Europe", "../etc/passwd", "/etc/localtime", "a\0b"])
def test_a_time_zone_that_is_none_is_refused(zone: str, config: Path) -> None:
    """Days would have no date."""
    config.write_text(f"ticket_timezone = {json.dumps(zone)}\n")
    (found,) = problems()
    assert found.startswith("INTURN_TICKET_TIMEZONE: this machine knows no time zone")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Riyadh"])
def test_time_zones_are_known_by_their_names(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """IANA's."""
    monkeypatch.setenv("INTURN_TICKET_TIMEZONE", zone)
    assert load_settings().ticket_timezone == zone


def test_every_problem_is_reported_at_once(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One start tells all that is to be mended, each by its name, also in relations."""
    config.write_text(
        "grace_ms = 'x'\n"
        '[instances.shop]\nmax_messages = 0\nprovider = "evolutio"\nhandler = "ekko"\n'
        "[instances]\nbar = 3\n"
    )
    monkeypatch.setenv("INTURN_PORT", "many")
    monkeypatch.setenv("INTURN_HANDLER", "pythn:answer:window")
    monkeypatch.setenv("INTURN_QUIET_MS", "9000")
    monkeypatch.setenv("INTURN_NONSENSE", "1")

    names = {one.partition(": ")[0] for one in problems()}

    assert names == {
        "INTURN_NONSENSE",
        "INTURN_PORT",
        "INTURN_HANDLER",
        "INTURN_QUIET_MS",
        "INTURN_GRACE_MS",
        "[instances.shop] max_messages",
        "[instances.shop] provider",
        "[instances.shop] handler",
        "[instances.bar]",
    }


def test_a_number_that_must_be_text_is_said_to_want_quotes(config: Path) -> None:
    """An id of digits alone is easily written without."""
    config.write_text('[instances.a]\nprovider = "whatsapp"\nphone_number_id = 330011220044\n')

    assert problems() == ("[instances.a] phone_number_id: must be text: write it in quotes",)


def test_a_single_secret_is_named_as_it_is_written(config: Path) -> None:
    """Not as the first of a list."""
    config.write_text('[instances.a]\nsecret = "env:NOWHERE_SET"\n')

    expected = "[instances.a] secret: the environment variable NOWHERE_SET is not set"
    assert problems() == (expected,)


@pytest.mark.parametrize(
    "name, value, found",
    [
        ("QUIET_MS", "9000", "INTURN_QUIET_MS: must not exceed INTURN_MAX_WAIT_MS"),
        ("RETRY_BASE_MS", "400000", "INTURN_RETRY_MAX_MS: must be at least INTURN_RETRY_BASE_MS"),
        (
            "DEDUPE_MS",
            "9999",
            "INTURN_DEDUPE_MS: must be at least INTURN_MAX_WAIT_MS + INTURN_GRACE_MS",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(
    name: str, value: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate must not be forgotten while its window gathers, and so on; defaults count."""
    monkeypatch.setenv(f"INTURN_{name}", value)

    assert problems() == (found,)


@pytest.mark.parametrize(
    "url",
    [
        "host:6379",
        "http://host:6379",
        "redis://host:port/0",
        "redis://host:99999/0",
        "redis://[::1/0",
        "redis://host/first",
        "redis://host/0?socket_timeout=soon",
        "redis://host/0?no_such_option=1",
        "unix://",
        "redis+sentinel://host:26379",
        "redis+sentinel://host:26379/",
        "redis+sentinel://host:port/mymaster",
        "redis+sentinel://host:99999/mymaster",
        "redis+sentinel://host:1,,/mymaster",
        "redis+sentinel://host:1/mymaster/first",
        "redis+sentinel://host:1/mymaster?no_such_option=1",
        "http+sentinel://host:1/mymaster",
    ],
)
def test_a_redis_url_that_leads_nowhere_is_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for a Redis behind a URL that no client can read, or reads differently."""
    monkeypatch.setenv("INTURN_REDIS_URL", url.replace("host", "me:s3cr3t@host"))

    (found,) = problems()

    assert found.startswith("INTURN_REDIS_URL: must have the form redis://")
    assert "s3cr3t" not in found


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://host:6379/",
        "rediss://user:p%40ss@host:6380/3?ssl_cert_reqs=none",
        "unix:///run/redis.sock?db=2",
        "redis://[::1]:6379/0",
        "redis+sentinel://one/mymaster",
        "redis+sentinel://me:p%40ss@one:26379,two:26380,[::1]:26381/my%2Fmaster/3",
        "rediss+sentinel://one/mymaster?ssl_cert_reqs=none&sentinel_password=x",
    ],
)
def test_a_redis_url_that_the_client_reads_is_taken(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every form of a URL in use is possible."""
    monkeypatch.setenv("INTURN_REDIS_URL", url)

    assert load_settings().redis_url is not None


@pytest.mark.parametrize("content", [b"max_wait_ms = [", b"# caf\xe9\n"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes, config: Path) -> None:
    """What is no TOML, or no UTF-8, is a wrong setting like any other."""
    config.write_bytes(content)

    (found,) = problems()

    assert found.startswith(f"INTURN_CONFIG: cannot read {config}: ")


def test_a_file_that_is_not_there_is_named_whole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A relative path is one of the folder that inturn is started in, and the message shows it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTURN_CONFIG", "none.toml")
    monkeypatch.setenv("INTURN_SYSTEM_PROMPT", "file:none.txt")

    assert list(problems()) == [
        f"INTURN_CONFIG: cannot read {tmp_path}/none.toml: No such file or directory",
        f"INTURN_SYSTEM_PROMPT: cannot read {tmp_path}/none.txt: No such file or directory",
    ]


def test_instances_that_are_no_json_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two settings that the environment gives as JSON."""
    monkeypatch.setenv("INTURN_INSTANCES", "{")

    assert [one.partition(": ")[0] for one in problems()] == ["INTURN_INSTANCES"]


def test_headers_that_are_no_json_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one; what stands in it is not repeated."""
    monkeypatch.setenv("INTURN_HANDLER_HEADERS", "X-Key: k-4711")

    (found,) = problems()

    assert found.startswith("INTURN_HANDLER_HEADERS: is not JSON")
    assert "4711" not in found


def test_secrets_come_by_reference_and_are_not_shown(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file under version control names the variable; a printed setting shows nothing."""
    monkeypatch.setenv("SHOP_TOKEN", "s3cr3t")
    config.write_text('[instances.shop]\ntoken = "env:SHOP_TOKEN"\n')

    settings = load_settings()

    token = settings.instance("shop").token
    assert token is not None
    assert token.get_secret_value() == "s3cr3t"
    assert "s3cr3t" not in repr(settings)


def test_every_setting_is_read() -> None:
    """A setting that nobody reads would be obeyed by nobody."""
    read = {
        node.attr
        for room in ("shared", "ingest", "consumer", "ops")
        for path in (ROOT / room).rglob("*.py")
        if path != SETTINGS
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }

    assert Settings.model_fields.keys() <= read
    by_name = {name for provider in PROVIDERS.values() for name in provider.account_settings}
    assert InstanceSettings.model_fields.keys() <= read | by_name
