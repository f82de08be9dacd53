"""The handler that nobody has to write."""

from __future__ import annotations

from msgspec.structs import replace

from shared.handlers import Call
from shared.handlers.echo import EchoHandler
from shared.model import Entry, EntryId, Message, Reply
from tests.support.windows import make_window


def entry(seq: int, text: str) -> Entry:
    """An entry of one user."""
    message = Message(instance="shop", user="u", message_id=f"M{seq}", text=text, received_at=1)
    return Entry(id=EntryId(1, seq), message=message)


async def test_texts_are_joined() -> None:
    """One reply with the texts that there are, a line each."""
    window = replace(make_window(), entries=(entry(1, "hi"), entry(2, ""), entry(3, "open?")))
    assert await EchoHandler().answer(Call(window=window, attempt=1)) == Reply(texts=("hi\nopen?",))


async def test_messages_without_text_are_counted() -> None:
    """Also those of a replayed window, which one entry carries."""
    window = replace(make_window(), entries=(entry(1, ""), entry(2, ""), entry(3, "")))
    carrier = replace(entry(9, ""), replayed=window)
    replayed = replace(window, entries=(carrier,))
    for each in (window, replayed):
        answer = await EchoHandler().answer(Call(window=each, attempt=1))
        assert answer == Reply(texts=("3 messages",))
