"""Everything that may be written in Redis, as strategies."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from shared.model import ClosedBy, EntryId, Kind, Media, Message, Window, WindowId
from shared.model import Entry as StreamEntry
from shared.wire import FIELD, DeadLetter, OutboxReply, decode_entry

INSTANCE = "shop"
ENTRY_ID = b"1700000000000-3"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
maybe_text = st.none() | texts
times = st.integers(0, 2**53)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

media = st.builds(
    Media,
    url=maybe_text,
    id=maybe_text,
    mime=maybe_text,
    caption=maybe_text,
    name=maybe_text,
    size_bytes=st.none() | times,
    duration_s=st.none() | times,
    data=maybe_text,
    omitted=st.booleans(),
)

messages = st.builds(
    Message,
    instance=st.just(INSTANCE),
    user=texts,
    message_id=texts,
    text=texts,
    kind=st.sampled_from(Kind),
    sent_at=st.none() | times,
    received_at=times,
    media=st.none() | media,
    quoted=maybe_text,
    name=maybe_text,
    reply_to=maybe_text,
    provider=maybe_text,
    trace=maybe_text,
    raw=st.none() | json_values,
)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    """A window of one user, with one to four messages."""
    user = draw(texts)
    members = [replace(m, user=user) for m in draw(st.lists(messages, min_size=1, max_size=4))]
    entries = tuple(
        StreamEntry(id=EntryId(draw(times), number), message=message)
        for number, message in enumerate(members)
    )
    return Window(
        id=WindowId(draw(texts)),
        instance=INSTANCE,
        user=user,
        entries=entries,
        closed_by=draw(st.sampled_from(ClosedBy)),
        opened_at=draw(times),
        closed_at=draw(times),
    )


letters = st.builds(
    DeadLetter,
    window=st.none() | windows(),
    error=texts,
    attempts=st.integers(0, 100),
    instance=st.just(INSTANCE),
    raw=maybe_text,
)

replies = st.builds(
    OutboxReply,
    window_id=texts.map(WindowId),
    instance=texts,
    user=texts,
    texts=st.lists(texts, max_size=3).map(tuple),
    provider=maybe_text,
    reply_to=maybe_text,
    message_ids=st.lists(texts, max_size=3).map(tuple),
    metadata=st.dictionaries(texts, json_values, max_size=2),
)


def decode_value(value: bytes) -> StreamEntry:
    """An entry with this value in its field."""
    return decode_entry(INSTANCE, ENTRY_ID, [FIELD, value])
