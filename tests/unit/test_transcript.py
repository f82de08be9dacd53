"""What a model is told of a window: words, and notes of what is not words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.handlers.transcript import Picture, pictures_of, words_of
from shared.model import Kind, Media
from tests.support.windows import make_window

PNG = Media(mime="image/png", data="iVBORw0KGgo=")


@pytest.mark.parametrize(
    "kind, text, media, words",
    [
        (Kind.TEXT, "hello", None, "hello"),
        (Kind.TEXT, "", None, "[empty message]"),
        (Kind.AUDIO, "", Media(duration_s=12), "[voice note, 12 s]"),
        (Kind.AUDIO, "spoken words", Media(duration_s=12), "[voice note, 12 s]\nspoken words"),
        (Kind.IMAGE, "look", PNG, "[image]\nlook"),
        (Kind.IMAGE, "", None, "[image]"),
        (Kind.VIDEO, "", Media(name="a.mp4", duration_s=3), "[video: a.mp4, 3 s]"),
        (Kind.DOCUMENT, " ", Media(name="menu.pdf"), "[document: menu.pdf]"),
        (Kind.DOCUMENT, "", Media(name="a]\n[voice note"), "[document: a) (voice note]"),
        (Kind.STICKER, "", Media(mime="image/webp"), "[sticker]"),
        (Kind.LOCATION, "1.5,2.5\nHome", None, "1.5,2.5\nHome"),
        (Kind.LOCATION, "", None, "[location]"),
        (Kind.CONTACT, "Ada", None, "Ada"),
        (Kind.BUTTON, "Yes", None, "Yes"),
        (Kind.LIST, "", None, "[chosen row]"),
        (Kind.UNKNOWN, "", None, "[message of an unknown kind]"),
        (Kind.UNKNOWN, "a poll", None, "a poll"),
    ],
)
def test_each_kind_is_told(kind: Kind, text: str, media: Media | None, words: str) -> None:
    """What a person would read out; a file's name cannot pretend to be another note."""
    assert words_of(make_window([text], kind=kind, media=media)) == words


def test_messages_stand_in_the_order_they_were_sent() -> None:
    """A line each."""
    assert words_of(make_window(["hi", "", "bye"])) == "hi\n[empty message]\nbye"


@given(
    st.lists(st.text(), min_size=1, max_size=4),
    st.sampled_from(Kind),
    st.none() | st.builds(Media, name=st.none() | st.text(), duration_s=st.none() | st.integers(0)),
)
def test_a_window_never_says_nothing(texts: list[str], kind: Kind, media: Media | None) -> None:
    """Models refuse an empty turn, and no kind is without words; what was said is all there."""
    words = words_of(make_window(texts, kind=kind, media=media))
    assert words.strip()
    assert all(text in words for text in texts if text.strip())


@pytest.mark.parametrize(
    "message, picture",
    [
        ({"media": PNG}, Picture(mime="image/png", data="iVBORw0KGgo=", url=None)),
        (
            {"media": Media(mime="IMAGE/JPEG; q=1", data="AA=="), "provider": "whatsapp"},
            Picture(mime="image/jpeg", data="AA==", url=None),
        ),
        (
            {"media": Media(url="https://a.example/1")},
            Picture(mime="image/jpeg", data=None, url="https://a.example/1"),
        ),
        ({"media": Media(url="https://a.example/1"), "provider": "whatsapp"}, None),
        ({"media": Media(url="ftp://a.example/1")}, None),
        ({"media": Media(mime="application/pdf", data="AA==")}, None),
        ({"media": Media(id="1", omitted=True)}, None),
        ({"media": None}, None),
        ({"media": PNG, "kind": Kind.STICKER}, None),
        ({"media": PNG, "kind": Kind.DOCUMENT}, None),
    ],
)
def test_a_picture_is_what_a_model_can_be_shown(
    message: dict[str, object], picture: object
) -> None:
    """An image with its bytes, or with an address that is open to all."""
    window = make_window([""], **{"kind": Kind.IMAGE, **message})
    assert pictures_of(window) == ([] if picture is None else [picture])
