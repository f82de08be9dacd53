"""A window's id, of whoever and whatever opened it."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model import EntryId, window_id


@given(user=st.text(st.characters(exclude_categories=["Cs"])), seq=st.integers(0, 2**64 - 1))
def test_window_id_is_base32_of_a_hash(user: str, seq: int) -> None:
    """As the standard library writes it, for ids that begin and end in any bits."""
    first = EntryId(1_700_000_000_000, seq)
    source = f"shop\0{user}\0{first}".encode()
    digest = hashlib.blake2b(source, digest_size=16, person=b"inturn-window").digest()
    written = base64.b32encode(digest).decode().lower().rstrip("=")
    assert window_id("shop", user, first) == f"w_{written}"


@pytest.mark.parametrize("first", ["1-0", "1-1", "2-0"])
def test_window_id_depends_on_who_and_on_the_first_entry(first: str) -> None:
    """Opaque, fit for logs and URLs, and never the same for two windows."""
    ours = window_id("shop", "1", EntryId.parse(first))
    assert len(ours) == 28
    assert ours.startswith("w_")
    assert ours[2:].isalnum()
    others = {
        window_id("shop", "2", EntryId.parse(first)),
        window_id("shop2", "1", EntryId.parse(first)),
        window_id("shop", "1", EntryId.parse(f"{first}1")),
    }
    assert len(others | {ours}) == 4
    assert ours == window_id("shop", "1", EntryId.parse(first))
