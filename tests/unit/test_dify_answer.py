"""Dify's streamed answers, wherever their bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers.dify_answer import DifyAnswer, NoAnswer, StreamedAnswer
from tests.support.models import dify_stream

WHOLE = dify_stream(
    [
        {"event": "message", "answer": "Grüß ", "conversation_id": "c-1"},
        {"event": "message", "answer": 7},
        {"event": "agent_message", "answer": "dich"},
        {"event": "message_end"},
    ]
).body


def read(*chunks: bytes) -> DifyAnswer:
    """The answer that came in these pieces."""
    streamed = StreamedAnswer()
    for chunk in chunks:
        streamed.feed(chunk)
    return streamed.end()


@given(st.lists(st.integers(0, len(WHOLE)), max_size=8).map(sorted))
def test_it_does_not_matter_where_a_stream_is_cut(cuts: list[int]) -> None:
    """Also within a letter, a line's end or an event."""
    edges = [0, *cuts, len(WHOLE)]
    chunks = [WHOLE[begin:end] for begin, end in pairwise(edges)]
    assert read(*chunks) == DifyAnswer(text="Grüß dich", conversation_id="c-1")


def test_a_moderated_answer_replaces_what_came_before() -> None:
    """What a moderation takes back is not sent."""
    pieces = [
        {"event": "message", "answer": "rude"},
        {"event": "message_replace", "answer": "polite"},
        {"event": "message_end"},
    ]
    assert read(dify_stream(pieces).body).text == "polite"


def test_what_is_no_event_is_passed_over() -> None:
    """Comments, names, broken JSON and bare values are not Dify's texts."""
    noise = b': hi\nevent: ping\ndata: {"event":\ndata: 7\ndata:\nid: 3\n\n'
    assert read(noise + WHOLE).text == "Grüß dich"


@pytest.mark.parametrize(
    "line", [b"data: " + b"x" * 2_000_000, (b"data: 7" + b"7" * 990 + b"\n") * 17_000]
)
def test_a_stream_has_an_end(line: bytes) -> None:
    """Neither one endless line nor endless lines fill the memory."""
    with pytest.raises(NoAnswer, match="too large"):
        read(line)


def test_an_answer_in_pieces_has_an_end() -> None:
    """The text is bounded as that of a blocking answer is."""
    piece = dify_stream([{"event": "message", "answer": "x" * 600_000}]).body
    with pytest.raises(NoAnswer, match="too large"):
        read(piece, piece)


def test_half_of_an_emoji_loses_no_piece() -> None:
    """An event that holds one is no broken JSON: its letters are said."""
    piece = b'data: {"event": "message", "answer": "Hi \\ud83d"}\n\n'
    assert read(piece, WHOLE).text == "Hi \ufffdGrüß dich"
