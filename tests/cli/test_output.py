"""How values are shown to people."""

from typing import Any

import pytest

from homarus.cli.output import cell, clean, plain_table


@pytest.mark.parametrize(
    "value, shown",
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (0, "0"),
        (True, "yes"),
        (False, "no"),
        (["a", None, 3], "a, -, 3"),
        ({"a": [1]}, '{"a": [1]}'),
        ("two\nlines", "two lines"),
        ("2026-01-02T03:04:05.678Z", "2026-01-02 03:04:05Z"),
        ("2026-01-02", "2026-01-02"),
        ("\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_cell(value: Any, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize(
    "text, shown",
    [
        ("plain, é, 漢字", "plain, é, 漢字"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("bell\x07", "bell\\x07"),
        ("\u202eright to left", "\\u202eright to left"),
        ("\ud800", "\\ud800"),
        ("\x9b", "\\x9b"),
    ],
)
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_plain_table() -> None:
    assert plain_table(["a", "long"], [["wide", "x"], ["y", ""]]) == [
        "a     long",
        "wide  x",
        "y",
    ]
