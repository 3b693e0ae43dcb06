"""homarus pairing: who may talk with agents on a channel."""

import click

from homarus.cli.asking import SHOWS, ask
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context

command = Group("pairing", help="People who ask to be let in on a channel.")

_COLUMNS = ("channel", "account", "person", "their id", "until", "request")


@command.command("list", shows=SHOWS)
@click.argument("channel", required=False)
@pass_context
def list_(ctx: Context, channel: str | None) -> None:
    """Requests that wait. Their codes are with those who made them."""
    reply = ask(ctx, "channels.pairing.list", {"channel": channel} if channel else {})
    ctx.out.document(reply)
    rows = [
        (r["channel"], r["accountId"], r["senderLabel"], r["senderId"], r["expiresAt"],
         r["requestId"])
        for r in reply["requests"]
    ]  # fmt: skip
    ctx.out.table(_COLUMNS, rows, "Nobody asks to be let in.")


def _decision(name: str, done: str, about: str) -> None:
    @command.command(name, help=about, shows=SHOWS)
    @click.argument("channel")
    @click.argument("code")
    @click.option("--account", help="Which account of the channel.")
    @pass_context
    def decide(ctx: Context, channel: str, code: str, account: str | None) -> None:
        params = {"channel": channel, "requestId": code}
        params |= {"accountId": account} if account else {}
        reply = ask(ctx, f"channels.pairing.{name}", params)
        ctx.out.document(reply)
        ctx.out.line(f"{done} {reply['senderId']}")


_decision("approve", "let in", "Let somebody in: CODE is what they were given, or the request.")
_decision("dismiss", "not let in", "Do not let somebody in, by code or request.")
