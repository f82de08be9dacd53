"""``inturn.example.toml`` and the settings in docs/providers: they load as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ingest.playground import INSTANCE, is_playground_on
from shared.model import ClosedBy, Kind
from shared.providers.registry import PROVIDERS
from shared.settings import Settings, load_settings
from tests.support.doc_pages import blocks_of

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "inturn.example.toml").read_text()
WINDOWS = (ROOT / "docs" / "windows.md").read_text()
PAGES = sorted((ROOT / "docs" / "providers").glob("*.md"))
COMMENTED = re.compile(r"^# (?=\w+ = \S)", re.MULTILINE)
ANOTHER = "made-up"
"""What each variable holds that a file names."""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loader:
    """Loads a file's text, with all that it takes from the environment."""
    return Loader(tmp_path / "inturn.toml", monkeypatch)


class Loader:
    """Writes the text where ``INTURN_CONFIG`` points to."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._path = path
        self._monkeypatch = monkeypatch

    def __call__(self, text: str) -> Settings:
        """The settings; every problem is raised."""
        self._path.write_text(text)
        self._monkeypatch.setenv("INTURN_CONFIG", str(self._path))
        for name in re.findall(r'"env:(\w+)"', text):
            self._monkeypatch.setenv(name, ANOTHER)
        return load_settings()


def settings_on(page: Path) -> str:
    """All settings of a page as one file, without those that it shows as choices."""
    return "\n".join(blocks_of(page.read_text(), "toml"))


def test_the_example_loads_and_shows_every_provider(load: Loader) -> None:
    """As it stands: each provider has an instance that can verify and send."""
    settings = load(EXAMPLE)
    assert {own.provider for own in settings.instances.values()} == PROVIDERS.keys()
    for name, own in settings.instances.items():
        assert own.secret, name
        assert own.provider is not None
        assert PROVIDERS[own.provider].has_channel(own), name


def test_what_the_example_only_mentions_loads_too(load: Loader) -> None:
    """Whoever takes the comment signs off finds settings that exist."""
    everything = COMMENTED.sub("", EXAMPLE)
    assert everything.count("\n") == EXAMPLE.count("\n")
    assert len(everything) < len(EXAMPLE) - 40
    settings = load(everything)
    assert settings.instances["desk"].inbox_id == "41"


def test_the_defaults_that_the_example_mentions_are_the_defaults(load: Loader) -> None:
    """A general setting that is commented out says what holds without it."""
    general = EXAMPLE.partition("# ---- accounts")[0]
    active = load(general)
    mentioned = load(COMMENTED.sub("", general))
    examples = {"redis_url", "handler_secret", "handler_headers", "answer_path", "handler_key"}
    examples |= {"handler_base_url", "system_prompt", "temperature", "max_tokens"}
    examples |= {"instance_concurrency", "bypass", "flush", "playground", "ticket_clinics"}
    for name in set(re.findall(r"^# (\w+) = ", general, re.MULTILINE)) - examples:
        assert getattr(mentioned, name) == getattr(active, name), name


def test_the_page_about_windows_is_so(load: Loader) -> None:
    """Its settings load, and it tells every reason and every kind."""
    settings = load("".join(blocks_of(WINDOWS, "toml")))
    assert settings.instance("shop").bypass == ("help",)
    told = set(re.findall(r"^\| `(\w+)` \|", WINDOWS, re.MULTILINE))
    assert told - {"closed_by", "stop"} == set(ClosedBy)
    (kinds,) = re.findall(r"^\| `kind:button` \|.*$", WINDOWS, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", kinds)) == set(Kind)


def test_every_setting_of_every_provider_is_in_the_example() -> None:
    """Nothing that a provider takes has to be guessed."""
    for provider in PROVIDERS.values():
        for name in provider.settings_of_its_own:
            assert re.search(rf"^(# )?{name.rstrip('_')} = ", EXAMPLE, re.MULTILINE), name


def test_every_provider_has_its_page() -> None:
    """And the page is linked from the README and named in the example."""
    readme = (ROOT / "README.md").read_text()
    assert {page.stem for page in PAGES} == PROVIDERS.keys()
    for page in PAGES:
        assert f"docs/providers/{page.name}" in readme
        assert f"docs/providers/{page.name}" in EXAMPLE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_settings_of_a_page_load(load: Loader, page: Path) -> None:
    """What stands on a provider's page can be copied, with its instance and its provider."""
    settings = load(settings_on(page))
    assert page.stem in {own.provider for own in settings.instances.values()}
    for name, own in settings.instances.items():
        assert own.secret, name
        assert f"/webhooks/{page.stem}/" in page.read_text(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_only_mentions_loads_too(load: Loader, page: Path) -> None:
    """Its commented settings exist."""
    load(COMMENTED.sub("", settings_on(page)))


def test_the_page_about_the_playground_is_so(load: Loader) -> None:
    """Its settings load, and leave the playground on."""
    settings = load(settings_on(ROOT / "docs" / "playground.md"))
    assert settings.instance(INSTANCE).max_wait_ms == 3000
    assert is_playground_on(settings, embeds_redis=True)
