"""homarus message: what goes out over channels."""

from uuid import uuid4

import click

from homarus.cli.asking import SHOWS, ask
from homarus.cli.command import Group
from homarus.cli.context import Context, pass_context
from homarus.cli.resource import given, limit_option, show_list, show_one
from homarus.client.paths import path_part

command = Group("message", help="Say something on a channel; what became of what went out.")

STATES = ("queued", "sending", "sent", "unknown", "failed", "dropped")
_COLUMNS = (
    ("number", "number"),
    ("state", "state"),
    ("to", lambda row: f"{row['channel']} {row['target']}"),
    ("text", lambda row: row["text"][:60]),
    ("why", "error"),
    ("created", "createdAt"),
)
_FIELDS = (
    *(column for column in _COLUMNS if column[0] != "text"),
    ("account", "accountId"),
    ("thread", "threadId"),
    ("attempts", "attempts"),
    ("parts out", "partsOut"),
    ("next attempt", "nextAt"),
    ("text", "text"),
)


@command.command("send", shows=SHOWS)
@click.option("--channel", help="Which channel; not needed where one alone is configured.")
@click.option("--target", "-t", required=True, help="The chat, as the platform names it.")
@click.option("--message", "-m", required=True, help="What is said.")
@click.option("--account", help="Which account of the channel [its default one].")
@click.option("--thread", help="A thread or topic in the chat.")
@click.option("--reply-to", help="The platform's id of a message that this answers.")
@click.option("--key", help="Idempotency key: said once, however often it is asked for.")
@pass_context
def send(
    ctx: Context, channel: str | None, target: str, message: str, account: str | None,
    thread: str | None, reply_to: str | None, key: str | None,
) -> None:  # fmt: skip
    """Say something on a channel, and wait until it has taken it.

    It is kept before it is sent: when the channel is down it goes out later.
    """
    params = given(
        channel=channel, to=target, message=message, accountId=account, threadId=thread,
        replyToId=reply_to,
    )  # fmt: skip
    reply = ask(ctx, "send", params | {"idempotencyKey": key or str(uuid4())})
    ctx.out.document(reply)
    ctx.out.line(f"sent to {reply['channel']} {reply['to']}: message {reply['messageId']}")


@command.command("list")
@click.option("--state", type=click.Choice(STATES), help="Only these.")
@limit_option
@pass_context
def list_(ctx: Context, state: str | None, limit: int) -> None:
    """What went out and what waits, newest first."""
    show_list(
        ctx, "/deliveries", "deliveries", _COLUMNS, limit=limit, empty="Nothing went out.",
        state=state,
    )  # fmt: skip


@command.command()
@click.argument("delivery")
@pass_context
def show(ctx: Context, delivery: str) -> None:
    """One delivery: DL-7, or its id."""
    show_one(ctx, ctx.api.get(f"/deliveries/{path_part(delivery)}"), "delivery", _FIELDS)


@command.command()
@click.argument("delivery")
@pass_context
def retry(ctx: Context, delivery: str) -> None:
    """Send one again that failed, or of which nobody knows whether it arrived."""
    reply = ctx.api.post(f"/deliveries/{path_part(delivery)}/retry", None)
    show_one(ctx, reply, "delivery", _FIELDS)


@command.command()
@click.argument("delivery")
@click.option("--reason", default="", help="Why it is not to be sent.")
@pass_context
def drop(ctx: Context, delivery: str, reason: str) -> None:
    """Give one up."""
    reply = ctx.api.post(f"/deliveries/{path_part(delivery)}/drop", {"reason": reason})
    show_one(ctx, reply, "delivery", _FIELDS)
