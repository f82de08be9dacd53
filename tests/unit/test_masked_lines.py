"""What a log line never shows: users, what they wrote, numbers and secrets; and what it shows."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.masking import MASK, UserHash, mask_text
from shared.model import EntryId, Kind, Message, window_id
from tests.support.log_lines import PHONE, only_line, own_logging, start_log


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """The log's stream; logging of the process is put back afterwards."""
    with own_logging():
        yield io.StringIO()


def test_a_user_is_shown_as_a_keyed_hash(stream: io.StringIO) -> None:
    """The value of ``user`` is replaced by the same 8 hex digits every time, whoever logs it."""
    log = start_log(stream)

    log.info("message.accepted", user=PHONE)

    assert only_line(stream)["user"] == UserHash(b"a test's key")(PHONE)


def test_a_users_hash_depends_on_the_key() -> None:
    """Without the key nobody can try all phone numbers against a log."""
    hashes = {UserHash(key)(PHONE) for key in (b"one", b"two", b"x" * 200)}

    assert len(hashes) == 3
    assert all(len(value) == 8 and int(value, 16) >= 0 for value in hashes)


@pytest.mark.parametrize(
    "name",
    ["token", "api_token", "handlerSecret", "apikey", "Authorization", "password", "cookie", "jwt"],
)
def test_values_named_like_secrets_are_masked(stream: io.StringIO, name: str) -> None:
    """A value under a name that may hold a secret is never written."""
    log = start_log(stream)

    log.info("something.happened", **{name: "hunter2", "nested": {name: ["hunter2"]}})

    assert "hunter2" not in stream.getvalue()
    assert only_line(stream)[name] == MASK


@pytest.mark.parametrize("name", ["text", "texts", "body", "payload", "raw", "headers", "media"])
def test_what_people_wrote_is_masked(stream: io.StringIO, name: str) -> None:
    """A message's content is not logged at any level, also by mistake."""
    log = start_log(stream, "debug")

    log.debug("something.happened", **{name: "my private words"})

    assert only_line(stream)[name] == MASK


def test_an_object_that_holds_a_message_shows_only_its_type(stream: io.StringIO) -> None:
    """A dataclass's repr would show texts and users, so none is written."""
    log = start_log(stream)
    message = Message(instance="a", user=PHONE, message_id="m", text="private", received_at=1)

    log.info("something.happened", what=message, many=[message])

    line = only_line(stream)
    assert line["what"] == "<Message>"
    assert line["many"] == ["<Message>"]


@pytest.mark.parametrize(
    "text",
    [
        PHONE,
        f"user {PHONE}@s.whatsapp.net",
        f"group {PHONE}-1600000000@g.us",
        "call +55 11 99999-0000 now",
        "call (11) 99999-0000 now",
        f"\\n{PHONE}",
        "\N{ARABIC-INDIC DIGIT FIVE}" * 9,
    ],
)
def test_phone_numbers_in_text_are_masked(text: str) -> None:
    """No run of seven or more digits leaves in free text, however it is surrounded."""
    masked = mask_text(text)

    assert MASK in masked
    assert "99999" not in masked


@given(
    st.text(st.characters(exclude_categories=["Nd"])),
    st.from_regex(r"[0-9]{7,20}", fullmatch=True).filter(lambda digits: len(digits) != 13),
    st.text(),
)
def test_no_phone_number_survives_any_neighbourhood(before: str, phone: str, after: str) -> None:
    """Whatever stands around it, a number is not readable after masking."""
    masked = mask_text(before + phone + after)

    assert phone not in masked


@pytest.mark.parametrize(
    "text",
    [
        "1700000000000-0",
        "1999999999999-12345",
        "between 1700000000000-0 and 1700000000001-7",
        str(window_id("sales", PHONE, EntryId(1_700_000_000_000, 0))),
        "w_" + "234567" * 4 + "23",
        "127.0.0.1:8420",
        "512300 entries of 4096",
    ],
)
def test_ids_ports_and_counts_survive(text: str) -> None:
    """What one searches a log by is written as it is."""
    assert mask_text(text) == text


def test_facts_that_are_no_text_survive(stream: io.StringIO) -> None:
    """Numbers, flags, enums and entry ids are logged as they are."""
    log = start_log(stream)

    log.info("x.y", bytes=10_485_760, ok=True, kind=Kind.TEXT, entry=EntryId(1_700_000_000_000, 3))

    line = only_line(stream)
    assert (line["bytes"], line["ok"], line["kind"]) == (10_485_760, True, "text")
    assert line["entry"] == "1700000000000-3"


@pytest.mark.parametrize("name", ["worker", "owner"])
def test_a_workers_id_survives(stream: io.StringIO, name: str) -> None:
    """An id of our own making is not taken for a phone number."""
    log = start_log(stream)

    log.info("lease.acquired", **{name: "host-a12345678f"})

    assert only_line(stream)[name] == "host-a12345678f"


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@localhost:6379/0",
        "https://host/path?apikey=hunter2&x=1",
        "Authorization: Bearer hunter2",
        'header "apikey": "hunter2" was wrong',
        "Bearer hunter2hunter2",
    ],
)
def test_secrets_inside_text_are_masked(text: str) -> None:
    """A secret that an error message quotes does not reach the log."""
    assert "hunter2" not in mask_text(text)


def test_a_line_cannot_be_forged(stream: io.StringIO) -> None:
    """Control characters are escaped: a value never begins a line of its own."""
    log = start_log(stream, form="console")

    log.info("request.refused", reason="x\n12:00:00 [error] forged\x1b[31m")

    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    "text", ["token" * 4000, "+1" + " 1" * 9000, "https://" * 2000, "(" * 20_000, "1" * 20_000]
)
def test_masking_takes_bounded_time(text: str) -> None:
    """Nobody outside can keep the process busy with a text that is hard to mask."""
    begun = time.perf_counter()

    mask_text(text, keep_lines=True)

    assert time.perf_counter() - begun < 1.0
