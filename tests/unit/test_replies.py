"""What a handler gave back becomes a reply, silence or a failed attempt, by the contract alone."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers.answer_path import parse_answer_path
from shared.handlers.replies import read_body, read_json, reply_of
from shared.model import Reply, Retry, Silence

JSON = "application/json"

REPLIES = [
    ("text/plain", b"hello", ("hello",)),
    ("text/plain; charset=utf-8", "hé\nllo ".encode(), ("hé\nllo ",)),
    ('Text/Plain; format=flowed; charset="iso-8859-1"', b"h\xe9llo", ("héllo",)),
    ("text/plain", b"\xef\xbb\xbfhello", ("hello",)),
    ("text/plain", b'{"reply": "from a model"}', ("from a model",)),
    (JSON, b'{"reply": "hello"}', ("hello",)),
    (JSON, b'\xef\xbb\xbf{"reply": "hello"}', ("hello",)),
    ("application/json; charset=utf-8", b'{"reply": "hello"}', ("hello",)),
    ("application/vnd.bot+json", b'{"reply": "hello"}', ("hello",)),
    (JSON, b'{"replies": ["a", "", "b", "  "]}', ("a", "b")),
    (JSON, b'{"reply": "a long answ\\ud83d"}', ("a long answ\ufffd",)),
    (JSON, b'{"answer": "hello"}', ("hello",)),
    (JSON, b'{"response": "hello"}', ("hello",)),
    (JSON, b'{"output": "hello"}', ("hello",)),
    (JSON, b'{"text": "hello"}', ("hello",)),
    (JSON, b'[{"output": "hello"}]', ("hello",)),
    (JSON, b'[{"output": "a"}, {"status": "ok"}, 7, {"reply": "b"}]', ("a", "b")),
    (JSON, b'{"output": {"response": "hello"}}', ("hello",)),
    (JSON, b'{"output": [{"text": "a"}, "b"]}', ("a", "b")),
    (JSON, b'{"replies": ["a", {"text": "b"}]}', ("a", "b")),
    (JSON, b'{"text": "```json\\n{\\"response\\": \\"hello\\"}\\n```"}', ("hello",)),
]

SILENCES = [
    ("text/plain", b"", "empty answer"),
    ("text/html; charset=utf-8", b" \r\n", "empty answer"),
    ("", b"", "empty answer"),
    ("text/plain", "\u00a0\n".encode(), "empty text"),
    (JSON, b'{"reply": " "}', "empty text"),
    (JSON, b'{"reply": null}', "empty text"),
    (JSON, b'{"replies": []}', "empty text"),
    (JSON, b'[{"output": ""}]', "empty text"),
]

UNREAD = [
    (b'{"message": "Workflow was started"}', "no reply field; fields: message"),
    (b'{"Reply": "a", "ok": true}', "no reply field; fields: Reply, ok"),
    (b'{"+49170000": 1, "ok": true}', "no reply field; fields: ?, ok"),
    (b'{"response": 200, "text": {"type": "a"}}', "no reply field; fields: response, text"),
    (b"{}", "no reply field; fields: none"),
    (b'"hello"', "no reply field; a JSON str"),
    (b'["hello"]', "no reply field; a JSON list"),
    (b"[]", "no reply field; a JSON list"),
    (b'[{"a": 1}, {"b": 2, "a": 3}]', "no reply field; a JSON list with fields: a, b"),
    (b"null", "no reply field; a JSON NoneType"),
]

AT_PATH = [
    ("data.outputs.text", b'{"data": {"outputs": {"text": "hello"}}}', ("hello",)),
    ("choices.0.text", b'{"choices": [{"text": "a"}, {"text": "b"}]}', ("a",)),
    ("choices[-1].text", b'{"choices": [{"text": "a"}, {"text": "b"}]}', ("b",)),
    ("said", b'{"said": ["a", "b"], "reply": "not this"}', ("a", "b")),
    ("said", b'{"said": {"response": "hello"}}', ("hello",)),
    ("json.said", b'[{"json": {"said": "a"}}, {}, {"json": {"said": "b"}}]', ("a", "b")),
    ("1.said", b'[{"said": "a"}, {"said": "b"}]', ("b",)),
    ("said", b'{"said": "{\\"reply\\": \\"hello\\"}"}', ("hello",)),
]

PAGE = "the answer is a web page, though it is called text/plain"

FAILURES = [
    ("text/html", b"<html>", "the answer is text/html, not text/plain or application/json"),
    ("", b"hello", "the answer has no content type"),
    ("what ever\x00", b"hello", "the answer's content type cannot be read"),
    (JSON, b'{"reply": "hel', "the answer is not valid JSON"),
    (JSON, b"[" * 5000, "the answer is not valid JSON"),
    (JSON, b'{"reply": ["a"]}', "reply must be a text, not list"),
    (JSON, b'{"replies": "a"}', "replies must be a list of texts, not str"),
    (JSON, b'{"replies": ["a", 1]}', "replies must hold texts only, not int"),
    (JSON, b'[{"output": "a"}, {"reply": 1}]', "reply must be a text, not int"),
    ("text/plain", b"h\xe9llo", "the answer's text cannot be decoded by its charset"),
    ("text/plain; charset=klingon", b"a", "the answer's text cannot be decoded by its charset"),
    ("text/plain; charset=idna", b"a", "the answer's text cannot be decoded by its charset"),
    ("text/plain; charset=PunyCode", b"a", "the answer's text cannot be decoded by its charset"),
    ("text/plain", b"\n<!DOCTYPE html><p>502", PAGE),
    ("text/plain; charset=utf-8", b"<!-- a --> <HTML lang=en>Error", PAGE),
    ("text/plain; charset=base64", b"a", "the answer's text cannot be decoded by its charset"),
]


@pytest.mark.parametrize("content_type, body, texts", REPLIES)
def test_the_contracts_answers_are_replies(
    content_type: str, body: bytes, texts: tuple[str, ...]
) -> None:
    """Plain text and the two JSON fields give their texts, in order and unchanged."""
    assert read_body(content_type, body) == Reply(texts=texts)


@pytest.mark.parametrize("content_type, body, reason", SILENCES)
def test_an_answer_without_a_reply_is_silence(content_type: str, body: bytes, reason: str) -> None:
    """What holds no reply text sends nothing, and the reason names only fields that it saw."""
    assert read_body(content_type, body) == Silence(reason=reason)


@pytest.mark.parametrize("body, reason", UNREAD)
def test_json_in_which_no_reply_is_found_is_silence_and_says_so(body: bytes, reason: str) -> None:
    """A status message never reaches a user, and is told apart from a handler that said nothing."""
    assert read_body(JSON, body) == Silence(reason=reason, unread=True)


@pytest.mark.parametrize(
    "body, reason",
    [
        (b'{"message": "Workflow was started"}', "no reply field; fields: message"),
        (b'\xef\xbb\xbf {"message": "Workflow\nwas started"}\n', "no reply field; fields: message"),
        (b'[{"status": "ok"}, 1]', "no reply field; a JSON list with fields: status"),
        (b'{"response": {"cost": 3}}', "no reply field; fields: response"),
        (b"{}", "no reply field; fields: none"),
    ],
)
def test_foreign_json_that_is_called_plain_text_is_silence(body: bytes, reason: str) -> None:
    """Some servers call all they send plain text: a status message is none the less one."""
    silence = Silence(reason=reason, unread=True)
    assert read_body("text/plain; charset=utf-8", body) == silence


def test_json_that_is_called_plain_text_is_read_as_json() -> None:
    """What the reply is does not depend on the name that its server has for it."""
    body = b'{"data": {"said": "hello"}, "text": "no", "mute_s": 5}'
    assert read_body("text/plain", body, ("data", "said")) == read_body(
        JSON, body, ("data", "said")
    )
    assert read_body("text/plain", body) == read_body(JSON, body)
    assert read_body("text/plain", b'{"reply": 5}') == read_body(JSON, b'{"reply": 5}')


@pytest.mark.parametrize("text", ["[1] see below", "[1, 2]", "{code}", '{"a": 1} is it', "<b>hi"])
def test_plain_text_stays_plain_text(text: str) -> None:
    """Brackets and tags do not make a text anything else."""
    assert read_body("text/plain", text.encode()) == Reply(texts=(text,))


@pytest.mark.parametrize("path, body, texts", AT_PATH)
def test_a_configured_path_says_where_the_reply_is(
    path: str, body: bytes, texts: tuple[str, ...]
) -> None:
    """Whatever a service's answers look like, the reply is read where the settings say."""
    assert read_body(JSON, body, parse_answer_path(path)) == Reply(texts=texts)


@pytest.mark.parametrize(
    "body", [b'{"reply": "a"}', b'{"data": []}', b'{"data": "text"}', b"[]", b"7"]
)
def test_nothing_at_the_path_is_silence_and_says_so(body: bytes) -> None:
    """With a path, no other field is read instead."""
    answer = read_body(JSON, body, parse_answer_path("data.text"))
    assert isinstance(answer, Silence)
    assert answer.unread
    assert answer.reason.startswith("nothing at answer_path; ")


@pytest.mark.parametrize("path", ["", "a..b", ".", "a.", "a[b]", "a[0", ".".join("x" * 40)])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    """A wrong path is found at the start, not with the first answer."""
    with pytest.raises(ValueError, match="not a path of the form"):
        parse_answer_path(path)


@pytest.mark.parametrize("content_type, body, error", FAILURES)
def test_what_breaks_the_contract_is_a_failed_attempt(
    content_type: str, body: bytes, error: str
) -> None:
    """HTML, broken JSON and wrong types count as an error that quotes nothing of the body."""
    assert read_body(content_type, body) == Retry(error=error)


def test_the_reason_stays_short() -> None:
    """An object with many fields names ten of them."""
    answer = read_json({f"f{number}": 0 for number in range(40)})
    assert isinstance(answer, Silence)
    assert answer.reason.endswith("f9, and 30 more")


def test_half_characters_never_reach_redis() -> None:
    """Surrogates that a Python text may hold are joined, or replaced where they stand alone."""
    assert reply_of(["\ud83d\ude00", "a\ud800"]) == Reply(texts=("😀", "a\ufffd"))


@given(st.sampled_from(["text/plain", JSON, "", "text/html", "\x00/;"]) | st.text(), st.binary())
def test_no_body_raises(content_type: str, body: bytes) -> None:
    """Whatever an endpoint answers is one of the three, and a reply can be written as UTF-8."""
    answer = read_body(content_type, body)
    assert isinstance(answer, Reply | Silence | Retry)
    if isinstance(answer, Reply):
        assert all(text.strip() and text.encode() for text in answer.texts)


def begins_a_thought(text: str) -> bool:
    """Whether a tag is in it under which models think: ``test_thoughts`` has what becomes of it."""
    return re.search("</?(think|thought|details)", text) is not None


written = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="{"))


@given(st.lists(written.filter(lambda text: not begins_a_thought(text))))
def test_texts_come_through_json_unchanged(texts: list[str]) -> None:
    """
    Every non-empty text of ``replies`` arrives as it was written, in its place, where neither JSON
    nor a model's thought can begin in it.
    """
    kept = tuple(text for text in texts if text.strip())
    answer = read_body(JSON, json.dumps({"replies": texts}).encode())
    assert answer == (Reply(texts=kept) if kept else Silence(reason="empty text"))
