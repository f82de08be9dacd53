"""
Webhooks that nobody would send on purpose: dropped, retyped, nested, cut and damaged ones.

JSON is changed by its values, a form by its fields, and either by its bytes.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from tests.support.doors import Hook

Path = tuple[Any, ...]

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**53,
    2**63,
    -(2**63),
    2**64,
    10**30,
    10**400,
    0.5,
    -0.0,
    1e308,
    1.7e9,
    float("nan"),
    float("inf"),
    "",
    " ",
    "0",
    "-1",
    "NaN",
    "Infinity",
    "null",
    "true",
    "1e999",
    "9" * 400,
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "\u202egnp.exe",
    "🙂" * 300,
    "é" * 5000,
    "x" * 70_000,
    "../../etc/passwd",
    "http://[broken",
    "http://192.0.2.1:99999/x",
    "data:image/png;base64,AAAA",
    "@s.whatsapp.net",
    "1:2@g.us",
    "status@broadcast",
    "2025-13-45T99:99:99Z",
    "0001-01-01T00:00:00+14:00",
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": None},
    {"id": {}},
    {"low": 1, "high": -1, "unsigned": True},
    {"type": "Buffer", "data": [256, -1]},
)


class Mutator:
    """Changes webhooks by chance: the same changes for the same seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def mutate(self, hook: Hook) -> Hook:
        """``hook`` with one to four changes; unsigned, as it was."""
        body, query = hook.body, hook.query
        if self._chance.random() < 0.15:
            body = self._damaged(body)
        elif _is_json(body):
            body = self._changed_json(body)
        elif body:
            body = self._changed_form(body.decode()).encode()
        if query and self._chance.random() < 0.5:
            query = self._changed_form(query)
        return replace(hook, body=body, query=query)

    def _changed_json(self, body: bytes) -> bytes:
        payload = [json.loads(body)]  # in a list, so that the whole can be changed, too
        for _ in range(self._chance.randint(1, 4)):
            self._change_value(payload)
        text = json.dumps(payload[0], ensure_ascii=self._chance.random() < 0.7)
        if self._chance.random() < 0.05:
            text = "[" * 70 + text + "]" * 70
        return text.encode("utf-8", "surrogatepass")

    def _change_value(self, payload: list[Any]) -> None:
        path = self._chance.choice(list(places_in(payload)))
        *parents, last = path
        holder: Any = payload
        for name in parents:
            holder = holder[name]
        change = self._chance.choice(self._changes)
        if change is None and len(path) > 1:
            del holder[last]
        elif change is not None:
            holder[last] = change(self, holder[last])
        if isinstance(holder, dict) and last in holder and self._chance.random() < 0.1:
            holder[self._chance.choice([last.upper(), f" {last}", f"{last}\u0000"])] = holder[last]

    def _retyped(self, _value: Any) -> Any:
        return copy.deepcopy(self._chance.choice(ODD_VALUES))

    def _nested(self, value: Any) -> Any:
        name = self._chance.choice(["message", "data", "value", "key", "id", "text", ""])
        return self._chance.choice([{name: value}, [value], {name: {name: [value]}}])

    def _buried(self, value: Any) -> Any:
        for _ in range(self._chance.choice([10, 58, 66, 120])):
            value = [value]
        return value

    def _repeated(self, value: Any) -> Any:
        return [value] * self._chance.choice([2, 2, 2, 12])

    def _cut(self, value: Any) -> Any:
        if isinstance(value, str | list):
            return value[: self._chance.randint(0, max(0, len(value) - 1))]
        return None if isinstance(value, dict) else 0

    def _as_text(self, value: Any) -> Any:
        return json.dumps(value)

    _changes: tuple[Callable[[Mutator, Any], Any] | None, ...] = (
        None,  # drop it
        None,
        _retyped,
        _retyped,
        _retyped,
        _nested,
        _buried,
        _repeated,
        _cut,
        _as_text,
    )

    def _changed_form(self, form: str) -> str:
        fields: list[tuple[str, str]] = parse_qsl(form, keep_blank_values=True)
        for _ in range(self._chance.randint(1, 4)):
            if not fields:
                break
            at = self._chance.randrange(len(fields))
            name, value = fields[at]
            match self._chance.randrange(6):
                case 0:
                    del fields[at]
                case 1:
                    fields.insert(at, (name, value))
                case 2:
                    fields[at] = (self._chance.choice([name.lower(), f"{name}0", "", "é"]), value)
                case 3:
                    fields[at] = (name, value[: len(value) // 2])
                case _:
                    odd = self._chance.choice(ODD_VALUES)
                    fields[at] = (name, odd if isinstance(odd, str) else str(odd))
        self._chance.shuffle(fields)
        return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in fields)

    def _damaged(self, body: bytes) -> bytes:
        """Other bytes: cut, flipped, inserted, doubled."""
        at = self._chance.randrange(len(body) + 1)
        match self._chance.randrange(6):
            case 0 | 1:
                return body[:at]
            case 2 if at < len(body):
                flipped = body[at] ^ (1 << self._chance.randrange(8))
                return body[:at] + bytes([flipped]) + body[at + 1 :]
            case 3:
                odd = self._chance.choice(
                    [b"\xff", b"\xed\xa0\x80", b"\x00", b"%", b"\r\n", b"NaN"]
                )
                return body[:at] + odd + body[at:]
            case 4:
                return body + body
            case _:
                return b"\xef\xbb\xbf" + body


def places_in(value: Any, path: Path = ()) -> Iterator[Path]:
    """The way to each value below this one."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        yield (*path, name)
        if isinstance(member, dict | list):
            yield from places_in(member, (*path, name))


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    return quote_plus(text.encode("utf-8", "surrogatepass"))
