"""The forms of ``REDIS_URL``, taken apart; what people see of one holds no secret."""

from __future__ import annotations

import pytest

from shared.redis_url import (
    check_redis_url,
    is_sentinel_url,
    parse_cluster_url,
    parse_sentinel_url,
    place_of,
)


def test_a_sentinel_url_is_taken_apart() -> None:
    """User and password are the servers'; the Sentinels have their own, or none."""
    found = parse_sentinel_url(
        "rediss+sentinel://me:p%40ss@one,two:26380,[::1]:26381/my%2Fmaster/3"
        "?ssl_cert_reqs=none&sentinel_password=s%2Fp"
    )

    assert found.name == "my/master"
    assert found.places == (("one", 26379), ("two", 26380), ("::1", 26381))
    assert found.server_url == "rediss://me:p%40ss@host/3?ssl_cert_reqs=none"
    assert found.sentinel_url == "rediss://:s%2Fp@host/0?ssl_cert_reqs=none"


def test_the_shortest_sentinel_url() -> None:
    """One Sentinel on its usual port, the first database, no passwords."""
    found = parse_sentinel_url("redis+sentinel://one/mymaster")

    assert found.places == (("one", 26379),)
    assert found.server_url == found.sentinel_url == "redis://host/0"


def test_a_cluster_url_is_taken_apart() -> None:
    """User, password and options are those of every node."""
    found = parse_cluster_url(
        "rediss+cluster://me:p%40ss@one,two:7001,[::1]:7002?ssl_cert_reqs=none"
    )

    assert found.places == (("one", 6379), ("two", 7001), ("::1", 7002))
    assert found.node_url == "rediss://me:p%40ss@host/0?ssl_cert_reqs=none"
    assert parse_cluster_url("redis+cluster://one/").node_url == "redis://host/0"


@pytest.mark.parametrize("url", ["redis+cluster://one:7000/2", "redis+cluster://one?db=2"])
def test_a_cluster_has_no_databases(url: str) -> None:
    """Said by name; without the URL."""
    with pytest.raises(ValueError, match="must name no database") as refused:
        check_redis_url(url)
    assert "7000" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["redis+cluster://", "redis+cluster://one,", "redis+cluster://a?what=1"]
)
def test_other_forms_of_a_cluster_url_are_refused(url: str) -> None:
    """At the start, and not by the first command."""
    with pytest.raises(ValueError, match="must have the form"):
        check_redis_url(url)


@pytest.mark.parametrize(
    "url, place",
    [
        ("redis://me:s3cr3t@host:7000/2?socket_timeout=1", "host:7000"),
        ("redis://", "localhost:6379"),
        ("unix:///run/my%20redis.sock?db=2", "/run/my redis.sock"),
        (
            "redis+sentinel://me:s3cr3t@one,two:26380/mymaster?sentinel_password=s3cr3t",
            "mymaster of the Sentinels one:26379, two:26380",
        ),
        ("redis+cluster://me:s3cr3t@one,two:7001", "the cluster of one:6379, two:7001"),
    ],
)
def test_a_place_is_told_without_secrets(url: str, place: str) -> None:
    """For the doctor and for errors."""
    assert place_of(url) == place
    assert is_sentinel_url(url) == ("Sentinels" in place)
