"""What a model thought reaches no user, whichever way its answer came."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers.replies import read_body, read_text
from shared.handlers.thoughts import spoken_part, without_thoughts
from shared.model import Reply, Retry

BOX = (
    '<details style="color:gray;" open> <summary> Thinking... </summary>\n'
    "secret\n</details>We open at 9."
)

CASES = {
    "before the answer": ("<think>secret</think>\n\nHello", "Hello"),
    "several, one after the other": ("\n<think>secret</think>\n<think>b</think> Hello", "Hello"),
    "another tag": ("<thought>secret</thought>Hello", "Hello"),
    "between the steps": (
        "Let me look.<think>\nsecret\n</think>\n\nWe open at 9.",
        "Let me look.\n\nWe open at 9.",
    ),
    "on a line of its own": ("Yes.\n<think>secret</think>\nAt 9.", "Yes.\n\nAt 9."),
    "folded": (BOX, "We open at 9."),
    "JSON in them": ('<think>{"reply": "secret"}</think>{"reply": "Hello"}', "Hello"),
    "in a field": (json.dumps({"reply": "<think>secret</think>Hello"}), "Hello"),
}

SPOKEN_OF = [
    "write <think> and </think> around it",
    "`<think>` begins it, `</think>` ends it",
    "a <think",
    "<details><summary>Hours</summary>9 to 5</details>",
]


@pytest.mark.parametrize("name", CASES)
def test_thoughts_are_not_said(name: str) -> None:
    """Wherever an answer holds them: alone, between its steps, in JSON or beside it."""
    text, said = CASES[name]
    assert read_text(text) == Reply(texts=(said,))
    assert read_text(spoken_part(text) or "") == Reply(texts=(said,))
    body = json.dumps([{"output": text}]).encode()
    assert read_body("application/json", body) == Reply(texts=(said,))


@pytest.mark.parametrize("text", SPOKEN_OF)
def test_a_text_about_tags_stays(text: str) -> None:
    """Nothing is lost that only looks like thoughts."""
    assert read_text(text) == Reply(texts=(text,))
    assert spoken_part(text) == text


@pytest.mark.parametrize("text", ["<think>secret", "<think>a</think><think>secret", "<thought>a"])
def test_thoughts_without_an_end_are_no_answer(text: str) -> None:
    """The model was cut off before it spoke."""
    assert spoken_part(text) is None
    assert isinstance(read_text(text), Retry)
    for answer in ({"reply": text}, {"replies": ["Hi", text], "mute_s": 60}):
        found = read_body("application/json", json.dumps(answer).encode())
        assert isinstance(found, Retry)
        assert "secret" not in found.error


@given(st.lists(st.sampled_from(["<think>", "</think>", "\n", "a", " ", "{", "</details>"])))
def test_what_is_said_was_in_the_text(parts: list[str]) -> None:
    """Only thoughts go, and no order of tags makes it fail."""
    text = "".join(parts)
    left = iter(text)
    assert all(char in left for char in without_thoughts(text))
