"""homarus channels: how channels do, and whether they run."""

from typing import Any

import click

from homarus.cli.asking import SHOWS, ask
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context

command = Group("channels", help="Messaging channels: how they do; start and stop them.")

_COLUMNS = ("channel", "account", "state", "last in", "last out", "why")


def _state(row: dict[str, Any]) -> str:
    if row["running"]:
        return "running"
    return "off" if not row["enabled"] else str(row["healthState"])


def issue_line(issue: dict[str, Any]) -> str:
    """One of `statusIssues`: those of kind `config` are of the whole channel."""
    is_named = issue["kind"] != "config" and issue["accountId"] != "default"
    account = f" {issue['accountId']}" if is_named else ""
    return f"{issue['channel']}{account}: {issue['message']}. {issue['fix']}"


@command.command("status", shows=SHOWS)
@click.option("--channel", help="Only this one.")
@click.option("--probe", is_flag=True, help="Ask the platforms whether the accounts work.")
@pass_context
def status(ctx: Context, channel: str | None, probe: bool) -> None:
    """The configured channels and their accounts, and what to see to."""
    from homarus.base.clock import iso_ms

    params: dict[str, Any] = {"probe": probe} | ({"channel": channel} if channel else {})
    reply = ask(ctx, "channels.status", params)
    ctx.out.document(reply)
    rows = [
        (
            name, row["accountId"], _state(row),
            iso_ms(row["lastInboundAt"]) if "lastInboundAt" in row else None,
            iso_ms(row["lastOutboundAt"]) if "lastOutboundAt" in row else None,
            row.get("lastError") or (row.get("probe") or {}).get("error"),
        )
        for name in reply["channelOrder"]
        for row in reply["channelAccounts"][name]
    ]  # fmt: skip
    ctx.out.table(_COLUMNS, rows, "No channel is configured: see docs/how-to/channels.md.")
    for issue in reply["statusIssues"]:
        ctx.out.alert(issue_line(issue))


def _control(name: str, about: str) -> None:
    @command.command(name, help=about, shows=SHOWS)
    @click.argument("channel")
    @click.option("--account", help="Which account [the default one].")
    @pass_context
    def control(ctx: Context, channel: str, account: str | None) -> None:
        params = {"channel": channel} | ({"accountId": account} if account else {})
        reply = ask(ctx, f"channels.{name}", params)
        ctx.out.document(reply)
        word = "started" if name == "start" else "stopped"
        did = word if reply[word] else f"was {word} before"
        ctx.out.line(f"{reply['channel']} {reply['accountId']}: {did}")


_control("start", "Have an account run that was stopped.")
_control("stop", "Have an account not run, until it is started or the daemon is.")
