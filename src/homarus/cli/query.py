"""homarus query"""

import click

from homarus.base.errors import Invalid, NotFound
from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import VERDICT
from homarus.cli.resource import Row, given, table

_HITS = (
    ("capability", "id"),
    ("title", "title"),
    ("score", "score"),
    ("granted", "granted"),
)


@click.command("query", cls=Command)
@click.option("--intent", required=True, help="What you want to do, in your own words.")
@click.option("--agent", help="For whom: name or id of an agent.")
@click.option("--task", help="For this task; keeps the answer as a preflight.")
@pass_context
def command(ctx: Context, intent: str, agent: str | None, task: str | None) -> int:
    """Ask before acting: which capability fits, whose work is it.

    Exit codes: 0 a capability fits and may be used, 3 none fits, 4 it is not permitted for this
    identity, 5 it is another agent's work. An unknown agent or task is 2.
    """
    try:
        row = _ask(ctx, intent, agent, task)
    except NotFound as error:
        raise Invalid(error.code, error.message, error.remedy) from error
    ctx.out.document(row)
    _show(ctx, row)
    return int(VERDICT[row["verdict"]])


def _ask(ctx: Context, intent: str, agent: str | None, task: str | None) -> Row:
    if task is None:
        asked: Row = ctx.api.get("/query", intent=intent, agentId=agent)["query"]
        return asked
    body = given(intent=intent, agentId=agent, taskId=task)
    made: Row = ctx.api.post("/preflights", body)["preflight"]
    return made


def _show(ctx: Context, row: Row) -> None:
    who, where, card = row["who"], row["where"], row["card"]
    ctx.out.fields(
        [
            ("answer", row["verdict"].replace("_", " ")),
            ("who", who["name"] or "self"),
            ("how", row["how"]["capability"]),
            ("where", where["project"]),
            ("project card", card["signs"] or "not needed"),
            ("route", row["routeLevel"]),
            ("permission", row["permission"]),
            ("preflight", row.get("id")),
            ("until", row.get("expiresAt")),
        ]
    )
    if row["how"]["hits"]:
        ctx.out.line()
        table(ctx, _HITS, row["how"]["hits"], "")
