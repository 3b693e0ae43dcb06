"""homarus heartbeat, and what `homarus agent` says of heartbeats."""

from typing import Any

import click

from homarus.cli.budget import units
from homarus.cli.command import Command, Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, agent_names, given, limit_option, table

command = Group("heartbeat", help="Agents that look by themselves whether they are needed.")

FIELDS = (
    ("heartbeat", "enabled"),
    ("every", "every"),
    ("hours", "activeHours"),
    ("told to", "target"),
    ("always", "always"),
    ("next", "nextAt"),
    ("last look", "lookedAt"),
    ("outcome", "outcome"),
    ("cost so far", "cost"),
)
_COLUMNS = (
    ("agent", "name"),
    ("on", "enabled"),
    ("every", "every"),
    ("always", "always"),
    ("next", "nextAt"),
    ("outcome", "outcome"),
    ("cost so far", "cost"),
)


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A heartbeat in words."""
    hours, why = row["activeHours"], row["reason"]
    return row | {
        "enabled": "on" if row["enabled"] else "off",
        "activeHours": f"{hours['start']} to {hours['end']} ({row['timeZone']})" if hours else None,
        "always": f"asks the model {row['callsADay']} times a day" if row["always"] else "no",
        "outcome": f"{row['outcome']} ({why})" if why else row["outcome"],
        "cost": cost(row["cost"]),
    }


def cost(row: dict[str, int]) -> str:
    """`3 of 120 looks asked the model: 4,200 tokens, 0.02`."""
    tokens = row["inputTokens"] + row["outputTokens"]
    text = f"{row['turns']} of {row['looks']} looks asked the model"
    return f"{text}: {tokens:,} tokens, {units(row['moneyMicros'])}" if row["turns"] else text


def fields(ctx: Context, row: dict[str, Any] | None) -> None:
    """A heartbeat as fields; None: it was never set."""
    told = {"enabled": "off"} if row is None else shown(row)
    ctx.out.fields([(name, told[how]) for name, how in FIELDS if told.get(how) is not None])


@command.command("list")
@limit_option
@pass_context
def list_(ctx: Context, limit: int) -> None:
    """All heartbeats that were ever set."""
    reply = ctx.api.get("/heartbeats", limit=min(limit, 500))
    ctx.out.document(reply)
    rows = reply["heartbeats"]
    names = agent_names(ctx, [{"assignedAgentId": row["agentId"]} for row in rows])
    told = [shown(row) | {"name": names.get(row["agentId"])} for row in rows]
    table(ctx, _COLUMNS, told, "No heartbeat yet: homarus agent heartbeat NAME on")
    if not reply["enabled"]:
        ctx.out.alert("All heartbeats are switched off: homarus heartbeat on")


@command.command("on")
@pass_context
def on(ctx: Context) -> None:
    """Let the heartbeats of the company go on, each as it is set."""
    _switch(ctx, enabled=True)


@command.command("off")
@pass_context
def off(ctx: Context) -> None:
    """Switch all heartbeats of the company off."""
    _switch(ctx, enabled=False)


def _switch(ctx: Context, *, enabled: bool) -> None:
    reply = ctx.api.put("/heartbeats", {"enabled": enabled})
    ctx.out.document(reply)
    ctx.out.line(f"Heartbeats are {'on' if enabled else 'off'}.")


@command.command()
@click.argument("agent")
@click.argument("text", default="")
@click.option("--later", is_flag=True, help="Tell it at its next heartbeat, not now.")
@pass_context
def wake(ctx: Context, agent: str, text: str, later: bool) -> None:
    """Have an agent look now whether it is needed; TEXT says what for."""
    body = given(text=text, mode="next-heartbeat" if later else "now")
    reply = ctx.api.post(f"/agents/{agent_id(ctx, agent)}/heartbeat/wake", body)
    ctx.out.document(reply)
    ctx.out.line("It hears of it at its next heartbeat." if later else "It looks now.")


@click.command("heartbeat", cls=Command)
@click.argument("agent")
@click.argument("state", type=click.Choice(["on", "off"]), required=False)
@click.option("--every", help="Interval, such as 30m or 2h; 1m to 7d.")
@click.option("--hours", help="Only then, such as 08:00-20:00 on the company's clock; all: always.")
@click.option("--target", help="Who is told: main, last, none, or a session's key.")
@click.option("--prompt", help="What it is asked; empty: the daemon's own words.")
@click.option("--ack-max-chars", type=click.IntRange(0), help="Longest remark beside HEARTBEAT_OK.")
@click.option(
    "--always/--on-news", "always", default=None,
    help="Ask the model each time, which costs, or only when something is new.",
)  # fmt: skip
@pass_context
def of_agent(
    ctx: Context, agent: str, state: str | None, every: str | None, hours: str | None,
    target: str | None, prompt: str | None, ack_max_chars: int | None, always: bool | None,
) -> None:  # fmt: skip
    """Show or set when an agent looks by itself whether it is needed.

    A look asks the store first; only news costs a call of the model, unless --always.
    """
    path = f"/agents/{agent_id(ctx, agent)}/heartbeat"
    body = given(
        enabled=None if state is None else state == "on", every=every, target=target,
        ackMaxChars=ack_max_chars, always=always,
    )  # fmt: skip
    if prompt is not None:
        body["prompt"] = prompt or None
    if hours is not None:
        body["activeHours"] = _hours(hours)
    reply = ctx.api.put(path, body) if body else ctx.api.get(path)
    ctx.out.document(reply)
    fields(ctx, reply["heartbeat"])


def _hours(text: str) -> dict[str, str] | None:
    if text == "all":
        return None
    start, dash, end = text.partition("-")
    if not dash:
        raise click.UsageError("Hours look like 08:00-20:00, or all.")
    return {"start": start.strip(), "end": end.strip()}
