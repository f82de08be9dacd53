"""What ``inturn up`` prints for the person who started it."""

from __future__ import annotations

from ops.serve import render_example
from shared.instance_settings import Secret
from shared.settings import Settings


def test_the_example_can_be_pasted_as_it_stands() -> None:
    """An IPv6 address is one that curl reads; without a token none is asked for."""
    settings = Settings(host="::1", consumer_port=8421, max_wait_ms=2500)
    text = render_example(settings, 8420, has_playground=False)

    assert text.count("curl -s http://[::1]:8420/api/v1/") == 2
    assert "http://[::1]:8421/metrics" in text
    assert "Who waits, and why: http://[::1]:8420/console\n" in text
    assert "within 2.5 seconds" in text
    assert "authorization" not in text
    assert "playground" not in text


def test_the_example_sends_the_token_and_does_not_show_it() -> None:
    """With ``API_TOKEN`` both commands need it."""
    text = render_example(Settings(api_token=Secret("s3cr3t")), 8420, has_playground=True)

    assert text.count('-H "authorization: Bearer $INTURN_API_TOKEN"') == 2
    assert "s3cr3t" not in text


def test_the_playground_comes_first() -> None:
    """Whoever starts inturn for the first time sees an address to open before any command."""
    text = render_example(Settings(), 8420, has_playground=True)

    assert text.index("  http://127.0.0.1:8420/playground\n") < text.index("curl")
