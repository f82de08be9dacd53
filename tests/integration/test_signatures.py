"""
Who may send: each provider's proof, and everything that is nearly one, over a real connection.

Raw requests, for an HTTP client would mend some of these headers.
"""

from __future__ import annotations

import gzip
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from shared.providers.registry import PROVIDERS
from tests.support.door_server import OLD_SECRET, serving_door
from tests.support.doors import SECRET, Door, Hook, doors

TEXT = "café 🙂 👩‍👩‍👧 שלום\r\nsecond line"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """
    What a provider's proof is made of. Without ``signs_body`` it is a secret in a header.

    ``stamped`` are signed headers beside the signature, of which one is a time.
    """

    signs_body: bool = True
    prefix: str = ""
    stamped: tuple[str, ...] = ()


SCHEMES = {
    "chatwoot": Scheme(prefix="sha256=", stamped=("X-Chatwoot-Timestamp",)),
    "evolution": Scheme(signs_body=False),
    "messenger": Scheme(prefix="sha256="),
    "standard": Scheme(prefix="v1,", stamped=("webhook-timestamp", "webhook-id")),
    "telegram": Scheme(signs_body=False),
    "twilio": Scheme(),
    "waha": Scheme(),
    "whatsapp": Scheme(prefix="sha256="),
}

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A signed webhook whose headers and body a test may spoil."""

    door: Door
    hook: Hook
    headers: Headers

    @property
    def proof(self) -> bytes:
        """The signature, or the secret."""
        return self.value_of(self.door.signature)

    def value_of(self, header: str) -> bytes:
        """The header's value."""
        (value,) = (value for name, value in self.headers if name.lower() == header.lower())
        return value

    def without(self, header: str) -> Attempt:
        """The same, and this header is missing."""
        left = [(name, value) for name, value in self.headers if name.lower() != header.lower()]
        return replace(self, headers=left)

    def with_proof(self, *values: bytes) -> Attempt:
        """The same with these proofs, each in a header of its own."""
        return self.with_values(self.door.signature, *values)

    def with_values(self, header: str, *values: bytes) -> Attempt:
        """The same with these values of the header, each in a header of its own."""
        left = self.without(header).headers
        return replace(self, headers=[*left, *((header, value) for value in values)])

    def with_body(self, body: bytes) -> Attempt:
        """The same proof of another body."""
        return replace(self, hook=replace(self.hook, body=body))

    def raw(self) -> bytes:
        """The request's bytes."""
        body = self.hook.body
        lines = [f"{self.hook.method} {self.door.path(self.hook)} HTTP/1.1".encode()]
        fixed: Headers = [("Host", b"bot.example.org"), ("Connection", b"close")]
        fixed.append(("Content-Length", b"%d" % len(body)))
        lines += [name.encode() + b": " + value for name, value in fixed + self.headers]
        return b"\r\n".join([*lines, b"", b""]) + body


def attempt(
    door: Door, hook: Hook | None = None, secret: str = SECRET, now_s: float = 0
) -> Attempt:
    """A webhook that is signed as it should be."""
    ready = door.sign(hook or door.text(TEXT, 7), secret, int(now_s or time.time()))
    headers = [(name, value.encode()) for name, value in ready.headers.items()]
    return Attempt(door=door, hook=ready, headers=headers)


async def status_of(door: Door, tried: Attempt) -> int:
    """What is answered. Only what is answered 2xx is kept; no error and no secret is logged."""
    async with serving_door(door) as server:
        answer = await server.send_raw(tried.raw())
        status = int(answer.split(b" ", 2)[1])
        assert server.worst_logged() == []
        assert len(server.appender.messages) == (1 if status == 200 else 0)
        for line in server.logs:
            assert "planted" not in str(line)
    return status


def each_of(chosen: Sequence[Door]) -> pytest.MarkDecorator:
    """A test of each of these doors."""
    return pytest.mark.parametrize("door", chosen, ids=lambda door: str(door.provider))


each_door = each_of(doors())
each_that_signs = each_of([door for door in doors() if SCHEMES[door.provider].signs_body])
each_with_a_prefix = each_of([door for door in doors() if SCHEMES[door.provider].prefix])
each_that_ages = each_of([door for door in doors() if SCHEMES[door.provider].stamped])


def test_every_door_has_its_scheme() -> None:
    """No provider is left out."""
    assert {door.provider for door in doors()} == SCHEMES.keys() == PROVIDERS.keys()


@each_door
@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_each_of_the_rotating_secrets_proves(door: Door, secret: str) -> None:
    """While a secret is replaced both the old and the new one are good, for emoji and all."""
    assert await status_of(door, attempt(door, secret=secret)) == 200


@each_door
@pytest.mark.parametrize("secret", ["wrong", SECRET.upper(), SECRET[:-1], "none"])
async def test_a_wrong_secret_proves_nothing(door: Door, secret: str) -> None:
    """Nor does one that differs by its case or its end."""
    assert await status_of(door, attempt(door, secret=secret)) == 401


@each_that_signs
@pytest.mark.parametrize("secret", [f" {SECRET}", f"{SECRET}\n", "", f"{OLD_SECRET}{SECRET}"])
async def test_a_key_is_every_one_of_its_bytes(door: Door, secret: str) -> None:
    """A digest under a secret with a space too many is another one, and so is one under none."""
    assert await status_of(door, attempt(door, secret=secret)) == 401


def one_bit_flipped(value: bytes) -> bytes:
    """Another letter or digit in the middle."""
    at = len(value) // 2
    return value[:at] + (b"A" if value[at : at + 1] != b"A" else b"B") + value[at + 1 :]


SPOILT: dict[str, Callable[[Attempt], Attempt]] = {
    "a wrong bit": lambda tried: tried.with_proof(one_bit_flipped(tried.proof)),
    "the last bit": lambda tried: tried.with_proof(tried.proof[:-1] + b"!"),
    "cut short": lambda tried: tried.with_proof(tried.proof[:-1]),
    "one letter more": lambda tried: tried.with_proof(tried.proof + b"0"),
    "no header": lambda tried: tried.without(tried.door.signature),
    "an empty header": lambda tried: tried.with_proof(b""),
    "only spaces": lambda tried: tried.with_proof(b"   "),
    "the header twice": lambda tried: tried.with_proof(tried.proof, tried.proof),
    "a wrong one before it": lambda tried: tried.with_proof(b"wrong", tried.proof),
    "a wrong one behind it": lambda tried: tried.with_proof(tried.proof, b"wrong"),
    "twice in one header": lambda tried: tried.with_proof(tried.proof + b", " + tried.proof),
    "upper case": lambda tried: tried.with_proof(tried.proof.upper()),
    "a space inside": lambda tried: tried.with_proof(
        tried.proof[: len(tried.proof) // 2] + b" " + tried.proof[len(tried.proof) // 2 :]
    ),
    "a wrong prefix": lambda tried: tried.with_proof(b"sha1=" + tried.proof),
    "a scheme before it": lambda tried: tried.with_proof(b"Basic " + tried.proof),
    "an emoji": lambda tried: tried.with_proof("🙂".encode()),
    "Latin letters": lambda tried: tried.with_proof(tried.proof + "é".encode()),
    "no UTF-8": lambda tried: tried.with_proof(tried.proof + b"\xff\xfe"),
    "much too long": lambda tried: tried.with_proof(b"a" * 7000),
}


@each_door
@pytest.mark.parametrize("name", SPOILT)
async def test_a_spoilt_proof_is_unauthorized(door: Door, name: str) -> None:
    """A proof that is nearly right is 401, and nothing is stored."""
    assert await status_of(door, SPOILT[name](attempt(door))) == 401


@each_with_a_prefix
async def test_a_scheme_is_told_by_its_prefix(door: Door) -> None:
    """Without the prefix, with a space behind it or with another one the digest counts nothing."""
    tried, prefix = attempt(door), SCHEMES[door.provider].prefix.encode()
    digest = tried.proof.removeprefix(prefix)
    for value in (digest, prefix + b" " + digest, b"v2," + digest, prefix.upper() + digest):
        assert await status_of(door, tried.with_proof(value)) == 401, value


@each_door
async def test_spaces_around_a_header_are_none_of_it(door: Door) -> None:
    """HTTP strips them."""
    tried = attempt(door)
    assert await status_of(door, tried.with_proof(b" \t" + tried.proof + b"  ")) == 200


@each_door
async def test_line_ends_are_bytes_like_others(door: Door) -> None:
    """A body is verified as it came: CRLF that was signed is good, CRLF made of LF is not."""
    hook = door.text(TEXT, 8)
    signed = replace(hook, body=hook.body + b"\r\n")
    assert await status_of(door, attempt(door, signed)) == 200
    mended = attempt(door, replace(hook, body=hook.body + b"\n")).with_body(signed.body)
    expected = 401 if SCHEMES[door.provider].signs_body else 200
    assert await status_of(door, mended) == expected


@each_door
async def test_a_proof_is_of_one_body(door: Door) -> None:
    """Of another body it proves nothing, where bodies are signed."""
    other = attempt(door).with_body(door.text("send money", 9).body)
    expected = 401 if SCHEMES[door.provider].signs_body else 200
    assert await status_of(door, other) == expected


@each_door
async def test_a_compressed_body_is_refused(door: Door) -> None:
    """With gzip it is 415, whether what is signed is the packed body or the plain one."""
    plain = door.text(TEXT, 10)
    packed = replace(plain, body=gzip.compress(plain.body))
    for tried in (attempt(door, packed), attempt(door, plain).with_body(packed.body)):
        assert await status_of(door, tried.with_values("Content-Encoding", b"gzip")) == 415


@each_door
@pytest.mark.parametrize("age_s, is_good", [(299, True), (301, False), (-299, True), (-301, False)])
async def test_a_time_may_be_five_minutes_off(door: Door, age_s: int, is_good: bool) -> None:
    """A signature of 299 s ago, or ahead, is good, of 301 s not; others never grow old."""
    now_s = time.time()
    # whole seconds, on the side where the time that the test itself takes changes nothing
    is_rounded_up = is_good == (age_s > 0)
    stamp = (math.ceil(now_s) if is_rounded_up else math.floor(now_s)) - age_s
    ages = bool(SCHEMES[door.provider].stamped)
    expected = 200 if is_good or not ages else 401
    assert await status_of(door, attempt(door, now_s=stamp)) == expected


@each_that_ages
async def test_what_is_signed_besides_the_body_is_needed_once(door: Door) -> None:
    """A time or an id that is missing, doubled, changed or nonsense makes the signature none."""
    tried = attempt(door)
    for header in SCHEMES[door.provider].stamped:
        value = tried.value_of(header)
        assert await status_of(door, tried.without(header)) == 401
        for values in ([value, value], [b"", value], [value + b"0"], [b""], [b"NaN"], [b"-1"]):
            assert await status_of(door, tried.with_values(header, *values)) == 401, values
        for odd in ("١٢٣".encode(), b"\xff", b"1e9", b"9" * 400, b"0x10", "🙂".encode()):
            assert await status_of(door, tried.with_values(header, odd)) == 401, odd


@each_door
async def test_other_proofs_given_twice_are_refused_beside_a_good_one(door: Door) -> None:
    """A hop before us may have believed one of them; an honest sender has no two."""
    tried = attempt(door)
    assert await status_of(door, tried.with_values("X-Other-Token", b"a")) == 200
    assert await status_of(door, tried.with_values("X-Other-Token", b"a", b"a")) == 401
