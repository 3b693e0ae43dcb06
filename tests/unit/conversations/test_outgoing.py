"""What of a text leaves the house, and in which parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.conversations.deliveries import LONGEST_WAIT_MS, wait_ms
from homarus.conversations.outgoing import MAX_PARTS, Rule, parts, spoken


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Yes.", "Yes."), (" Yes. ", "Yes."), ("<internal>x</internal>", ""),
        ("a<internal>x\ny</internal>b<INTERNAL>z</INTERNAL>c", "abc"),
        ("Yes. <internal>cut off", "Yes."), ("NO_REPLY", ""), (" NO_REPLY\n", ""),
        ("NO_REPLY, I said", "NO_REPLY, I said"), ("<internal>x</internal>NO_REPLY", ""),
        ("", ""),
    ],
)  # fmt: skip
def test_what_is_spoken(text: str, left: str) -> None:
    assert spoken(text) == left


@pytest.mark.parametrize(
    ("text", "most", "breaks", "found"),
    [
        ("abc", 3, (" ",), ["abc"]),
        ("abcd", 3, (" ",), ["abc", "d"]),
        ("aa bb cc", 5, (" ",), ["aa bb", "cc"]),
        ("aaaa b", 4, (" ",), ["aaaa", "b"]),
        ("a bbbbbbb", 6, (" ",), ["a bbbb", "bbb"]),  # a blank in the first half does not count
        ("aaa\nbb cc", 7, ("\n", " "), ["aaa\nbb", "cc"]),
        ("aaaa\nb cc", 7, ("\n", " "), ["aaaa", "b cc"]),
        ("  ", 3, (" ",), []),
    ],
)
def test_parts(text: str, most: int, breaks: tuple[str, ...], found: list[str]) -> None:
    assert parts(text, Rule(most, breaks)) == found


@given(st.text(max_size=300), st.integers(min_value=2, max_value=40))
def test_nothing_but_blanks_is_lost(text: str, most: int) -> None:
    found = parts(text, Rule(most))
    assert all(0 < len(part) <= most for part in found) and len(found) <= MAX_PARTS
    if len(found) < MAX_PARTS:
        assert "".join("".join(found).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("attempts", "asked_ms", "expected"),
    [
        (1, 0, 1_000), (2, 0, 4_000), (4, 0, 64_000), (7, 0, LONGEST_WAIT_MS),
        (8, 0, LONGEST_WAIT_MS), (1, 30_000, 30_000), (3, 5, 16_000),
        (1, 10 * LONGEST_WAIT_MS, LONGEST_WAIT_MS),
    ],
)  # fmt: skip
def test_how_long_until_the_next_attempt(attempts: int, asked_ms: int, expected: int) -> None:
    assert wait_ms(attempts, asked_ms) == expected
