"""Canonical JSON against RFC 8785."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homarus.base import canonical as module
from homarus.base.canonical import canonical, canonical_row, digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@pytest.mark.parametrize(
    "number, text",
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (333333333.33333329, "333333333.3333333"),
        (-1.5, "-1.5"),
        (100, "100"),
    ],
)
def test_numbers_as_the_rfc_writes_them(number: float, text: str) -> None:
    assert canonical(number).decode() == text


def test_keys_sort_by_utf16_units() -> None:
    given_keys = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7}
    found = list(json.loads(canonical(given_keys)))
    assert found == ["\r", "1", "\x80", "\xf6", "\u20ac", "\U0001f600", "\ufb33"]


@given(JSON)
def test_reading_it_back_changes_no_byte(value: object) -> None:
    assert canonical(json.loads(canonical(value))) == canonical(value)


@given(st.dictionaries(st.text(), st.integers(0, 9), max_size=6))
def test_the_order_of_keys_changes_nothing(value: dict[str, int]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


def test_the_fast_road_escapes_every_character_as_the_slow_one() -> None:
    text = "".join(chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000)
    assert canonical_row([text]) == module._slow([text]).encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_has_no_json_form(value: float) -> None:
    with pytest.raises(ValueError, match="no JSON form"):
        canonical(value)
