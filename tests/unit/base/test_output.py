"""A stream within a bound: every byte up to the limit, then head and tail around a count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base.output import BoundedOutput


def collected(limit: int, chunks: list[bytes]) -> BoundedOutput:
    output = BoundedOutput(limit)
    for chunk in chunks:
        output.add(chunk)
    return output


@pytest.mark.parametrize(
    ("limit", "chunks", "expected"),
    [
        (8, [], b""),
        (8, [b"abcd"], b"abcd"),
        (8, [b"abcdefgh"], b"abcdefgh"),
        (8, [b"abc", b"defgh"], b"abcdefgh"),
        (8, [b"abcdefghi"], b"abcd\n[1 bytes left out]\nfghi"),
        (7, [b"abcdefgh"], b"abcd\n[1 bytes left out]\nfgh"),
        (0, [b"abc"], b"\n[3 bytes left out]\n"),
        (2, [b"x" * 10, b"y" * 10], b"x\n[18 bytes left out]\ny"),
    ],
)
def test_head_and_tail(limit: int, chunks: list[bytes], expected: bytes) -> None:
    assert collected(limit, chunks).value() == expected


@given(st.integers(0, 40), st.lists(st.binary(max_size=30), max_size=12))
def test_chunking_changes_nothing_and_the_bound_holds(limit: int, chunks: list[bytes]) -> None:
    whole = b"".join(chunks)
    output = collected(limit, chunks)
    assert output.total_bytes == len(whole)
    assert output.value() == collected(limit, [whole]).value()
    if len(whole) <= limit:
        assert output.value() == whole
    else:
        head, tail = (limit + 1) // 2, limit // 2
        assert output.left_out_bytes == len(whole) - limit
        assert output.value().startswith(whole[:head])
        assert output.value().endswith(whole[len(whole) - tail :])
