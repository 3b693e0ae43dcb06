"""Ids: UUIDv7 at every edge; rows of the big tables carry their address in theirs."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.ids import (
    Kind,
    event_id,
    from_blob,
    is_uuid,
    new_id,
    receipt_id,
    row_address,
    to_blob,
)

MS = st.integers(0, 2**48 - 1)
COMPANY = st.integers(0, 2**32 - 1)
SEQ = st.integers(0, 2**41 - 1)


@given(MS)
def test_a_new_id_is_a_uuid7_of_its_millisecond(at_ms: int) -> None:
    made = UUID(new_id(at_ms))
    assert (made.version, made.int >> 80) == (7, at_ms)
    assert made.variant == "specified in RFC 4122"


@given(MS, COMPANY, SEQ)
def test_an_address_survives_its_id(at_ms: int, company: int, seq: int) -> None:
    event, receipt = event_id(at_ms, company, seq), receipt_id(at_ms, company, seq)
    assert row_address(event) == (Kind.EVENT, company, seq)
    assert row_address(receipt) == (Kind.RECEIPT, company, seq)
    assert event != receipt
    assert {UUID(event).version, UUID(receipt).version} == {7}


def test_an_id_of_another_version_has_no_address() -> None:
    with pytest.raises(ValueError, match="not a UUIDv7"):
        row_address("00000000-0000-4000-8000-000000000000")


@given(st.uuids())
def test_blobs_and_texts_are_the_same_id(value: UUID) -> None:
    assert from_blob(to_blob(str(value))) == str(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "T-192",
        "lark:rec123",
        "019A0000-0000-7000-8000-000000000000",
        "019a0000-0000-7000-8000-00000000000",
        "019a0000-0000-7000-8000-000000000000\n",
        "019a00000000700080000000000000000000",
        None,
        7,
    ],
)
def test_what_is_no_id(text: object) -> None:
    assert not is_uuid(text)
