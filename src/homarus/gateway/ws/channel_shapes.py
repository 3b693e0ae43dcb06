"""Channels as clients are shown them (gateway contract, 8)."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from homarus.base.clock import iso_ms
from homarus.conversations import pairing, routing
from homarus.conversations.pairing import Pairing
from homarus.flows import channel_inbound
from homarus.gateway.ws import shapes
from homarus.gateway.ws.hub import Hub
from homarus.store.port import Rx

if TYPE_CHECKING:
    from homarus.channels.worker import AccountStatus

Doc = dict[str, Any]
MAX_ISSUES: Final = 50
CHAT_KEYS: Final = {"discord": "channelId", "slack": "channelId", "whatsapp": "toJid"}
"""What a channel's clients call the place; all others: `chatId`."""


def of_company(hub: Hub, company: str, only: str | None = None) -> "list[AccountStatus]":
    """Accounts of channels; they are the default company's. None where no channel is configured,
    or the daemon has just begun."""
    switch = hub.means.channels
    if company != hub.default_company() or switch is None or switch.channels is None:
        return []
    return switch.channels.status(only)


def summary(found: "Iterable[AccountStatus]") -> Doc:
    """`channels`, `channelOrder`, `channelLabels` of `health`."""
    of = by_channel(found)
    return {
        "channels": {name: channel(accounts) for name, accounts in of.items()},
        "channelOrder": list(of),
        "channelLabels": {name: accounts[0].label for name, accounts in of.items()},
    }


def by_channel(found: "Iterable[AccountStatus]") -> "dict[str, list[AccountStatus]]":
    of: dict[str, list[AccountStatus]] = {}
    for row in found:
        of.setdefault(row.channel, []).append(row)
    return of


def channel(accounts: "list[AccountStatus]") -> Doc:
    """A channel is as its default account is; it runs when one of them does."""
    main = next((row for row in accounts if row.default), accounts[0])
    return shapes.without_none({
        "accountId": main.account, "configured": main.configured, "enabled": main.enabled,
        "running": any(row.running for row in accounts), "lastError": main.error,
        "lastStartAt": main.since_ms, "probe": main.probe,
    })  # fmt: skip


def account(
    row: "AccountStatus", times: tuple[int | None, int | None], waiting: dict[str, int]
) -> Doc:
    """`times`: when something last came in, and went out."""
    state = "healthy" if row.running else "stopped" if row.stopped else "down"
    return shapes.without_none({
        "accountId": row.account, "name": row.name, "enabled": row.enabled,
        "configured": row.configured, "running": row.running, "connected": row.running,
        "lastError": row.error, "lastStartAt": row.since_ms, "lastConnectedAt": row.since_ms,
        "lastInboundAt": times[0], "lastOutboundAt": times[1], "dmPolicy": row.dm_policy,
        "healthState": state, "probe": row.probe, "deliveries": waiting or None,
    })  # fmt: skip


def line(row: "AccountStatus") -> str:
    """For `status`."""
    state = "running" if row.running else row.error or ("stopped" if row.stopped else "not running")
    named = "" if row.account == "default" else f" ({row.account})"
    return f"{row.label}{named}: {state}"


def issues(
    rx: Rx, company: str, how: routing.Rules, found: "list[AccountStatus]",
    waiting: dict[tuple[str, str], dict[str, int]],
) -> list[Doc]:  # fmt: skip
    """What a person should see to. Those of kind `config` are of a whole channel, and told once."""
    told: list[Doc] = []
    without_adapter: set[str] = set()
    roster = channel_inbound.roster(rx, company)
    for row in found:

        def tell(kind: str, message: str, fix: str, row: "AccountStatus" = row) -> None:
            told.append({"channel": row.channel, "accountId": row.account, "kind": kind,
                         "message": message, "fix": fix})  # fmt: skip

        if row.enabled and not row.configured:
            if row.channel not in without_adapter:
                tell("config", "this version has no adapter for it", "Take it out of the file.")
            without_adapter.add(row.channel)
        elif row.enabled and row.error:
            tell("runtime", row.error, "It is tried again; see `homarus logs`.")
        for state, count in waiting.get((row.channel, row.account), {}).items():
            if state != "queued":
                tell("runtime", f"{count} deliveries are {state}",
                     f"See `homarus message list --state {state}`.")  # fmt: skip
        asking = len(pairing.pending(rx, company, row.channel, row.account))
        if asking:
            tell("permissions", f"{asking} people ask to be let in", "See `homarus pairing list`.")
        if row.default:
            answers = "nobody answers" if roster.default is None else "the default agent answers"
            for name in channel_inbound.missing(how, roster, row.channel):
                tell("config", f"a binding names the agent {name!r}, who is not there: {answers}",
                     "Correct `bindings`, or create the agent.")  # fmt: skip
            if roster.default is None:
                tell("config", "what no binding claims is answered by nobody: there is no default "
                     "agent", "Bind the channel to an agent, or call one `main`.")  # fmt: skip
    return told[:MAX_ISSUES]


def request(row: Pairing, label: str) -> Doc:
    """Without its code: that comes from the person."""
    at = iso_ms(row.created_ms)
    return shapes.without_none({
        "requestId": row.id, "channel": row.channel, "channelLabel": label,
        "accountId": row.account, "senderId": row.sender, "senderLabel": row.name or row.sender,
        "metadata": {"name": row.name} if row.name else None, "createdAt": at, "lastSeenAt": at,
        "expiresAt": iso_ms(row.expires_ms), "notifySupported": True,
    })  # fmt: skip
