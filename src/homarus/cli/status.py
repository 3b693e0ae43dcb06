"""homarus status"""

from typing import Any

import click

from homarus.cli.budget import units
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context


@click.command("status", cls=Command)
@pass_context
def command(ctx: Context) -> None:
    """The company in a few lines."""
    reply = ctx.api.get("/status")
    ctx.out.document(reply)
    company = reply.get("company") or {}
    ctx.out.fields(
        [
            ("company", f"{company.get('name', '')} ({company.get('slug', '')})"),
            ("address", ctx.api.url),
            ("version", reply.get("version")),
            ("agents", _counts(reply.get("agents"))),
            ("tasks", _counts(reply.get("tasks"))),
            ("stops", reply.get("stops")),
            ("incidents", reply.get("openIncidents")),
            ("receipts", reply.get("receipts")),
            ("level", _level(reply.get("rules"))),
            ("rules refused", _counts((reply.get("rules") or {}).get("refused"))),
            ("cost today", _cost(reply.get("cost"))),
        ]
    )


def _level(rules: Any) -> Any:
    """`enforce`, or in red what `observe` lets pass."""
    if not isinstance(rules, dict) or rules.get("level") != "observe":
        return (rules or {}).get("level")
    passed = rules.get("wouldRefuse") or {}
    text = f"observe: {sum(passed.values())} would have been refused in the last 24 hours"
    return click.style(f"{text} ({_counts(passed)})" if passed else text, fg="red")


def _counts(value: Any) -> Any:
    """`3 queued, 1 done` of {"queued": 3, "done": 1}."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{n} {name}" for name, n in value.items() if n) or "none"


def _cost(value: Any) -> str | None:
    """`0.12 of 5.00 (this month 3.40 of 100.00)`."""
    if not isinstance(value, dict):
        return None
    today, month = (_of(value.get(name) or {}) for name in ("today", "month"))
    return f"{today} (this month {month})"


def _of(row: dict[str, Any]) -> str:
    spent = units(int(row.get("spentMicros") or 0))
    limit = row.get("budgetMicros")
    return f"{spent}, no budget set" if limit is None else f"{spent} of {units(int(limit))}"
