"""URLs in the settings: what is refused at the start, because no call could go there. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit


def check_http_url(value: str) -> str:
    """
    A URL that paths are put behind, without the slash at its end.

    Raises:
        ValueError: it is none; the message does not repeat it.
    """
    if not value.startswith(("http://", "https://")) or not urlsplit(value).hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    return value.rstrip("/")


def check_public_url(value: str) -> str:
    """
    The same for ``PUBLIC_URL``, which stands before the path of every webhook.

    It may have a path of its own: what a proxy cuts off before it hands a request on.

    Raises:
        ValueError: none, or one that no webhook's URL begins with.
    """
    url = check_http_url(value)
    parts = urlsplit(url)
    if parts.query or parts.fragment or any(mark in value for mark in "?#"):
        raise ValueError("must have nothing behind its path: no ? and no #")
    if "/webhooks" in parts.path:
        raise ValueError("must end before /webhooks, which is put behind it")
    return url
