"""What is read back from a spool file, whatever has happened to its bytes."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.spool.payload import (
    Became,
    Outcome,
    Spooled,
    decode_record,
    encode_outcome,
    encode_spooled,
    is_outcome,
)
from ingest.spool.record import HEADER_BYTES, MAGIC, pack_record, scan_records
from shared.errors import EntryUndecodable
from shared.model import EntryId, Message, WindowId
from shared.wire import OutboxReply

messages = st.builds(
    Message,
    instance=st.text(min_size=1, max_size=8),
    user=st.text(min_size=1, max_size=8),
    message_id=st.text(min_size=1, max_size=8),
    text=st.text(max_size=40),
    received_at=st.integers(0, 2**45),
)
payloads = st.lists(
    st.builds(
        lambda message, at: encode_spooled(Spooled(message=message, at=at)),
        messages,
        st.integers(0, 2**45),
    ),
    min_size=1,
    max_size=6,
)


@given(messages, st.integers(0, 2**45))
def test_a_message_comes_back_as_it_was(message: Message, at: int) -> None:
    """What is replayed is what was accepted."""
    spooled = Spooled(message=message, at=at)
    assert decode_record(encode_spooled(spooled)) == spooled
    assert not is_outcome(encode_spooled(spooled))


@given(messages, st.sampled_from(Became), st.booleans())
def test_an_outcome_comes_back_as_it_was(message: Message, became: Became, replies: bool) -> None:
    """What is remembered is what became of it."""
    reply = OutboxReply(
        window_id=WindowId("w_1"),
        instance=message.instance,
        user=message.user,
        texts=(message.text,),
        provider=None,
        reply_to=message.user,
        message_ids=(message.message_id,),
    )
    outcome = Outcome(
        key=(message.instance, message.user, message.message_id),
        entry_id=EntryId(message.received_at, 9),
        became=became,
        reply=reply if replies else None,
        sent_ids=(message.message_id,) if replies else (),
    )
    assert decode_record(encode_outcome(outcome)) == outcome
    assert is_outcome(encode_outcome(outcome))


@pytest.mark.parametrize(
    "payload",
    [b"", b"{}", b"[]\n{}", b'{"v":2,"what":"message","instance":"a","at":1}\n{}', b"\xff"],
)
def test_what_no_version_explains_is_said_to_be_so(payload: bytes) -> None:
    """It is kept for a person, and never taken for something else."""
    with pytest.raises(EntryUndecodable):
        decode_record(payload)


@given(payloads)
def test_nobody_can_write_a_record_into_a_message(given_payloads: list[bytes]) -> None:
    """No byte of the magic occurs in a payload, whatever people write."""
    for payload in given_payloads:
        assert not set(MAGIC) & set(payload)


@given(payloads, st.data())
def test_a_cut_costs_what_it_hits(given_payloads: list[bytes], data: st.DataObject) -> None:
    """Of a file that was cut off anywhere, every record before the cut is read."""
    records = [pack_record(payload) for payload in given_payloads]
    ends = list(accumulate(len(record) for record in records))
    cut = data.draw(st.integers(0, ends[-1]))

    scan = scan_records(b"".join(records)[:cut])

    whole = sum(end <= cut for end in ends)
    assert [record.payload for record in scan.records] == given_payloads[:whole]
    assert [record.end for record in scan.records] == ends[:whole]
    assert scan.damaged == (cut not in (0, *ends))


@given(payloads, st.data())
def test_flipped_bits_cost_the_records_that_they_hit(
    given_payloads: list[bytes], data: st.DataObject
) -> None:
    """Every record without a flipped bit is read, no other is, and the damage is counted."""
    records = [pack_record(payload) for payload in given_payloads]
    ends = list(accumulate(len(record) for record in records))
    bits = data.draw(st.sets(st.integers(0, ends[-1] * 8 - 1), min_size=1, max_size=5))
    damaged = bytearray(b"".join(records))
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
    hit = {next(n for n, end in enumerate(ends) if bit // 8 < end) for bit in bits}

    scan = scan_records(bytes(damaged))

    found = [record.payload for record in scan.records]
    assert found == [payload for n, payload in enumerate(given_payloads) if n not in hit]
    runs = sum(1 for n in hit if n - 1 not in hit)
    assert scan.damaged == runs


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    """A file that was never ours starts nothing and stops nothing."""
    assert scan_records(data).records == ()


@given(st.integers(0, 2**32 - 1), st.binary(max_size=40))
def test_a_length_that_leads_beyond_the_file_is_damage(length: int, rest: bytes) -> None:
    """A damaged length does not make a reader wait for gigabytes, nor skip what follows."""
    good = pack_record(b"{}\n{}")
    broken = MAGIC + length.to_bytes(4, "big") + b"\0\0\0\0" + rest.replace(MAGIC, b"")
    scan = scan_records(broken + good)
    assert [record.payload for record in scan.records] == [b"{}\n{}"]
    assert scan.damaged == 1
    assert HEADER_BYTES == 12
