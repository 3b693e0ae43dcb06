"""homarus status"""

from typing import Any

import click

from homarus.cli.budget import units
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.mirror import line as mirror_line


@click.command("status", cls=Command)
@pass_context
def command(ctx: Context) -> None:
    """The company in a few lines."""
    reply = ctx.api.get("/status")
    ctx.out.document(reply)
    company, rules = reply.get("company") or {}, reply.get("rules") or {}
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
            ("cost today", _cost(reply.get("cost"))),
            ("heartbeats", _heartbeats(reply.get("heartbeats"))),
            ("jobs", _jobs(reply.get("jobs"))),
            *((f"mirror {m['name']}", mirror_line(m)) for m in reply.get("mirrors") or []),
            ("level", rules.get("level")),
            ("rules refused", _counts(rules.get("refused"))),
        ]
    )
    if rules.get("level") == "observe":
        ctx.out.alert(f"level observe: {_passed(rules.get('wouldRefuse') or {})}")


def _heartbeats(value: Any) -> str | None:
    """`3 on, 1 asks the model each time (48 calls a day)`; None: none is on."""
    if not isinstance(value, dict) or not value.get("on"):
        return None
    text = f"{value['on']} on"
    if value.get("always"):
        text += f", {value['always']} asks the model each time"
        text += f" ({value['alwaysCallsADay']} calls a day)"
    return text


def _jobs(value: Any) -> str | None:
    """`2 active, next 2026-05-01T09:00:00.000Z, 1 dead letter`; None: there is none."""
    if not isinstance(value, dict) or not (value.get("active") or value.get("dead")):
        return None
    parts = [f"{value['active']} active"]
    if value.get("nextAt"):
        parts.append(f"next {value['nextAt']}")
    if value.get("dead"):
        parts.append(f"{value['dead']} dead letters: homarus cron dead")
    return ", ".join(parts)


def _passed(counts: dict[str, int]) -> str:
    """What the level let pass in the last 24 hours."""
    text = f"{sum(counts.values())} would have been refused in the last 24 hours"
    return f"{text} ({_counts(counts)})" if counts else text


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
