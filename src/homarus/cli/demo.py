"""homarus demo"""

from pathlib import Path

import click

from homarus.cli.command import Command
from homarus.cli.context import Context, pass_context
from homarus.cli.exit_codes import Exit


@click.command("demo", cls=Command, shows=("home", "json"))
@click.argument("path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--chaos", is_flag=True, help="Kill an agent and the daemon in the middle.")
@click.option(
    "--template",
    type=click.Choice(["studio", "solo"]),
    default="studio",
    help="How strict its company is: studio enforces the rules, solo records what they would say.",
)
@click.option("--keep", is_flag=True, help="Leave the daemon running at the end.")
@click.pass_context
@pass_context
def command(
    ctx: Context,
    click_context: click.Context,
    path: Path,
    chaos: bool,
    template: str,
    keep: bool,
) -> None:
    """Let a small company work on the files of PATH (this directory if left out).

    Nothing in PATH is changed; no network and no key is needed; without --home a scratch one is
    made. The exit code is 0 only if every task was done once, with one artifact each, and the
    ledger verifies.
    """
    from homarus.demo import runner

    options = runner.Options(
        path, ctx.given_home, chaos=chaos, keep=keep, quiet=ctx.json, template=template
    )
    outcome = runner.run(options)
    if ctx.given_home is None:
        ctx.given_home = Path(outcome.home)
        ctx.prefer("company", outcome.company)
    ctx.out.document(outcome.as_json())
    for check in outcome.checks:
        said = f": {check.detail}" if check.detail else ""
        ctx.out.line(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}{said}")
    audit = outcome.audit
    verdict = "verified" if audit.get("ok") else "NOT VERIFIED"
    ctx.out.line()
    ctx.out.fields(
        [
            ("report", outcome.report),
            ("page", outcome.page),
            ("receipts", outcome.receipts),
            ("rules", _ruled(outcome.level, outcome.refused, outcome.would_refuse)),
            ("audit verify", f"{verdict}, {audit.get('seals', 0)} seals"),
            ("sandbox", f"sandbox: {outcome.sandbox}"),
            ("home", outcome.home),
        ]
    )
    if outcome.pid is not None:
        ctx.out.line(
            f"\nThe daemon goes on. Open the page: homarus dashboard --home {outcome.home}"
        )
        ctx.out.line(f"Stop it: kill {outcome.pid}")
    else:
        ctx.out.line(f"\nThe daemon has ended. See the page: homarus up --home {outcome.home}")
    click_context.exit(Exit.OK if outcome.ok else Exit.FAILED)


def _ruled(level: str, refused: dict[str, int], would_refuse: dict[str, int]) -> str:
    """`level enforce: 0 refused`; with the rules where there were any."""
    counts, word = (would_refuse, "would have been refused") if level == "observe" else (
        refused, "refused",
    )  # fmt: skip
    by_rule = ", ".join(f"{rule} {n}" for rule, n in counts.items())
    return f"level {level}: {sum(counts.values())} {word}" + (f" ({by_rule})" if by_rule else "")
