"""`homarus budget` and the cost line of `homarus status`, against a real daemon."""

from itertools import count
from typing import Any

import click
import pytest

from homarus.cli.budget import micros, units
from tests.support.commands import Running

NAMES = count(1)


@pytest.fixture
def at(running: Running) -> Any:
    """`at("budget", "list")` -> the document, in a fresh company with an agent and a project."""
    slug = f"purse-{next(NAMES)}"
    running.json("company", "create", slug)

    def run(*arguments: str) -> Any:
        return running.json("--company", slug, *arguments)

    run.slug = slug  # type: ignore[attr-defined]
    run("agent", "create", "pm")
    run("project", "create", "Know")
    return run


def test_budgets_are_set_lowered_and_removed(at: Any, running: Running) -> None:
    company = at("budget", "set", "12.50")["budget"]
    assert (company["scope"], company["unit"], company["period"]) == ("company", "money", "month")
    assert company["limit"] == 12_500_000
    agent = at("budget", "set", "100", "--agent", "pm", "--unit", "calls", "--period", "day")
    assert (agent["budget"]["limit"], agent["budget"]["unit"]) == (100, "calls")
    at("budget", "set", "5", "--project", "Know", "--period", "total")
    assert len(at("budget", "list")["budgets"]) == 3
    assert at("budget", "lower", "10")["budget"]["limit"] == 10_000_000
    refused = running("--company", at.slug, "budget", "lower", "10.000001")
    assert refused.code == 2
    assert "10.00" in refused.err
    assert at("budget", "set", "none")["budget"] is None
    listed = running("--company", at.slug, "budget", "list")
    assert "calls" in listed.out
    assert "12.50" not in listed.out


def test_prices_and_spending(at: Any, running: Running) -> None:
    priced = at("budget", "price", "careful-1", "--input", "3", "--output", "15")["price"]
    assert (priced["inputMicros"], priced["outputMicros"]) == (3_000_000, 15_000_000)
    assert [row["name"] for row in at("budget", "price")["prices"]] == ["careful-1"]
    assert running("--company", at.slug, "budget", "price", "careful-1").code == 2
    assert at("budget", "spend")["spend"]["today"]["scopes"] == []
    at("budget", "set", "5", "--period", "day")
    client = running.client(company=at.slug)
    held = client.post("/reservations", {"moneyMicros": 120_000})["reservation"]["id"]
    client.post(f"/reservations/{held}/settle", {"moneyMicros": 120_000})
    spent = at("budget", "spend")["spend"]["today"]["scopes"]
    assert [row["spent"]["moneyMicros"] for row in spent] == [120_000]
    said = running("--company", at.slug, "status").out
    assert "0.12 of 5.00 (this month 0.12, no budget set)" in said


@pytest.mark.parametrize(
    "text, amount", [("0", 0), ("12.50", 12_500_000), ("0.000001", 1), ("1e3", 1_000_000_000)]
)
def test_amounts(text: str, amount: int) -> None:
    assert micros(text) == amount
    assert micros(units(amount)) == amount


@pytest.mark.parametrize("text", ["", "x", "-1", "0.0000001", "nan", "inf", "1,5"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(click.BadParameter):
        micros(text)
