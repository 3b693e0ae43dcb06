"""homarus session"""

from typing import Any

import click

from homarus.cli.chat import spoken
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import agent_id, given, limit_option, show_list, show_one, table
from homarus.client.paths import path_part

command = Group("session", help="What agents that run here remember of each conversation.")

_COLUMNS = (
    ("key", "key"),
    ("lines", "entries"),
    ("context", "contextTokens"),
    ("in", "inputTokens"),
    ("out", "outputTokens"),
    ("last used", "updatedAt"),
)
_FIELDS = (
    *_COLUMNS,
    ("label", "label"),
    ("model", "model"),
    ("queue mode", "queueMode"),
    ("summed up", "compactions"),
    ("turn", "turnId"),
    ("thread", "threadId"),
    ("id", "id"),
)

_TURNS = (("id", "id"), ("state", "state"), ("asked by", "askedBy"), ("since", "createdAt"),
          ("text", "text"))  # fmt: skip


@command.command("list")
@click.option("--agent", help="Only of this agent.")
@limit_option
@pass_context
def list_(ctx: Context, agent: str | None, limit: int) -> None:
    """Live sessions, last used first."""
    of = agent_id(ctx, agent) if agent else None
    empty = "No session yet. Talk with an agent: homarus chat NAME"
    show_list(ctx, "/sessions", "sessions", _COLUMNS, limit=limit, empty=empty, agentId=of)


@command.command()
@click.argument("session")
@pass_context
def show(ctx: Context, session: str) -> None:
    """One session, by key or id."""
    show_one(ctx, ctx.api.get(f"/sessions/{path_part(session)}"), "session", _FIELDS)


@command.command()
@click.argument("session")
@click.option("--abort", is_flag=True, help="End what is open in it first.")
@pass_context
def reset(ctx: Context, session: str, abort: bool) -> None:
    """Begin anew; the transcript so far is kept."""
    reply = ctx.api.post(f"/sessions/{path_part(session)}/reset", {"abort": abort})
    show_one(ctx, reply, "session", _COLUMNS)


_POLICIES = (
    ("scope", "scope"),
    ("mode", "mode"),
    ("at hour", lambda row: row["atHour"] if row["mode"] == "daily" else None),
    ("idle minutes", "idleMinutes"),
)


@command.command()
@click.argument("scope", default="base")
@click.option("--mode", type=click.Choice(["none", "daily", "idle"]), help="When, if at all.")
@click.option("--at-hour", type=click.IntRange(0, 23), help="Of daily; 4 unless told otherwise.")
@click.option("--idle-minutes", type=click.IntRange(1), help="Of idle, and of daily besides.")
@click.option("--remove", is_flag=True, help="Leave SCOPE to the wider one.")
@pass_context
def policy(
    ctx: Context, scope: str, mode: str | None, at_hour: int | None, idle_minutes: int | None,
    remove: bool,
) -> None:  # fmt: skip
    """Show or set when sessions begin anew by themselves.

    SCOPE is base, type:direct, type:group, type:thread, channel:NAME or session:KEY; the narrowest
    counts. A session begins anew with the next message, never by itself in between.
    """
    body = given(mode=mode, atHour=at_hour, idleMinutes=idle_minutes)
    if remove:
        reply = ctx.api.delete(f"/session-policies/{path_part(scope)}")
    elif mode is not None:
        reply = ctx.api.put("/session-policies", body | {"scope": scope})
    elif body:
        raise click.UsageError("Say which: --mode none, daily or idle.")
    else:
        reply = ctx.api.get("/session-policies")
    ctx.out.document(reply)
    table(ctx, _POLICIES, reply["policies"], "")
    ctx.out.line(f"Hours are on the company's clock: {reply['timeZone']}.")


@command.command()
@click.argument("session")
@pass_context
def abort(ctx: Context, session: str) -> None:
    """End every open turn of a session."""
    reply = ctx.api.post(f"/sessions/{path_part(session)}/abort", {})
    ctx.out.document(reply)
    ctx.out.line(f"{len(reply['aborted'])} ended.")


@command.command()
@click.argument("session")
@limit_option
@pass_context
def queue(ctx: Context, session: str, limit: int) -> None:
    """What runs in a session and what waits behind it, newest first."""
    show_list(
        ctx, "/turns", "turns", _TURNS, limit=limit, empty="Nothing is under way.",
        sessionKey=session, open="true",
    )  # fmt: skip


@command.command()
@click.argument("turn")
@click.argument("text")
@pass_context
def edit(ctx: Context, turn: str, text: str) -> None:
    """Change a message of yours that waits; TURN is its id in `session queue`."""
    reply = ctx.api.patch(f"/turns/{path_part(turn)}", {"text": text})
    show_one(ctx, reply, "turn", _TURNS)


@command.command()
@click.argument("turn")
@pass_context
def drop(ctx: Context, turn: str) -> None:
    """Drop a message that waits; TURN is its id in `session queue`."""
    show_one(ctx, ctx.api.post(f"/turns/{path_part(turn)}/drop", {}), "turn", _TURNS)


@command.command()
@click.argument("session")
@limit_option
@pass_context
def history(ctx: Context, session: str, limit: int) -> None:
    """The transcript, oldest line first."""
    rows: list[dict[str, Any]] = []
    for row in ctx.api.pages(f"/sessions/{path_part(session)}/history", "entries", limit=limit):
        rows.append(row)
    rows.sort(key=lambda row: row["seq"])
    ctx.out.document({"entries": rows})
    for row in rows:
        text = _line(row)
        if text:
            ctx.out.line(text)


def _line(row: dict[str, Any]) -> str | None:
    if row["kind"] == "compaction":
        return f"(summed up) {row['summary']}"
    message = row.get("message") or {}
    said = spoken(row)
    match message.get("role"):
        case "user":
            return f"person> {said}"
        case "assistant":
            calls = [p["name"] for p in message["content"] if p.get("type") == "toolCall"]
            asked = f" [calls {', '.join(calls)}]" if calls else ""
            return f"agent> {said or ''}{asked}"
        case "toolResult":
            text = "".join(p.get("text", "") for p in message["content"])
            return f"{message['toolName']}> {text}"
        case _:
            return None
