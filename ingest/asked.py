"""What a request of the API asks for, in its query or in a small JSON body: strict, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from aiohttp import web

from ingest.body import BodyReader
from shared.errors import BrokerRefused, RequestRefused
from shared.payload import parse_json
from shared.placed import PlacedId
from shared.preflight import is_not_permitted

BODY_MAX_BYTES = 65_536
LIST_MAX = 200
LIST_DEFAULT = 50

PLACED_ID = "[0-9]{1,4}:[1-9][0-9]{0,14}-[0-9]{1,15}"
"""Any id of what stays in a partition; Redis takes none of more digits, and nothing before 1 ms."""

P = TypeVar("P", bound=PlacedId)


def query_of(request: web.Request, *names: str) -> dict[str, str]:
    """
    The query's fields of these names, as far as they are given.

    Raises:
        RequestRefused: 400, there are others, or one twice.
    """
    if unknown := request.query.keys() - set(names):
        claim = f"known in the query: {', '.join(names)}; not {min(unknown)[:40]!r}"
        raise RequestRefused(400, "unknown_field", claim)
    for name in names:
        if len(request.query.getall(name, ())) > 1:
            raise RequestRefused(400, "invalid_field", f"{name} stands in the query twice")
    return dict(request.query)


async def fields_of(request: web.Request, bodies: BodyReader, *names: str) -> dict[str, str]:
    """
    The texts in the body, a JSON object; no body is an empty one, null is as good as absent.

    Raises:
        RequestRefused: 4xx.
    """
    with await bodies.read(request, BODY_MAX_BYTES) as body:
        payload: Any = parse_json(body) if body else {}
    if not isinstance(payload, dict):
        raise RequestRefused(400, "invalid_field", "the body must be a JSON object")
    if payload.keys() - set(names):
        raise RequestRefused(400, "unknown_field", f"known here: {', '.join(names)}")
    given = {name: value for name, value in payload.items() if value is not None}
    for name, value in given.items():
        if not isinstance(value, str):
            raise RequestRefused(400, "invalid_field", f"{name} must be a text")
    return given


def flag_of(query: Mapping[str, str], name: str) -> bool:
    """
    Whether ``name`` is asked for, as ``?name=1``.

    Raises:
        RequestRefused: 400.
    """
    given = query.get(name, "0")
    if given not in ("0", "1"):
        raise RequestRefused(400, "invalid_field", f"{name} must be 0 or 1")
    return given == "1"


def limit_of(query: Mapping[str, str]) -> int:
    """
    How many are asked for.

    Raises:
        RequestRefused: 400.
    """
    given = query.get("limit", str(LIST_DEFAULT))
    if not (given.isascii() and given.isdigit() and 1 <= int(given[:9]) <= LIST_MAX):
        raise RequestRefused(400, "invalid_field", f"limit must be from 1 to {LIST_MAX}")
    return int(given)


def placed(parse: Callable[[str], P], fields: Mapping[str, str], name: str) -> P | None:
    """
    The id of this name, if one is given.

    Raises:
        RequestRefused: 400, it is none.
    """
    given = fields.get(name)
    if given is None:
        return None
    if re.fullmatch(PLACED_ID, given) is None:
        raise RequestRefused(400, "invalid_field", f"{name} is no id such as 3:1760000000000-0")
    return parse(given)


@contextmanager
def telling_of_missing_rights() -> Iterator[None]:
    """
    What Redis does not permit will not be permitted at the next try: that is told, not 503.

    Raises:
        RequestRefused: 409, nothing has changed.
    """
    try:
        yield
    except BrokerRefused as error:
        if not is_not_permitted(error):
            raise
        why = "Redis does not permit this to ingest's user: see deploy/redis/users.acl"
        raise RequestRefused(409, "not_permitted", why) from error
