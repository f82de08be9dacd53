"""
The forms of ``REDIS_URL``. Pure, but for asking redis-py whether it knows an option.

    redis://[user:password@]host[:port][/database]       one server; rediss:// with TLS
    unix:///path[?db=2]
    redis+sentinel://[user:password@]host[:port][,...]/name[/database]   rediss+sentinel:// with TLS
    redis+cluster://[user:password@]host[:port][,...]   rediss+cluster:// with TLS

Of the last, hosts and ports (26379) are the Sentinels', and ``name`` is what they call the primary.
User and password are the servers'; the Sentinels' own, where they have some, are the options
``sentinel_username`` and ``sentinel_password``. Of a cluster some nodes are named: they know the
others, which must have the same user, password and options. Errors quote no URL: a password may
stand in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SENTINEL_PORT = 26379
NODE_PORT = 6379

FORMS = (
    "must have the form redis://[user:password@]host[:port][/database], rediss://..., "
    "unix:///path or redis+sentinel://[user:password@]host[:port][,host[:port]...]/name[/database] "
    "(name: what the Sentinels call the primary) or "
    "redis+cluster://[user:password@]host[:port][,host[:port]...], with options that redis-py knows"
)

NO_DATABASE = "must name no database: a Redis Cluster has only one"

_SENTINEL_URL = re.compile(
    r"(?P<scheme>rediss?)\+sentinel://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<places>[^/?#@]+)/(?P<name>[^/?#]+)/?(?P<database>\d*)"
    r"(?:\?(?P<options>[^#]*))?"
)
_CLUSTER_URL = re.compile(
    r"(?P<scheme>rediss?)\+cluster://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<places>[^/?#@]+)(?:/(?P<path>[^?#]*))?(?P<options>\?[^#]*)?"
)
_PLACE = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]\s]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelUrl:
    """
    ``places``: each Sentinel's host and port.

    ``server_url`` and ``sentinel_url`` are URLs of redis-py with everything but host and port.
    """

    name: str
    places: tuple[tuple[str, int], ...]
    server_url: str
    sentinel_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterUrl:
    """
    ``places``: the host and port of each node that is named.

    ``node_url`` is a URL of redis-py with everything but host and port.
    """

    places: tuple[tuple[str, int], ...]
    node_url: str


def is_cluster_url(url: str) -> bool:
    """Whether it names nodes of a Redis Cluster."""
    return url.startswith(("redis+cluster:", "rediss+cluster:"))


def parse_cluster_url(url: str) -> ClusterUrl:
    """
    Take it apart.

    Raises:
        ValueError: it has another form.
    """
    match = _CLUSTER_URL.fullmatch(url)
    if match is None:
        raise ValueError(FORMS)
    options = match["options"] or ""
    if match["path"] or "db" in dict(parse_qsl(options.lstrip("?"), keep_blank_values=True)):
        raise ValueError(NO_DATABASE)
    user = f"{match['user']}@" if match["user"] else ""
    return ClusterUrl(
        places=tuple(_place(text, NODE_PORT) for text in match["places"].split(",")),
        node_url=f"{match['scheme']}://{user}host/0{options}",
    )


def is_sentinel_url(url: str) -> bool:
    """Whether it names Sentinels, which know where the primary is."""
    return url.startswith(("redis+sentinel:", "rediss+sentinel:"))


def parse_sentinel_url(url: str) -> SentinelUrl:
    """
    Take it apart.

    Raises:
        ValueError: it has another form.
    """
    match = _SENTINEL_URL.fullmatch(url)
    if match is None:
        raise ValueError(FORMS)
    options = dict(parse_qsl(match["options"] or "", keep_blank_values=True))
    user = quote(options.pop("sentinel_username", ""), safe="")
    password = quote(options.pop("sentinel_password", ""), safe="")
    own = f"{user}:{password}@" if user or password else ""
    query = f"?{urlencode(options)}" if options else ""
    servers = f"{match['user']}@" if match["user"] else ""
    return SentinelUrl(
        name=unquote(match["name"]),
        places=tuple(_place(text, SENTINEL_PORT) for text in match["places"].split(",")),
        server_url=f"{match['scheme']}://{servers}host/{match['database'] or 0}{query}",
        sentinel_url=f"{match['scheme']}://{own}host/0{query}",
    )


def check_redis_url(value: str) -> None:
    """
    Refuse what the client would refuse later, or would read as another database.

    Raises:
        ValueError: without the URL.
    """
    if is_sentinel_url(value):
        found = parse_sentinel_url(value)
        _check_server_url(found.server_url)
        _check_server_url(found.sentinel_url)
    elif is_cluster_url(value):
        _check_server_url(parse_cluster_url(value).node_url)
    else:
        _check_server_url(value)


def place_of(url: str) -> str:
    """Where a URL leads, for people: without user, password and options."""
    if is_sentinel_url(url):
        found = parse_sentinel_url(url)
        sentinels = ", ".join(f"{host}:{port}" for host, port in found.places)
        return f"{found.name} of the Sentinels {sentinels}"
    if is_cluster_url(url):
        nodes = ", ".join(f"{host}:{port}" for host, port in parse_cluster_url(url).places)
        return f"the cluster of {nodes}"
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return unquote(parts.path)
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def _place(text: str, usual_port: int) -> tuple[str, int]:
    match = _PLACE.fullmatch(text)
    port = int(match["port"] or usual_port) if match else 0
    if match is None or not 0 < port < 65536:
        raise ValueError(FORMS)
    return match["host"].strip("[]"), port


def _check_server_url(value: str) -> None:
    # not at the top: the parent of `inturn up`, with its own Redis, does without the client
    from redis.asyncio.connection import ConnectionPool  # noqa: PLC0415

    try:
        ConnectionPool.from_url(value).make_connection()  # type: ignore[no-untyped-call]
        parts = urlsplit(value)
        database = parts.path.strip("/")
        is_whole = database if parts.scheme == "unix" else not database or database.isdecimal()
    except (ValueError, TypeError) as error:  # TypeError: an option that it does not know
        raise ValueError(FORMS) from error
    if not is_whole:
        raise ValueError(FORMS)
