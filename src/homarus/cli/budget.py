"""homarus budget"""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

import click

from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import (
    DEFAULT_ROWS,
    agent_id,
    given,
    project_id,
    show_list,
    show_one,
    table,
)
from homarus.client.paths import path_part

command = Group("budget", help="What may be spent, what was, and prices.")

MICROS: Final = 1_000_000
UNITS: Final = ("money", "tokens", "calls")
PERIODS: Final = ("day", "month", "total")


def units(micros: int) -> str:
    """Money in the company's currency: `12.50`, `0.000015`."""
    whole, rest = divmod(abs(micros), MICROS)
    return f"{'-' if micros < 0 else ''}{whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def micros(text: str) -> int:
    """The other way. Raises a usage error for what is no amount or finer than a micro."""
    try:
        amount = Decimal(text) * MICROS
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite() or amount < 0 or amount != int(amount):
        raise click.BadParameter(f"{text!r} is no amount of money; give one such as 12.50")
    return int(amount)


def _amount(name: str) -> Any:
    def show(row: Any) -> str:
        value = int(row.get(name) or 0)
        return units(value) if row.get("unit") == "money" else str(value)

    return show


_COLUMNS: Final = (
    ("scope", "scope"),
    ("of", "subject"),
    ("unit", "unit"),
    ("period", "periodKey"),
    ("limit", _amount("limit")),
    ("spent", _amount("spent")),
    ("reserved", _amount("reserved")),
    ("left", _amount("left")),
    ("state", "state"),
    ("id", "id"),
)
_scope_options = (
    click.option("--agent", help="Of this agent: name or id."),
    click.option("--project", help="Of this project."),
    click.option("--task", help="Of this task: T-192 or its id."),
    click.option("--unit", type=click.Choice(UNITS), default="money", show_default=True),
    click.option("--period", type=click.Choice(PERIODS), default="month", show_default=True),
)


def _scoped(function: Any) -> Any:
    for option in reversed(_scope_options):
        function = option(function)
    return function


def _subject(
    ctx: Context, agent: str | None, project: str | None, task: str | None
) -> dict[str, str | None]:
    """What a budget is for; the company when nothing is named."""
    if sum(x is not None for x in (agent, project, task)) > 1:
        raise click.UsageError("Give one of --agent, --project and --task, or none of them.")
    if agent is not None:
        return {"scope": "agent", "subject": agent_id(ctx, agent)}
    if project is not None:
        return {"scope": "project", "subject": project_id(ctx, project)}
    if task is not None:
        found = ctx.api.get(f"/tasks/{path_part(task)}")["task"]["id"]
        return {"scope": "task", "subject": found}
    return {"scope": "company", "subject": None}


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=DEFAULT_ROWS, show_default=True)
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """Budgets and how they stand now."""
    show_list(ctx, "/budgets", "budgets", _COLUMNS, limit=limit, empty="No budget is set.")


@command.command("set")
@click.argument("limit")
@_scoped
@pass_context
def set_(
    ctx: Context, limit: str, agent: str | None, project: str | None, task: str | None,
    unit: str, period: str,
) -> None:  # fmt: skip
    """Set a limit: an amount such as 12.50, a number of tokens or calls, or `none`."""
    _put(ctx, limit, _subject(ctx, agent, project, task), unit, period)


@command.command()
@click.argument("limit")
@_scoped
@pass_context
def lower(
    ctx: Context, limit: str, agent: str | None, project: str | None, task: str | None,
    unit: str, period: str,
) -> None:  # fmt: skip
    """Lower a limit; refused when it would raise it. No owner is needed."""
    about = _subject(ctx, agent, project, task)
    wanted = _limit(limit, unit)
    if wanted is None:
        raise click.UsageError("To remove a budget is to raise it: `homarus budget set none`.")
    for row in ctx.api.pages("/budgets", "budgets", limit=10_000):
        same = (row["scope"], row["unit"], row["period"]) == (about["scope"], unit, period)
        if same and about["subject"] in (None, row["subject"]) and wanted > row["limit"]:
            raise click.UsageError(f"The limit is {_amount('limit')(row)}; that is no lowering.")
    _put(ctx, limit, about, unit, period)


def _limit(text: str, unit: str) -> int | None:
    if text == "none":
        return None
    if unit == "money":
        return micros(text)
    if not (text.isascii() and text.isdecimal()):
        raise click.BadParameter(f"{text!r} is no number of {unit}")
    return int(text)


def _put(ctx: Context, limit: str, about: dict[str, str | None], unit: str, period: str) -> None:
    body = {**about, "unit": unit, "period": period, "limit": _limit(limit, unit)}
    reply = ctx.api.put("/budgets", body)
    if reply.get("budget") is None:
        ctx.out.document(reply)
        ctx.out.line("Removed.")
        return
    show_one(ctx, reply, "budget", _COLUMNS)


_PRICES: Final = (
    ("name", "name"),
    ("input", lambda row: units(row["inputMicros"])),
    ("output", lambda row: units(row["outputMicros"])),
    ("call", lambda row: units(row["callMicros"])),
    ("active", "active"),
)


@command.command()
@click.argument("name", required=False)
@click.option("--input", "input_", help="Money for a million input tokens.")
@click.option("--output", help="Money for a million output tokens.")
@click.option("--call", help="Money for one call.")
@click.option("--off", is_flag=True, help="The price is not known any more.")
@pass_context
def price(
    ctx: Context, name: str | None, input_: str | None, output: str | None, call: str | None,
    off: bool,
) -> None:  # fmt: skip
    """Set the price of a model or capability; without a name, list prices."""
    if name is None:
        reply = ctx.api.get("/prices")
        ctx.out.document(reply)
        table(ctx, _PRICES, reply["prices"], "No price is set.")
        return
    if not off and input_ is None and output is None and call is None:
        raise click.UsageError("Give --input and --output, or --call.")
    amounts = {"inputMicros": input_, "outputMicros": output, "callMicros": call}
    body = given(name=name, active=not off) | {
        field: micros(text) for field, text in amounts.items() if text is not None
    }
    show_one(ctx, ctx.api.put("/prices", body), "price", _PRICES)


@command.command()
@pass_context
def spend(ctx: Context) -> None:
    """What was spent today and this month, by scope."""
    reply = ctx.api.get("/spend")
    ctx.out.document(reply)
    rows = [
        {"period": part["period"], **row}
        for part in (reply["spend"]["today"], reply["spend"]["month"])
        for row in part["scopes"]
    ]
    columns = (
        ("period", "period"),
        ("scope", "scope"),
        ("of", "subject"),
        ("money", lambda row: units(row["spent"]["moneyMicros"])),
        ("reserved", lambda row: units(row["reserved"]["moneyMicros"])),
        ("tokens", lambda row: row["spent"]["tokens"]),
        ("calls", lambda row: row["spent"]["calls"]),
    )
    table(ctx, columns, rows, "Nothing was spent.")
