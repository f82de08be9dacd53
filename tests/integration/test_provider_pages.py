"""The pages about providers are run: their settings load, and their curl puts a message in."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from shared.providers.registry import PROVIDERS
from shared.settings import Settings
from tests.support.doc_pages import OURS, blocks_of, run_curl
from tests.support.ingest_server import serving

PAGES = {path.stem: path for path in (Path(__file__).parents[2] / "docs/providers").glob("*.md")}
TOOLS = ("bash", "curl", "openssl")

each_page = pytest.mark.parametrize("name", sorted(PAGES.keys() & PROVIDERS.keys()))


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the page says to write into the file; each variable that it names holds a secret."""
    written = "\n".join(blocks_of(PAGES[name].read_text(), "toml"))
    for variable in re.findall(r'"env:(\w+)"', written):
        monkeypatch.setenv(variable, f"planted-{variable.lower().replace('_', '-')}")
    return Settings(**({"public_url": "https://bot.example.org"} | tomllib.loads(written)))


@each_page
def test_the_settings_of_a_page_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of that provider, prove a sender, and suffice to send."""
    settings = settings_of(name, monkeypatch)
    assert settings.instances
    for own in settings.instances.values():
        assert own.provider == name
        assert own.secret
        assert PROVIDERS[name].has_channel(own)


@each_page
@pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="bash, curl and openssl are not all there"
)
async def test_the_curl_of_a_page_proves_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of ours on the page is answered 2xx, with the page's own secrets; one is kept."""
    settings = settings_of(name, monkeypatch)
    scripts = [script for script in blocks_of(PAGES[name].read_text(), "sh") if OURS in script]
    assert scripts, "no block calls us"
    async with serving(settings) as server:
        for script in scripts:
            await run_curl(script, f"{server.host}:{server.port}", "bash")
        assert len(server.appender.messages) >= 1
        assert {
            message.instance for message in server.appender.messages
        } <= settings.instances.keys()
