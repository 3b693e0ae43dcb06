"""Budgets, what was spent, reservations: limits that an owner sets and others may lower."""

from operator import attrgetter
from typing import Annotated, Any, Final

import msgspec

from homarus.base.action import Estimate
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import spending
from homarus.kernel import budgets, reservations
from homarus.kernel.budgets import Amounts, Budget, Spend
from homarus.kernel.prices import MAX_AMOUNT
from homarus.kernel.reservations import Reservation
from homarus.store.port import Reply, Rx, Tx

Amount = Annotated[int, msgspec.Meta(ge=0, le=MAX_AMOUNT)]
MAX_SPEND_ROWS: Final = 500


class NewBudget(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`limit` in the unit, money in millionths; null removes it. `subject`: an id, an agent's name,
    a task's number; none for the company."""

    scope: str
    unit: str
    period: str
    limit: Amount | None
    subject: str | None = None


class NewReservation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a model call may cost at most: `moneyMicros`, or tokens at the price of `model`."""

    agent_id: str | None = None
    task_id: str | None = None
    model: str | None = None
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    money_micros: Amount | None = None
    calls: Amount = 1


class Settlement(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What it came to; `release`: it never happened."""

    agent_id: str | None = None
    input_tokens: Amount = 0
    output_tokens: Amount = 0
    money_micros: Amount | None = None
    calls: Amount | None = None
    release: bool = False


# -- shapes --------------------------------------------------------------------------------


def wire(row: Budget) -> dict[str, Any]:
    return {
        "id": row.id,
        "scope": row.scope,
        "subject": row.subject,
        "unit": row.unit,
        "period": row.period,
        "periodKey": row.key,
        "limit": row.limit,
        "spent": row.spent,
        "reserved": row.reserved,
        "left": row.left,
        "state": row.state,
        "setBy": row.set_by,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def _amounts(amounts: Amounts) -> dict[str, int]:
    return {
        "moneyMicros": amounts.money,
        "tokens": amounts.tokens,
        "calls": amounts.calls,
    }


def reservation(row: Reservation) -> dict[str, Any]:
    spent = None
    if row.spent_money is not None:
        spent = _amounts(Amounts(row.spent_money, row.spent_tokens or 0, row.spent_calls or 0))
    return {
        "id": row.id,
        "state": row.state,
        "agentId": row.agent,
        "taskId": row.task,
        "projectId": row.project,
        "model": row.model,
        "capability": row.capability,
        "reserved": _amounts(row.amounts),
        "spent": spent,
        "createdAt": iso_ms(row.at_ms),
        "expiresAt": iso_ms(row.expires_ms),
        "endedAt": None if row.ended_ms is None else iso_ms(row.ended_ms),
    }


def _spend(row: Spend) -> dict[str, Any]:
    return {
        "scope": row.scope,
        "subject": row.subject,
        "spent": _amounts(row.spent),
        "reserved": _amounts(row.reserved),
    }


# -- handlers ------------------------------------------------------------------------------


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /budgets: as they stand now; `subject` with `scope` for those of one thing."""
    query, limit = call.query, call.limit()
    subject = ""
    if query.get("scope"):
        subject = spending.subject_of(rx, call.company, query["scope"], query.get("subject"))
    rows = budgets.listed(
        rx, call.company, limit=limit, after=query.get("cursor", ""), subject=subject
    )
    return json_reply(
        {"budgets": [wire(row) for row in rows]} | behind(rows, limit, attrgetter("id"))
    )


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /budgets/{id}."""
    return json_reply({"budget": wire(budgets.need(rx, call.company, call.id()))})


def put(tx: Tx, call: Call[NewBudget]) -> Reply:
    """PUT /budgets."""
    body = call.body
    row = spending.set_budget(tx, body.scope, body.subject, body.unit, body.period, body.limit)
    return json_reply({"budget": None if row is None else wire(row)})


def spend(rx: Rx, call: Call[None]) -> Reply:
    """GET /spend: what each scope used today and this month."""
    period_keys = budgets.keys(rx.now_ms)
    body: dict[str, Any] = {}
    for name, period in (("today", "day"), ("month", "month")):
        rows = budgets.spent(rx, call.company, period_keys[period], limit=MAX_SPEND_ROWS)
        body[name] = {"period": period_keys[period], "scopes": [_spend(row) for row in rows]}
    return json_reply({"spend": body})


def reserve(tx: Tx, call: Call[NewReservation]) -> Reply:
    """POST /reservations: the kernel has set it aside before this runs."""
    row = reservations.of_unit(tx)
    if row is None:
        raise AssertionError("an allowed model call has a reservation")
    return json_reply({"reservation": reservation(row)}, 201)


def show(rx: Rx, call: Call[None]) -> Reply:
    """GET /reservations/{id}."""
    return json_reply({"reservation": reservation(reservations.need(rx, call.company, call.id()))})


def settle(tx: Tx, call: Call[Settlement]) -> Reply:
    """POST /reservations/{id}/settle."""
    body = call.body
    if body.release:
        if body.money_micros or body.input_tokens or body.output_tokens:
            raise Invalid(
                "budget.release", "what was spent is not released", "Give the amounts or `release`."
            )
        row = spending.release(tx, call.id())
        return json_reply({"reservation": reservation(row), "late": False, "reached": []})
    actual = spending.Actual(body.input_tokens, body.output_tokens, body.money_micros, body.calls)
    done = spending.settle(tx, call.id(), actual)
    reached = [{"what": c.what, "budget": wire(c.budget)} for c in done.reached]
    return json_reply(
        {"reservation": reservation(done.reservation), "late": done.late, "reached": reached}
    )


def _estimate(call: Call[NewReservation]) -> Estimate:
    body = call.body
    return Estimate(
        money=body.money_micros,
        tokens=body.input_tokens + body.output_tokens,
        calls=body.calls,
        output_tokens=body.output_tokens,
        model=body.model,
    )


TAGS: Final = ("budgets",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/budgets", listed, "List budgets as they stand", tags=TAGS,
        query=("scope", "subject", "limit", "cursor"),
    ),
    read_route("/budgets/{id}", read, "Read a budget", tags=TAGS),
    write_route(
        "PUT", "/budgets", "budget.set", put, "Set, lower or remove a budget",
        body=NewBudget, target="budget:", tags=TAGS,
    ),
    read_route("/spend", spend, "What was spent today and this month", tags=TAGS),
    write_route(
        "POST", "/reservations", "model.call", reserve, "Reserve what a model call may cost",
        body=NewReservation, estimate=_estimate, acting=lambda call: call.body.agent_id,
        task=lambda call: call.body.task_id, target="model:", status=201, tags=TAGS,
    ),
    read_route("/reservations/{id}", show, "Read a reservation", tags=TAGS),
    write_route(
        "POST", "/reservations/{id}/settle", "budget.settle", settle,
        "Say what a reserved call came to", body=Settlement,
        acting=lambda call: call.body.agent_id, target="reservation:{id}", tags=TAGS,
    ),
)  # fmt: skip
