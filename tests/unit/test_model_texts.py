"""Texts that models write become what a person is to read, by rules that a table tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers import prose
from shared.handlers.prose import RUNS_MAX
from shared.handlers.replies import read_body, read_text
from shared.model import Reply, Silence

ARABIC = "أهلاً بك! لإتمام الحجز نحتاج إلى اسمك الكامل\nورقم هاتفك، من فضلك."
NO_DATA = '"needsDataCollection": false, "requestedFields": []'

ONE_TEXT = {
    # a JSON object alone
    "alone": ('{"response": "Hi"}', "Hi"),
    "alone, spread over lines": ('\n{\n  "response": "Hi",\n  "sure": true\n}\n', "Hi"),
    "each field: reply": ('{"reply": "Hi"}', "Hi"),
    "each field: answer": ('{"answer": "Hi"}', "Hi"),
    "each field: output": ('{"output": "Hi"}', "Hi"),
    "each field: text": ('{"text": "Hi"}', "Hi"),
    "the first field that has a text": ('{"text": "no", "reply": "Hi", "answer": ""}', "Hi"),
    "an empty field is passed over": ('{"reply": " ", "answer": null, "text": "Hi"}', "Hi"),
    "escapes": (r'{"response": "\u00a1Hola!\n\"Ana\" \\ \ud83d\ude00"}', '¡Hola!\n"Ana" \\ 😀'),
    "half a surrogate pair": (r'{"response": "a\ud83d"}', "a\ufffd"),
    "a line break as models write it": ('{"response": "one\ntwo"}', "one\ntwo"),
    "braces in strings": ('{"response": "use {name} or }", "x": "{"}', "use {name} or }"),
    "nested braces": ('{"x": {"y": [{"z": {}}, {}]}, "response": "Hi"}', "Hi"),
    "an object in the field": ('{"output": {"response": "Hi", "sure": true}}', "Hi"),
    "JSON in the field's text": (r'{"output": "{\"response\": \"Hi\"}"}', "Hi"),
    "the same field twice": ('{"response": "no", "response": "Hi"}', "Hi"),
    # in a code fence
    "fenced": ('```json\n{"response": "Hi"}\n```', "Hi"),
    "fenced without a language": ('```\n{"response": "Hi"}\n```\n', "Hi"),
    "fenced with tildes": ('~~~json\n{"response": "Hi"}\n~~~', "Hi"),
    "fenced on one line": ('```json {"response": "Hi"} ```', "Hi"),
    "fenced with a single mark": ('`{"response": "Hi"}`', "Hi"),
    "a fence that is not closed": ('```json\n{"response": "Hi"}', "Hi"),
    "a list in a fence": ('```json\n[\n  {"response": "Hi"}\n]\n```', "Hi"),
    # prose that says the same
    "before, the same": ('Hi there!\n\n{"response": "Hi there!"}', "Hi there!"),
    "after, the same": ('{"response": "Hi there!"}\nHi there!', "Hi there!"),
    "before and after, the same": ('Hi! {"response": "Hi!"} Hi!', "Hi!"),
    "the same but for blanks": ('Hi\n  there\n{"response": "Hi there"}', "Hi there"),
    "the same but for markup": ('**Hi**, _there_:\n{"response": "Hi there."}', "Hi there."),
    "the same before a fence": ('Hi\n```json\n{"response": "Hi"}\n```', "Hi"),
    "a part of the same": ('We open at 9.\n{"response": "Hi! We open at 9."}', "Hi! We open at 9."),
    "only punctuation": ('--- \n{"response": "Hi"},\n---', "Hi"),
    "the original": (f'{ARABIC}\n{{"response": {json.dumps(ARABIC)}, {NO_DATA}}}', ARABIC),
    "the original as it is": (f'{ARABIC} {{"response": "{ARABIC}", {NO_DATA}}}', ARABIC),
    # prose that says anything else
    "before, else": ('Let me see. {"response": "Hi"}', "Let me see. Hi"),
    "after, else": ('{"response": "Hi"}\n\nAnything else?', "Hi\n\nAnything else?"),
    "around a fence": ('See:\n```json\n{"response": "Hi"}\n```\nBye', "See:\nHi\nBye"),
    "no blank between": ('Yes{"response": "Hi"}no', "Yes\nHi\nno"),
    "the answer in longer prose": ('Sure! Hi there.\n{"response": "Hi there"}', "Sure! Hi there."),
    "a word that only looks the same": ('tokens {"response": "ok"}', "tokens ok"),
    "vowel signs tell words apart": ('की {"response": "का"}', "की का"),
    "emoji are said": ('👍 {"response": "Done"}', "👍 Done"),
    "prose beside an empty field": ('Hi {"response": ""}', "Hi"),
    # several objects
    "several: the last": ('{"response": "no"}\n{"response": "Hi"}', "Hi"),
    "several, each fenced": ('```\n{"text": "no"}\n```\n```\n{"text": "Hi"}\n```', "Hi"),
    "several in one fence": ('```\n{"text": "no"}\n{"text": "Hi"}\n```', "Hi"),
    "the last that is complete": ('{"response": "Hi"} {"response": "no', 'Hi {"response": "no'),
    "the last with a reply field": ('{"response": "Hi"} {"cost": 3}', 'Hi {"cost": 3}'),
    "prose between them": ('{"text": "no"} I mean: {"text": "Hi"}', "I mean: Hi"),
    "after a brace in prose": ('Dear {name}, {"response": "Hi"}', "Dear {name}, Hi"),
    "after a quote in prose": ('5" {x} {"response": "Hi"}', '5" {x} Hi'),
    "inside quotes": ('He said "{"response": "Hi"}"', 'He said "\nHi'),
    "in the string of a broken one": ('{"x": "{"response": "Hi"}', '{"x": "\nHi'),
}

AS_THEY_ARE = [
    "Hi",
    "  Hi \n",
    "Dear {name}, your code is {code}.",
    "{}",
    "{ }",
    "{{{ }}} } {",
    '{"cost": 3}',
    'See {"cost": 3, "items": [{"text": "nested, so it is no answer"}]}',
    '{"response": "Hi"',
    '{"response": "Hi}',
    '{"response": Hi}',
    "{'response': 'Hi'}",
    '{"response": "Hi",}',
    '{response: "Hi"}',
    '{"response" "Hi"}',
    r'{"response": "\x"}',
    '{"response": 007}',
    '{"response": NaN}',
    '{"response": 5}',
    '{"response": {"cost": 3}}',
    '{"replies": "Hi"}',
    '{"Response": "Hi"}',
    '["Hi", "there"]',
    '[{"cost": 3}]',
    '"Hi"',
    "null",
    "```python\nprint({1: 2})\n```",
    "function f() { return {a: 1}; }",
    r"\frac{1}{2}",
]

SEVERAL_TEXTS = [
    ('{"replies": ["a", "b"]}', ("a", "b")),
    ('{"replies": ["a", "", "b"]}', ("a", "b")),
    ('[{"output": "a"}, {"output": "b"}]', ("a", "b")),
    ('```json\n[{"output": "a"}, {"output": "b"}]\n```', ("a", "b")),
    ('{"output": ["a", {"text": "b"}]}', ("a", "b")),
    ('Two things:\n{"replies": ["a", "b"]}\nBye', ("Two things:", "a", "b", "Bye")),
    ('a\n\nb\n{"replies": ["a", "b"]}', ("a", "b")),
]

SILENT = ["", " \n", '{"response": ""}', '{"response": null}', '```\n{"text": " "}\n```']

METADATA: list[tuple[str, dict[str, Any]]] = [
    (f'Hi {{"response": "Hi", {NO_DATA}}}', {"needsDataCollection": False, "requestedFields": []}),
    ('{"response": "Hi", "x": {"y": [1, 2.5, null, "é"]}}', {"x": {"y": [1, 2.5, None, "é"]}}),
    ('{"text": "no", "a": 1} {"text": "Hi", "b": 2}', {"b": 2}),
    ('{"output": {"response": "Hi", "a": 1, "b": 2}, "b": 3}', {"a": 1, "b": 2}),
    ('[{"text": "x", "a": 1, "b": 1}, {"text": "y", "b": 2}]', {"a": 1, "b": 2}),
    ('{"reply": "Hi", "text": "there"}', {"text": "there"}),
    (r'{"text": "Hi", "half": "\ud83d"}', {"half": "\ufffd"}),
    ("Hi {name}", {}),
]


def texts_of(text: str) -> tuple[str, ...]:
    """The reply's texts, which are the same whether a text is a body or a field."""
    answer = read_text(text)
    assert isinstance(answer, Reply)
    assert read_body("text/plain; charset=utf-8", text.encode()) == answer
    return answer.texts


@pytest.mark.parametrize("text, reply", ONE_TEXT.values(), ids=ONE_TEXT)
def test_a_persons_text_comes_out(text: str, reply: str) -> None:
    """What a model wrote as JSON, with JSON or around it reaches the user as one plain text."""
    assert texts_of(text) == (reply,)


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_everything_else_stays_as_it_is(text: str) -> None:
    """Plain text with braces, foreign JSON and broken JSON lose not a character."""
    assert read_text(text) == Reply(texts=(text,))


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_a_body_of_plain_text_that_is_foreign_json_as_a_whole_is_no_reply(text: str) -> None:
    """What a model wrote stays; a body may be its server's own, and sends nothing then."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    is_foreign = isinstance(value, dict) or (isinstance(value, list) and "{" in text)
    answer = read_body("text/plain; charset=utf-8", text.encode())
    assert isinstance(answer, Reply) is not is_foreign
    assert isinstance(answer, Reply) or "{" not in str(answer)


@pytest.mark.parametrize("text, texts", SEVERAL_TEXTS)
def test_several_texts_stay_apart(text: str, texts: tuple[str, ...]) -> None:
    """An object with several texts gives several messages, and prose around it is another."""
    assert texts_of(text) == texts


@pytest.mark.parametrize("text", SILENT)
def test_an_empty_text_is_silence(text: str) -> None:
    """A model that has nothing to say sends nothing."""
    answer = read_text(text)
    assert isinstance(answer, Silence)
    assert not answer.unread


@pytest.mark.parametrize("text, metadata", METADATA)
def test_what_else_the_object_holds_is_kept(text: str, metadata: dict[str, Any]) -> None:
    """Fields beside the reply are the answer's metadata: the chosen object's, and no other's."""
    answer = read_text(text)
    assert isinstance(answer, Reply)
    assert answer.metadata == metadata


def test_much_prose_is_not_compared_run_by_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand objects with prose between cost a few comparisons with a long answer."""
    compared: list[str] = []
    words_of = prose._words

    def counted(text: str) -> str:
        compared.append(text)
        return words_of(text)

    monkeypatch.setattr(prose, "_words", counted)
    answer = "word " * 100
    text = 'x {"text": "no"} ' * 10_000 + f'y {{"text": "{answer}"}}'
    (reply,) = texts_of(text)
    assert reply.endswith("y " + answer.strip())
    assert reply.count("x") == 10_000
    assert len(compared) <= 2 * (RUNS_MAX + 3)


PIECES = st.sampled_from(
    [
        *('{"response": "a"}', '{"text": "', '{"a":', '"reply"', "x y", "0", "-1.5e3", "null"),
        *('"', "{", "}", "[", "]", ",", ":", "\\", "```", "`", "\n", "  ", "é", "\u200f", "\ud83d"),
    ]
)


@given(st.lists(PIECES | st.text(max_size=3)).map("".join))
def test_no_text_raises(text: str) -> None:
    """Whatever a model writes is a reply or silence, and every text of it can be sent."""
    answer = read_text(text)
    if isinstance(answer, Reply):
        assert all(one.strip() and one.encode() for one in answer.texts)
    else:
        assert not text.strip() or "{" in text


PROSE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters='{}"`~'), max_size=40)


@given(PROSE, PROSE, PROSE)
def test_no_word_is_lost_and_no_run_is_said_twice(before: str, said: str, after: str) -> None:
    """All words of prose and field are in the reply, and a repeated field is there once."""
    answer = read_text(f"{before} {json.dumps({'response': said})} {after}")
    whole = "\n".join(answer.texts) if isinstance(answer, Reply) else ""
    for run in (before, said, after):
        assert set("".join(filter(str.isalnum, run.casefold()))) <= set(whole.casefold())
    again = read_text(f"{said} {json.dumps({'response': said})}")
    assert again == read_text(json.dumps({"response": said}))


@given(st.text())
def test_a_text_without_a_brace_is_what_it_was(text: str) -> None:
    """The rules are for JSON alone."""
    plain = text.replace("{", "(").encode("utf-8", "replace").decode()
    answer = read_text(plain)
    assert answer == (Reply(texts=(plain,)) if plain.strip() else Silence(reason="empty text"))
