"""The table of aims is whole: each has a module that measures it, and says what it is."""

import importlib

import pytest

from bench import aims

ROWS = aims.load()


def test_names_are_unique_and_every_row_says_what_it_is() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.about and row.unit and row.source
        assert row.direction in ("up", "down")


@pytest.mark.parametrize("module", sorted({row.module for row in ROWS}))
def test_each_aim_has_a_module_that_measures_it(module: str) -> None:
    assert callable(importlib.import_module(f"bench.{module}").measure)


@pytest.mark.parametrize(
    ("direction", "value", "met"),
    [("up", 9.9, False), ("up", 10, True), ("down", 10, True), ("down", 10.1, False)],
)
def test_the_bound_itself_meets_an_aim(direction: str, value: float, met: bool) -> None:
    aim = aims.Aim("a.b", "about", 10, "x", direction, "", "here")
    assert aim.met(value) is met
