"""homarus explain"""

import click
import msgspec

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.kernel import explained


@click.command("explain", cls=Command)
@click.argument("rule", required=False)
@pass_context
def command(ctx: Context, rule: str | None) -> None:
    """What a rule asks, what it refuses and what to do instead.

    RULE is a name (R4, stop, gate-6, L2), or the code of a refusal (R5.replayed). Without one: all
    rules in a line each.
    """
    if rule is None:
        rows = list(explained.RULES.values())
        ctx.out.document({"rules": [msgspec.to_builtins(row) for row in rows]})
        lines = [[row.id, row.title, row.manual] for row in rows]
        ctx.out.table(["rule", "in short", "the manual's name"], lines, "")
        return
    found = explained.find(rule)
    ctx.out.document({"rule": msgspec.to_builtins(found)})
    ctx.out.line(f"{found.id}: {found.title} ({found.manual})")
    ctx.out.line()
    ctx.out.line(found.asks)
    if not found.holds_always:
        ctx.out.line("A company of level `observe` only notes what this rule would refuse.")
    if found.refused:
        ctx.out.line()
        ctx.out.table(["refused with", "when"], [list(row) for row in found.refused], "")
    ctx.out.line()
    ctx.out.line(f"Instead: {found.instead}")
    ctx.out.line(f"Try it: {found.try_it}")
