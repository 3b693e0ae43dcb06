"""Pure rules of budgets and prices: states, marks, shortages, periods, words."""

import pytest

from homarus.kernel import budgets, prices, quota
from homarus.kernel.budgets import Budget, crossings, keys, shortage, state, words

MAX = prices.MAX_AMOUNT


def budget(limit: int, spent: int, reserved: int = 0, unit: str = "money") -> Budget:
    return Budget("b", "agent", "a", unit, "day", limit, "x", 0, 0, "2026-01-02", spent, reserved)


@pytest.mark.parametrize(
    "limit, spent, expected",
    [
        (100, 0, "active"), (100, 79, "active"), (100, 80, "warning"), (100, 99, "warning"),
        (100, 100, "stopped"), (100, 101, "stopped"), (0, 0, "stopped"), (3, 2, "active"),
        (3, 3, "stopped"), (1, 0, "active"),
    ],
)  # fmt: skip
def test_states(limit: int, spent: int, expected: str) -> None:
    assert state(limit, spent) == expected


@pytest.mark.parametrize(
    "limit, before, more, expected",
    [
        (100, 0, 79, []), (100, 0, 80, ["warning"]), (100, 80, 1, []),
        (100, 79, 21, ["warning", "stopped"]), (100, 99, 1, ["stopped"]),
        (100, 100, 1, ["overrun"]), (100, 101, 1, []), (100, 0, 0, []), (100, 100, 0, []),
        (100, 0, 101, ["warning", "stopped", "overrun"]), (3, 2, 1, ["warning", "stopped"]),
        (0, 0, 1, ["overrun"]), (100, 90, -20, []),
    ],
)  # fmt: skip
def test_marks_are_reached_once(limit: int, before: int, more: int, expected: list[str]) -> None:
    assert [c.what for c in crossings(budget(limit, before), more)] == expected


@pytest.mark.parametrize(
    "row, money, tokens, why",
    [
        (budget(100, 40, 50), 10, 0, None),
        (budget(100, 40, 50), 11, 0, "exhausted"),
        (budget(100, 100), 0, 0, None),
        (budget(100, 100), 1, 0, "exhausted"),
        (budget(100, 101), 0, 0, "debt"),
        (budget(100, 0), None, 0, "unknown_price"),
        (budget(100, 101), None, 0, "debt"),
        (budget(100, 0, unit="tokens"), None, 100, None),
        (budget(100, 0, unit="tokens"), None, 101, "exhausted"),
        (budget(100, 101, unit="tokens"), 0, 0, "debt"),
        (budget(50, 40, 60), 0, 0, None),
    ],
)
def test_shortages(row: Budget, money: int | None, tokens: int, why: str | None) -> None:
    found = shortage([row], money, tokens, 1)
    assert (None if found is None else found.why) == why


def test_a_debt_anywhere_comes_first() -> None:
    found = shortage([budget(10, 0), budget(5, 6)], 11, 0, 1)
    assert found is not None
    assert (found.why, found.budget.limit) == ("debt", 5)


@pytest.mark.parametrize(
    "at_ms, day, month",
    [
        (0, "1970-01-01", "1970-01"),
        (1_767_225_599_999, "2025-12-31", "2025-12"),
        (1_767_225_600_000, "2026-01-01", "2026-01"),
        (1_772_323_199_999, "2026-02-28", "2026-02"),
    ],
)
def test_keys_are_of_utc(at_ms: int, day: str, month: str) -> None:
    assert keys(at_ms) == {"day": day, "month": month, "total": "total"}


@pytest.mark.parametrize(
    "inputs, outputs, calls, money",
    [(0, 0, 0, 0), (1, 0, 0, 1), (1_000_000, 0, 0, 3), (333_334, 0, 0, 2), (0, 1_000_000, 2, 29),
     (MAX, MAX, MAX, MAX)],
)  # fmt: skip
def test_prices_round_up(inputs: int, outputs: int, calls: int, money: int) -> None:
    assert prices.Price("m", 3, 15, 7).of(inputs, outputs, calls) == money


@pytest.mark.parametrize(
    "unit, amount, text",
    [("money", 0, "0.00"), ("money", 1, "0.000001"), ("money", 12_500_000, "12.50"),
     ("money", -1, "-0.000001"), ("tokens", 5, "5 tokens")],
)  # fmt: skip
def test_words(unit: str, amount: int, text: str) -> None:
    assert words(unit, amount) == text


@pytest.mark.parametrize(
    "setting, trust, limit",
    [(100, 79, 100), (100, 80, 150), (100, 100, 150), (10, 80, 15), (11, 80, 16), (666, 80, 999),
     (667, 80, 1_000), (1_000, 80, 1_000), (1_000, 0, 1_000)],
)  # fmt: skip
def test_trust_gives_half_as_many_more_calls_within_the_range(
    setting: int, trust: int, limit: int
) -> None:
    assert quota.limit_of(setting, trust) == limit


def test_units_of_amounts_are_the_units() -> None:
    assert [budgets.Amounts(1, 2, 3).of(unit) for unit in budgets.UNITS] == [1, 2, 3]
