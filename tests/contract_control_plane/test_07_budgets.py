"""Contract, section 7: budgets of agents and the price table."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Answer, Wire

PRICE = {
    "id", "provider", "model", "label", "inputPricePer1k", "outputPricePer1k", "active",
    "createdAt",
}  # fmt: skip
MILLION = 1_000_000


@pytest.fixture(scope="module")
def model(person: Wire) -> str:
    """A model whose million input tokens cost 100 cents, and output tokens 500."""
    name = f"model-{uuid4()}"
    assert price(person, name, 100, 500).status in (200, 201)
    return name


def price(person: Wire, model: str, inputs: Any, outputs: Any, **more: Any) -> Answer:
    body = {
        "provider": "local",
        "model": model,
        "inputPricePer1k": inputs,
        "outputPricePer1k": outputs,
    }
    return person.post("/pricing", body | more, key=None)


def budgeted(wire: Wire, person: Wire, cents: int) -> str:
    agent = wire.agent()["id"]
    changed = person.patch(f"/agents/{agent}", {"monthlyBudgetCents": cents})
    assert changed.status == 200, changed.body
    return str(agent)


def use(wire: Wire, agent: str, model: str, inputs: int, outputs: int = 0) -> Answer:
    body = {"agentId": agent, "model": model, "inputTokens": inputs, "outputTokens": outputs}
    return wire.post("/agents/report-usage", body, key=None)


# -- prices ------------------------------------------------------------------------------------


def test_prices_are_cents_for_a_million_tokens(wire: Wire, person: Wire, model: str) -> None:
    """Whatever the names of the columns end in."""
    agent = wire.agent()["id"]
    assert use(wire, agent, model, MILLION)["costCents"] == 100
    assert use(wire, agent, model, 0, MILLION)["costCents"] == 500


def test_a_price_is_set_by_model_and_read_back(wire: Wire, person: Wire) -> None:
    name = f"model-{uuid4()}"
    made = price(person, name, 3, 15, label="Small")["pricing"]
    assert set(made) >= PRICE
    assert (made["model"], made["label"], made["active"]) == (name, "Small", True)
    assert (made["inputPricePer1k"], made["outputPricePer1k"]) == (3, 15)
    again = price(person, name, 4, 16)["pricing"]
    assert again["inputPricePer1k"] == 4
    listed = [row for row in wire.get("/pricing")["pricing"] if row["model"] == name]
    assert [row["outputPricePer1k"] for row in listed] == [16], "an upsert"


@pytest.mark.parametrize("inputs, outputs", [(-1, 0), (0, "5"), (None, 0), (10**15, 0), (0.5, 0)])
def test_prices_that_are_refused(person: Wire, inputs: Any, outputs: Any) -> None:
    assert price(person, f"model-{uuid4()}", inputs, outputs).status == 400


def test_quirk_no_company_token_sets_a_price(wire: Wire) -> None:
    """In the original the table is one for all companies, and anybody's to write."""
    assert price(wire, "free", 0, 0).status == 403


def test_prices_are_a_companys_own(wire: Wire, model: str, found: Callable[..., Wire]) -> None:
    assert model not in {row["model"] for row in found().get("/pricing")["pricing"]}


# -- the month of an agent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "cents, inputs, status",
    [
        (0, 10 * MILLION, "active"),
        (1000, 7_990_000, "active"),
        (1000, 8 * MILLION, "warning"),
        (1000, 9_990_000, "warning"),
        (1000, 10 * MILLION, "paused"),
        (1000, 20 * MILLION, "paused"),
    ],
)
def test_marks_at_80_and_100_percent(
    wire: Wire, person: Wire, model: str, cents: int, inputs: int, status: str
) -> None:
    agent = budgeted(wire, person, cents)
    assert use(wire, agent, model, inputs)["budgetStatus"] == status
    assert wire.get(f"/agents/{agent}")["agent"]["budgetStatus"] == status


def test_usage_adds_up_in_the_month(wire: Wire, person: Wire, model: str) -> None:
    agent = budgeted(wire, person, 10_000)
    for _ in range(3):
        reply = use(wire, agent, model, MILLION, 1000)
    assert reply["monthlyTokenUsage"] == 3 * (MILLION + 1000)
    row = wire.get(f"/agents/{agent}")["agent"]
    assert row["monthlyCostCents"] == reply["monthlyCostCents"] == 301
    assert row["lastResetMonth"]


def test_a_status_is_not_lowered_within_a_month(wire: Wire, person: Wire, model: str) -> None:
    agent = budgeted(wire, person, 100)
    use(wire, agent, model, 2 * MILLION)
    raised = person.patch(f"/agents/{agent}", {"monthlyBudgetCents": 10_000})
    assert raised["agent"]["budgetStatus"] == "paused"
    resumed = person.patch(f"/agents/{agent}", {"budgetStatus": "active"})
    assert resumed["agent"]["budgetStatus"] == "active"


def test_an_unknown_model_counts_tokens(wire: Wire) -> None:
    agent = wire.agent()["id"]
    reply = use(wire, agent, f"unheard-{uuid4()}", 500)
    assert reply.status == 200 and reply["monthlyTokenUsage"] == 500


# -- what it is for ------------------------------------------------------------------------------


def test_a_company_token_lowers_a_budget_and_does_not_raise_it(wire: Wire, person: Wire) -> None:
    agent = budgeted(wire, person, 1000)
    lower = wire.patch(f"/agents/{agent}", {"monthlyBudgetCents": 500})
    assert lower.status == 200, lower.body
    for cents in (501, 0):
        assert wire.patch(f"/agents/{agent}", {"monthlyBudgetCents": cents}).status == 403
    assert wire.get(f"/agents/{agent}")["agent"]["monthlyBudgetCents"] == 500
