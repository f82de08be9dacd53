"""Every script's header is its contract, and the body keeps to it."""

from __future__ import annotations

import re

import pytest

from shared.scripts import load_script
from tests.support.lua_files import LUA_FILES
from tests.support.redis_server import ROOT

KEY_TYPES = {"HASH", "STREAM", "STRING", "SET", "ZSET", "LIST"}
MAX_LINES = 60

# Scripts that put new data into Redis and are meant to be refused when it is full.
REFUSED_WHEN_FULL = {"append", "ticket_enter"}
ALLOWED_WHEN_FULL = ("PERSIST", "PEXPIRE", "XACK", "XDEL", "XTRIM", "DEL")
NEEDS_MEMORY = ("SET", "HSET", "INCR", "SADD", "ZADD", "RPUSH", "XADD", "XGROUP', 'CREATE")

_NUMBERED = re.compile(r"^(?P<number>\d+)(?P<more>\.\.)?\s+(?P<text>\S.*)$")


def parts_of(name: str) -> tuple[list[str], list[str]]:
    """A script's header, without its dashes, and its body."""
    lines = LUA_FILES[name].read_text().splitlines()
    size = next(at for at, line in enumerate(lines) if not line.startswith("--"))
    return [line.removeprefix("--").strip() for line in lines[:size]], lines[size:]


def documented(name: str, what: str) -> tuple[list[str], bool]:
    """The texts of the header's KEYS or ARGV, and whether the last one stands for many."""
    header, _ = parts_of(name)
    texts: list[str] = []
    inside = has_many = False
    for line in header:
        if line.startswith(("KEYS ", "ARGV ", "Returns")) or not line:
            inside = line.startswith(f"{what} ")
        match = _NUMBERED.match(line.removeprefix(f"{what} "))
        if inside and match:
            assert int(match["number"]) == len(texts) + 1, f"{what} are numbered in order"
            texts.append(match["text"])
            has_many = match["more"] is not None
    return texts, has_many


def used(name: str, what: str) -> set[int]:
    """The numbers that the body names: ``KEYS[3]``; of a loop's ``KEYS[i]``, where it begins."""
    _, body = parts_of(name)
    text = "\n".join(body)
    numbers = {int(number) for number in re.findall(rf"{what}\[(\d+)", text)}
    if re.search(r"for i = (\d+), #KEYS", text) and f"{what}[i" in text:
        numbers.update(int(number) for number in re.findall(r"for i = (\d+), #KEYS", text))
    if f"ipairs({what})" in text:
        numbers.add(1)
    return numbers


def test_loader_and_folder_agree() -> None:
    """Every script is loaded by somebody, and everything that is loaded is there."""
    sources = [
        path.read_text()
        for room in ("shared", "ingest", "consumer", "ops")
        for path in (ROOT / room).rglob("*.py")
    ]
    text = "\n".join(sources)
    loaded = set(re.findall(r"load_script\(\s*\"(\w+)\"", text))
    loaded |= set(re.findall(r"_(?:script|fenced)\(\s*\"(\w+)\"", text))
    assert loaded == set(LUA_FILES)


@pytest.mark.parametrize("name", LUA_FILES)
def test_loaded_script_is_the_file(name: str) -> None:
    """Text and hash are those of the file of that name."""
    import hashlib

    script = load_script(name)
    source = LUA_FILES[name].read_bytes()
    assert script.source.encode() == source
    assert script.sha == hashlib.sha1(source, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", LUA_FILES)
def test_header_says_what_it_does_and_what_it_returns(name: str) -> None:
    """It begins with its own name and purpose and ends with what comes back."""
    header, body = parts_of(name)
    assert re.fullmatch(rf"{name}: .{{10,}}[.?]", header[0])
    assert sum(line.startswith("Returns ") for line in header) == 1
    assert "\n".join(body).rstrip().split("\n")[-1].startswith("return ")


@pytest.mark.parametrize("name", LUA_FILES)
def test_every_key_has_a_type(name: str) -> None:
    """Whoever reads the header knows what stands under each key."""
    texts, _ = documented(name, "KEYS")
    assert texts
    known = re.compile(rf"\b({'|'.join(KEY_TYPES)})\b|the same|streams?\b")
    assert [text for text in texts if not known.search(text)] == []


@pytest.mark.parametrize("name", LUA_FILES)
@pytest.mark.parametrize("what", ["KEYS", "ARGV"])
def test_body_uses_what_the_header_documents(name: str, what: str) -> None:
    """No more and no less: an argument added on one side only is caught here."""
    texts, has_many = documented(name, what)
    numbers = used(name, what)
    loops = "#KEYS" in "\n".join(parts_of(name)[1])
    fixed = len(texts) - has_many
    if what == "ARGV" and loops:
        assert {n for n in numbers if n <= fixed} == set(range(1, fixed + 1))
        assert has_many
        return
    assert numbers == set(range(1, len(texts) + 1))


@pytest.mark.parametrize("name", LUA_FILES)
def test_script_is_short_and_touches_declared_keys_only(name: str) -> None:
    """Under 60 lines; no key name is built inside, so a cluster knows every slot beforehand."""
    lines = LUA_FILES[name].read_text().splitlines()
    assert len(lines) < MAX_LINES
    _, body = parts_of(name)
    text = "\n".join(body)
    assert ".." not in text, "a key could be built by joining strings"
    assert "#!lua" not in "\n".join(lines), "6.2 does not know it, and 7 refuses it when full"
    for line in body:
        for command, first in re.findall(r"redis\.p?call\('(\w+)',\s*([^,)]+)", line):
            if command not in ("XGROUP", "XINFO", "XREADGROUP"):
                assert re.match(r"KEYS\[|[a-z_]+$", first), f"{command} on {first}"


@pytest.mark.parametrize("name", sorted(set(LUA_FILES) - REFUSED_WHEN_FULL))
def test_first_write_is_allowed_when_redis_is_full(name: str) -> None:
    """Redis lets a script go on only after a write that frees or changes nothing."""
    _, body = parts_of(name)
    text = "\n".join(body)
    calls = [
        (m.start(), m[1]) for m in re.finditer(r"redis\.p?call\('([A-Z]+(?:', 'CREATE)?)", text)
    ]
    hungry = [at for at, command in calls if command in NEEDS_MEMORY]
    harmless = [at for at, command in calls if command in ALLOWED_WHEN_FULL]
    if hungry:
        assert harmless
        assert min(harmless) < min(hungry)
