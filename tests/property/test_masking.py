"""The masking against phone numbers, secrets and words, wherever a line may hold them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import InturnError, Reject, RetryLater
from shared.log import configure_logging
from shared.masking import mask_text

WORDS = st.text(st.characters(categories=["Ll"], max_codepoint=0x17F), min_size=12, max_size=40)
"""What somebody wrote: no piece of it stands in a traceback by chance."""

AROUND = st.text(st.characters(categories=["L", "P", "Zs"]), max_size=12)
"""No control characters: their escapes have digits of their own."""
SECRETS = st.from_regex(r"[A-Za-z0-9_-]{16,40}", fullmatch=True)


@st.composite
def phones(draw: st.DrawFn) -> str:
    """A number as people and providers write it."""
    digits = draw(st.from_regex(r"[1-9][0-9]{10,11}", fullmatch=True))
    country, area, first, last = digits[:2], digits[2:4], digits[4:-4], digits[-4:]
    return draw(
        st.sampled_from(
            [
                digits,
                f"+{digits}",
                f"+{country} {area} {first}-{last}",
                f"+{country} ({area}) {first}-{last}",
                f"({area}) {first}-{last}",
                f"{area} {first}-{last}",
                f"{country}-{area}-{first}-{last}",
                f"{digits}@s.whatsapp.net",
                f"{digits}-1600000000@g.us",
                f"tel:{digits}",
            ]
        )
    )


@st.composite
def told_secrets(draw: st.DrawFn) -> tuple[str, str]:
    """A secret, and a text that tells it as programs do."""
    secret = draw(SECRETS)
    shape = draw(
        st.sampled_from(
            [
                "redis://:{}@cache:6379/0",
                "rediss://default:{}@cache",
                "https://me:{}@example.org/path",
                "https://example.org/hook?token={}",
                "https://example.org/hook?a=b&apikey={}",
                "Authorization: Bearer {}",
                "authorization: basic {}",
                "'apikey': '{}'",
                '{{"api_key": "{}"}}',
                "password={}",
                "API key: {}",
                "cookie: {}",
                "https://api.telegram.org/bot1234567:{}xxxx/sendMessage",
                "whsec_{}",
                "sk-{}",
            ]
        )
    )
    return secret, shape.format(secret)


class Line:
    """The one line that a test has logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def __str__(self) -> str:
        (line,) = self.stream.getvalue().splitlines()
        return json.dumps(json.loads(line), ensure_ascii=False)


@contextmanager
def one_line() -> Iterator[Line]:
    """Logs into the line; the process's logging is put back afterwards."""
    root, line = logging.getLogger(), Line()
    handlers, level = root.handlers, root.level
    configure_logging("debug", "json", line.stream, user_key=b"key", cache_loggers=False)
    try:
        yield line
    finally:
        logging.captureWarnings(capture=False)
        root.handlers = handlers
        root.setLevel(level)
        structlog.reset_defaults()


@given(AROUND, phones(), AROUND)
@example("", "11 98765-4321", "")
@example("call ", "55-11-98765-4321", ".")
@example("\n", "+55 11 98765-4321", "\x1b")
def test_no_phone_number_is_told(before: str, phone: str, after: str) -> None:
    """However it is written and whatever stands around it, most of it cannot be read."""
    digits = "".join(filter(str.isdigit, phone.partition("@")[0].partition("-16000")[0]))
    masked = mask_text(f"{before} {phone} {after}")
    left = "".join(filter(str.isdigit, masked))
    assert digits[:6] not in left or digits[-4:] not in left
    assert digits not in masked


@given(AROUND, told_secrets(), AROUND)
@example("", ("hunter2/with@all", "redis://:hunter2/with@all@cache:6379"), "")
@example("", ("aGVsbG8+d29ybGQ/aGVsbG8=", "whsec_aGVsbG8+d29ybGQ/aGVsbG8="), "")
@example("", ("aGVsbG8+d29ybGQ/aGVsbG8=", "authorization: basic aGVsbG8+d29ybGQ/aGVsbG8="), "")
def test_no_secret_is_told(before: str, told: tuple[str, str], after: str) -> None:
    """A secret that something names, or that looks like one, is not there afterwards."""
    secret, text = told
    assert secret not in mask_text(f"{before} {text} {after}")


ERRORS: list[type[Exception]] = [
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RuntimeError,
    UnicodeError,
    ImportError,
    OSError,
    Reject,
    RetryLater,
]


@given(WORDS, phones(), told_secrets(), st.sampled_from(ERRORS), st.sampled_from(ERRORS))
def test_an_exception_tells_nothing_that_it_choked_on(
    words: str,
    phone: str,
    told: tuple[str, str],
    kind: type[Exception],
    outer: type[Exception],
) -> None:
    """Neither its own words, nor its cause's, nor a group's, nor its notes."""

    def fail() -> None:
        try:
            raise kind(f"{words} {phone} {told[1]}")
        except kind as error:
            error.add_note(words)
            raise ExceptionGroup(words, [outer(words), error]) from error

    with one_line() as line:
        try:
            fail()
        except ExceptionGroup as error:
            logging.getLogger("library").exception("it failed", exc_info=error)
    for secret in (words, phone, told[0]):
        assert secret not in str(line)
    assert kind.__name__ in str(line)
    assert outer.__name__ in str(line)


@given(WORDS, phones(), st.sampled_from(ERRORS))
def test_an_exception_as_a_value_is_its_class(
    words: str, phone: str, kind: type[Exception]
) -> None:
    """Also inside of lists and mappings."""
    error = kind(f"{words} {phone}")
    with one_line() as line:
        structlog.get_logger().info("x.y", error=error, errors=[error], more={"error": error})
    assert words not in str(line)
    assert phone not in str(line)
    assert str(line).count(kind.__name__) == 3


@given(
    st.recursive(
        WORDS | phones() | st.binary(max_size=9) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(["text", "body", "phone", "message", "api_token", "sender", "headers"]),
)
def test_what_is_named_as_content_is_never_told(value: Any, name: str) -> None:
    """Whatever it is, all of it is gone."""
    with one_line() as line:
        structlog.get_logger().info("x.y", **{name: value})
    assert json.loads(str(line))[name] == (None if value is None else "***")


@given(st.integers(10**8, 10**15))
def test_a_providers_number_is_not_told(number: int) -> None:
    """Telegram's users are numbers; what is a time or a size by its name is told."""
    with one_line() as line:
        structlog.get_logger().info("x.y", chat_id=number, took_ms=number, size_bytes=number)
    told = json.loads(str(line))
    assert (told["chat_id"], told["took_ms"], told["size_bytes"]) == ("***", number, number)


def test_our_own_errors_and_the_systems_speak() -> None:
    """They name things, and never what somebody wrote."""
    with one_line() as line:
        structlog.get_logger().info(
            "x.y", ours=InturnError("no such window"), systems=OSError(28, "ignored", "/a/path")
        )
    assert "InturnError: no such window" in str(line)
    assert "OSError: [Errno 28] No space left on device" in str(line)
