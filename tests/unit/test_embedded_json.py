"""JSON objects are found in a text whatever stands around them, at a cost that its size bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers import embedded_json
from shared.handlers.embedded_json import DEPTH_MAX, Found, find_objects

NAMES = [
    *("_BEGIN", "_FIRST_NAME", "_NAME", "_COLON"),
    *("_FIRST_ITEM", "_VALUE", "_IN_OBJECT", "_IN_LIST"),
]

SIZE = 20_000
HOSTILE = [
    "{",
    '{"',
    '{"a":',
    '{"a":"',
    '{"a":1}',
    '{"a":[{"a":[',
    '{"a":{"b":"',
    '{"a":"{',
    '{"\\"',
    '{"a":"\\',
    '{"a":"\\"{"b":',
    '"{"a":{',
    "{" + " " * 50,
    '{"a":{"b":1},',
    '{"a" ',
]


class Counted:
    """A pattern, and how many characters its matches looked at, at the most."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern
        self.read = 0

    def match(self, text: str, at: int) -> Any:
        """As the pattern's own. What does not match may be a string that has no end."""
        found = self._pattern.match(text, at)
        if found is None:
            rest = text[at:]
            blanks = len(rest) - len(rest.lstrip(" \t\r\n"))
            self.read += len(rest) if rest[blanks : blanks + 1] == '"' else blanks + 5
        else:
            self.read += found.end() - at
        return found

    def search(self, text: str, at: int) -> Any:
        """As the pattern's own, which reads the blanks behind a brace once more."""
        found = self._pattern.search(text, at)
        self.read += 2 * ((found.end() if found else len(text)) - at)
        return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    """The patterns that read texts, counting."""
    patterns = [Counted(getattr(embedded_json, name)) for name in NAMES]
    for name, pattern in zip(NAMES, patterns, strict=True):
        monkeypatch.setattr(embedded_json, name, pattern)
    return patterns


@pytest.mark.parametrize("tail", ["", '"', "}", '1,"b":' * 1000, ' {"response": "Hi"}'])
@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_is_read_more_than_a_few_times(
    counted: list[Counted], piece: str, tail: str
) -> None:
    """Braces that begin nothing, or never end, cost what their number does, not its square."""
    text = piece * (SIZE // len(piece)) + tail
    find_objects(text)
    assert sum(pattern.read for pattern in counted) < 16 * len(text)


def test_lists_that_never_end_are_read_once(counted: list[Counted]) -> None:
    """A thousand beginnings of what fails at the text's end do not each read up to there."""
    text = '{"k":[' * 1000 + "1," * SIZE
    assert find_objects(text) == []
    assert sum(pattern.read for pattern in counted) < 16 * len(text)


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON_VALUES, min_size=1, max_size=4)
PROSE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='{"'))


@given(st.lists(st.tuples(PROSE, OBJECTS, st.sampled_from([None, 2]), st.booleans())), PROSE)
def test_every_object_is_found_whole(
    parts: list[tuple[str, dict[str, Any], int | None, bool]], last: str
) -> None:
    """Objects between prose without braces are found in order, each where it stands."""
    text, expected = "", []
    for prose, value, indent, is_ascii in parts:
        text += prose
        written = json.dumps(value, indent=indent, ensure_ascii=is_ascii)
        expected.append(Found(len(text), len(text) + len(written), value))
        text += written
    assert find_objects(text + last) == expected


@given(st.lists(st.sampled_from([*'{}[]":,\\a1- \n', '{"a":', '"b"'])).map("".join))
def test_what_is_found_is_what_can_be_read_there(text: str) -> None:
    """
    From the left, the first brace from which JSON can be read begins what is found next: an
    independent search says the same.
    """
    expected, at = [], 0
    decoder = json.JSONDecoder(strict=False)
    while (at := text.find("{", at)) >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
            continue
        if value:
            expected.append(Found(at, end, value))
        at = end
    assert find_objects(text) == expected


def test_what_is_nested_too_deep_is_no_answer() -> None:
    """A depth that no model means is not read, and nothing raises."""
    deep = '{"a":' * 100_000 + "1" + "}" * 100_000
    assert all(found.end - found.start < 7 * DEPTH_MAX for found in find_objects(deep))
