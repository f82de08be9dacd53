"""
The handler request as a Python function gets it: the JSON of DESIGN's faces, with attributes.

Every field is an item and an attribute: ``window["text"]`` is ``window.text``. One that the JSON
leaves out is None as an attribute. ``json.dumps(window)`` is what an HTTP handler is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from shared.handlers import Call, call_to_dict


class _Fields(dict[str, Any]):
    """A JSON object whose fields are attributes, too."""

    __slots__ = ()

    if not TYPE_CHECKING:  # a checker knows the annotations only, and finds a misspelt name

        def __getattr__(self, name: str) -> Any:
            if name in self:
                return self[name]
            known = type(self).__annotations__
            if name in known:
                return None
            kind = type(self).__name__
            raise AttributeError(f"{kind} has no {name!r}; it has {', '.join(known)}")


class Media(_Fields):
    """
    A file that came with a message; None where the provider did not say.

    ``url`` or ``id`` (the provider's) fetches it. ``data`` is base64, where the provider sent the
    bytes and they are below ``MEDIA_INLINE_BYTES``; above it ``omitted`` is true.
    """

    __slots__ = ()

    url: str | None
    id: str | None
    mime: str | None
    caption: str | None
    name: str | None
    size_bytes: int | None
    duration_s: int | None
    data: str | None
    omitted: bool


class Group(_Fields):
    """The group chat that a message was written in, and who of it wrote it."""

    __slots__ = ()

    id: str
    author: str


class Message(_Fields):
    """
    One thing that a user sent, whatever the provider.

    message_id   the provider's
    entry_id     where it stands in the stream, ``<ms>-<seq>``
    kind         ``text``, ``image``, ``audio``, ``video``, ``document``, ``sticker``, ``location``,
                 ``contact``, ``button``, ``list``, ``reaction`` or ``unknown``
    text         what is written, on a picture or a button, too; empty if nothing is
    sent_at      ms since the epoch by the provider's clock; None if it gave no time
    received_at  ms since the epoch, when it came here
    media        the file, or None
    quoted       the id of the message that it answers, or None
    name         what the user is called there, or None
    group        the group chat that it was written in; None in a direct one
    raw          the provider's own payload, with ``STORE_RAW``; else None
    """

    __slots__ = ()

    message_id: str
    entry_id: str
    kind: str
    text: str
    sent_at: int | None
    received_at: int
    media: Media | None
    quoted: str | None
    name: str | None
    group: Group | None
    raw: Any


class Window(_Fields):
    """
    A user's burst of messages, to be answered at once: what a handler gets.

    window_id    the same when the window comes again, after a failed attempt or a crash: do its
                 work once (also ``id``)
    instance     the account that the user wrote to
    user         who wrote; (instance, user) is the conversation
    attempt      which attempt this is, from 1
    closed_by    why it is complete: ``max_wait``, ``max_messages``, ``quiet``, ...
    opened_at    when its first message came, in ms since the epoch
    closed_at    when it was complete
    text         the messages' texts that are not empty, joined by line feeds
    messages     all of them, as the user wrote them

    It is the function's own: what it changes in it changes nothing else. In a test of your own:
    ``Window(text="hi", messages=[Message(text="hi")])``.
    """

    __slots__ = ()

    window_id: str
    instance: str
    user: str
    attempt: int
    closed_by: str
    opened_at: int
    closed_at: int
    text: str
    messages: list[Message]

    @property
    def id(self) -> str:
        """``window_id``."""
        return self.window_id


def window_of(call: Call) -> Window:
    """The request of a call, which shares nothing that can be changed with it."""
    window = Window(call_to_dict(call))
    window["messages"] = [_message_of(face) for face in window["messages"]]
    return window


def _message_of(face: dict[str, Any]) -> Message:
    message = Message(face)
    if "media" in message:
        message["media"] = Media(message["media"])
    if "group" in message:
        message["group"] = Group(message["group"])
    if "raw" in message:
        message["raw"] = orjson.loads(orjson.dumps(message["raw"]))
    return message
