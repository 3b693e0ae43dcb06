"""Places elsewhere where talk goes on: a chat of an account of a channel, and the conversation here
that holds its messages."""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.config.channels import Channels
from homarus.conversations import keys
from homarus.store.port import Rx, Tx

MAX_TARGET: Final = 256


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a message came from, or is to go: `target` a chat as the platform names it; `reply_to`:
    the platform's id of the message that is answered."""

    channel: str
    account: str
    target: str
    thread: str | None = None
    reply_to: str | None = None

    @property
    def lane(self) -> str:
        """What goes the same way keeps its order."""
        return f"{self.channel}\x1f{self.account}\x1f{self.target}"


def route_of(metadata: dict[str, Any], key: str) -> Route | None:
    """The route in a message's metadata."""
    found = metadata.get(key)
    return None if found is None else msgspec.convert(found, Route)


# -- what somebody names -----------------------------------------------------------------------


def account_of(configured: Channels, channel: str, account: str | None) -> str:
    """The account of a channel that is meant; the default one where none is named.

    Raises `channel.unknown`, `channel.account`.
    """
    config = configured.get(channel)
    if config is None:
        raise unknown(channel)
    found = config.default_id() if account is None else keys.slug(account)
    if found not in config.account_ids():
        raise no_account(channel, found, config.account_ids())
    return found


def unknown(channel: str) -> NotFound:
    return NotFound(
        "channel.unknown", f"channel not configured: {channel[:40]}",
        "See `homarus channels status`, and docs/how-to/channels.md.",
    )  # fmt: skip


def no_account(channel: str, account: str, known: tuple[str, ...]) -> NotFound:
    return NotFound(
        "channel.account", f"{channel} has no account {account[:40]!r}",
        f"It has: {', '.join(known)}.",
    )  # fmt: skip


def target_of(channel: str, to: str) -> str:
    """A chat as the platform names it: `telegram:7` is `7`. Raises `delivery.target`."""
    text = to.strip()
    if text.lower().startswith(f"{channel}:"):
        text = text[len(channel) + 1 :].strip()
    if not text:
        raise Invalid("delivery.target", "no target", "Name the chat, as `to`.")
    check_target(text)
    return text


def check_target(target: str) -> None:
    """Raises `delivery.target`."""
    if not 0 < len(target) <= MAX_TARGET or not target.isprintable():
        raise Invalid("delivery.target", "unusable target", f"1 to {MAX_TARGET} characters.")


# -- what is known -----------------------------------------------------------------------------


def conversation(rx: Rx, company: str, route: Route) -> str | None:
    """The conversation of a place that is known."""
    row = rx.one(
        "select conversation from channel_place where company=? and channel=? and account=? "
        "and target=? and thread=?",
        (company, route.channel, route.account, route.target, route.thread or ""),
    )
    return None if row is None else str(row[0])


def heard(tx: Tx, route: Route, conversation: str, session: str | None, kind: str) -> None:
    """Somebody spoke there. From now on it belongs to this conversation."""
    tx.run(
        "insert into channel_place(company, channel, account, target, thread, conversation, "
        "session, kind, inbound_ms) values(?,?,?,?,?,?,?,?,?) "
        "on conflict(company, channel, account, target, thread) do update set "
        "conversation=excluded.conversation, session=excluded.session, kind=excluded.kind, "
        "inbound_ms=excluded.inbound_ms",
        (tx.company, route.channel, route.account, route.target, route.thread or "", conversation,
         session, kind, tx.now_ms),
    )  # fmt: skip


def opened(tx: Tx, route: Route, conversation: str, kind: str) -> None:
    """Something is to go there; whose place it is stays, where it is known."""
    tx.run(
        "insert into channel_place(company, channel, account, target, thread, conversation, kind) "
        "values(?,?,?,?,?,?,?) on conflict(company, channel, account, target, thread) do nothing",
        (tx.company, route.channel, route.account, route.target, route.thread or "", conversation,
         kind),
    )  # fmt: skip


def spoken_to(tx: Tx, route: Route, conversation: str, kind: str) -> None:
    """Something has arrived there; whose place it is stays, where it is known."""
    tx.run(
        "insert into channel_place(company, channel, account, target, thread, conversation, "
        "kind, outbound_ms) values(?,?,?,?,?,?,?,?) "
        "on conflict(company, channel, account, target, thread) do update set "
        "outbound_ms=excluded.outbound_ms",
        (tx.company, route.channel, route.account, route.target, route.thread or "", conversation,
         kind, tx.now_ms),
    )  # fmt: skip


def last_of(
    rx: Rx, company: str, conversation: str, channel: str | None = None, account: str | None = None
) -> Route | None:  # fmt: skip
    """Where a conversation was last heard from; on this channel and account, where one is named."""
    row = rx.one(
        "select channel, account, target, thread from channel_place where conversation=? "
        "and company=? and inbound_ms is not null and channel=coalesce(?, channel) "
        "and account=coalesce(?, account) order by inbound_ms desc limit 1",
        (conversation, company, channel, account),
    )
    return None if row is None else Route(row[0], row[1], row[2], row[3] or None)


def last_times(
    rx: Rx, company: str
) -> dict[tuple[str, str], tuple[int | None, int | None]]:  # fmt: skip
    """`(channel, account)` -> when something last came in, and went out."""
    rows = rx.all(
        "select channel, account, max(inbound_ms), max(outbound_ms) from channel_place "
        "where company=? group by channel, account",
        (company,),
    )
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}
