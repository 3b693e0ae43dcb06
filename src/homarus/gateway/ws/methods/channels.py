"""Channels: how they do, who is let in, saying something on one (gateway contract, 8, 10).

`send`, `message.action` and `poll` are a message and a delivery, kept before anything is sent; they
answer when the channel has taken it, or say that it waits.
"""

from typing import Annotated, Any, Final

import msgspec

from homarus.channels.switch import Switch
from homarus.conversations import deliveries, pairing, places, routing, sessions
from homarus.conversations.deliveries import Delivery, State
from homarus.conversations.places import Route
from homarus.flows import channel_inbound, delivering
from homarus.gateway.ws import channel_shapes, frames
from homarus.gateway.ws.frames import Fault, Params
from homarus.gateway.ws.method import Ask, Desk, read, work, write
from homarus.kernel.scopes import ADMIN, PAIRING, READ, WRITE
from homarus.store.port import Rx, Tx

WAIT_S: Final = 25.0
"""How long a call waits for the channel; clients give up after 30."""
MAX_PROBE_S: Final = 30.0
QUEUED: Final = "OUTBOUND_DELIVERY_QUEUED"
Doc = dict[str, Any]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Option = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]


class Status(Params):
    probe: bool = False
    timeout_ms: int | None = None
    channel: str | None = None


class Send(Params):
    to: str
    idempotency_key: Key
    message: str | None = None
    media_url: str | None = None
    media_urls: list[str] | None = None
    buffer: str | None = None
    filename: str | None = None
    content_type: str | None = None
    as_voice: bool | None = None
    gif_playback: bool | None = None
    channel: str | None = None
    account_id: str | None = None
    agent_id: str | None = None
    thread_id: str | int | None = None
    reply_to_id: str | None = None
    session_key: str | None = None
    silent: bool | None = None
    force_document: bool | None = None
    parse_mode: str | None = None


class MessageAction(Params):
    action: str
    idempotency_key: Key
    channel: str | None = None
    params: dict[str, Any] = msgspec.field(default_factory=dict)
    account_id: str | None = None
    agent_id: str | None = None
    session_key: str | None = None
    session_id: str | None = None
    sender_is_owner: bool | None = None
    conversation_read_origin: Any = None
    requester_account_id: str | None = None
    requester_sender_id: str | None = None
    inbound_turn_kind: str | None = None
    tool_context: Any = None
    reply: Any = None


class Poll(Params):
    to: str
    question: Option
    options: Annotated[list[Option], msgspec.Meta(min_length=2, max_length=12)]
    idempotency_key: Key
    max_selections: Annotated[int, msgspec.Meta(ge=1, le=12)] | None = None
    duration_seconds: int | None = None
    duration_hours: int | None = None
    silent: bool | None = None
    is_anonymous: bool | None = None
    thread_id: str | int | None = None
    channel: str | None = None
    account_id: str | None = None


class OfAccount(Params):
    channel: str
    account_id: str | None = None


class Requests(Params):
    channel: str | None = None
    account_id: str | None = None


class Decision(Params):
    """`request_id`: the request's, or the code that its person has."""

    channel: str
    request_id: str
    account_id: str | None = None
    notify: bool | None = None
    bootstrap_command_owner: bool | None = None


# -- how they do ---------------------------------------------------------------------------


async def status(desk: Desk, params: Status) -> Doc:
    switch = _switch(desk)
    found = channel_shapes.of_company(desk.hub, desk.peer.company, params.channel)
    if params.probe and switch.channels is not None:
        asked_s = MAX_PROBE_S if params.timeout_ms is None else params.timeout_ms / 1000
        found = [await switch.channels.probe(row, asked_s) for row in found]
    how = routing.Rules() if switch.channels is None else switch.channels.rules()
    told: Doc = await desk.read(_told, desk.peer.company, how, found)
    of = channel_shapes.by_channel(found)
    labels = {name: rows[0].label for name, rows in of.items()}
    return {
        "ts": desk.hub.now_ms(),
        **channel_shapes.summary(found),
        "channelDetailLabels": labels,
        "channelSystemImages": {},
        "channelMeta": [
            {"id": name, "label": label, "detailLabel": label} for name, label in labels.items()
        ],
        "channelDefaultAccountId": {
            name: next((row.account for row in rows if row.default), rows[0].account)
            for name, rows in of.items()
        },
        **told,
    }


def _told(rx: Rx, company: str, how: routing.Rules, found: list[Any]) -> Doc:
    times = places.last_times(rx, company)
    waiting = deliveries.waiting(rx, company)
    accounts: dict[str, list[Doc]] = {}
    for row in found:
        place = (row.channel, row.account)
        shape = channel_shapes.account(row, times.get(place, (None, None)), waiting.get(place, {}))
        accounts.setdefault(row.channel, []).append(shape)
    issues = channel_shapes.issues(rx, company, how, found, waiting)
    return {"channelAccounts": accounts, "statusIssues": issues}


async def start(desk: Desk, params: OfAccount) -> Doc:
    return await _control(desk, params, begin=True)


async def stop(desk: Desk, params: OfAccount) -> Doc:
    return await _control(desk, params, begin=False)


async def _control(desk: Desk, params: OfAccount, *, begin: bool) -> Doc:
    desk.instance_only()
    channels = _channels(desk, params.channel)
    place = channels.place(params.channel, params.account_id)
    if begin:
        channels.accounts.check_start(place)
    word = "start" if begin else "stop"
    await desk.write(_note_control, f"channel_{word}", place, target=f"channel:{place[0]}",
                     what=f"{word} {place[0]} {place[1]}")  # fmt: skip
    did = await (channels.accounts.start(place) if begin else channels.accounts.stop(place))
    return {"channel": place[0], "accountId": place[1], "started" if begin else "stopped": did}


def _note_control(tx: Tx, kind: str, place: tuple[str, str]) -> None:
    tx.emit(kind, tx.company, {"channel": place[0], "account": place[1]})


# -- who is let in -------------------------------------------------------------------------


def requests(rx: Rx, ask: Ask) -> Doc:
    rows = pairing.pending(rx, ask.company, ask.params.channel, ask.params.account_id)
    found = [channel_shapes.request(row, row.channel.capitalize()) for row in rows]
    accounts = {(row.channel, row.account): None for row in rows}
    return {
        "accounts": [
            {"channel": channel, "channelLabel": channel.capitalize(), "accountId": account,
             "notifySupported": True}
            for channel, account in accounts
        ],
        "requests": found, "commandOwnerConfigured": True,
        "limits": {"pendingPerAccount": pairing.MAX_PENDING, "ttlMs": pairing.LIFE_MS},
    }  # fmt: skip


def approve(tx: Tx, ask: Ask) -> Doc:
    params: Decision = ask.params
    notify = params.notify is not False
    row = channel_inbound.decide_pairing(
        tx, params.channel, params.request_id, params.account_id, approve=True, notify=notify
    )
    return {"requestId": row.id, "senderId": row.sender,
            "notification": "sent" if notify else "not-requested",
            "commandOwnerBootstrap": "not-requested"}  # fmt: skip


def dismiss(tx: Tx, ask: Ask) -> Doc:
    params: Decision = ask.params
    row = channel_inbound.decide_pairing(
        tx, params.channel, params.request_id, params.account_id, approve=False
    )
    return {"requestId": row.id, "senderId": row.sender}


# -- saying something ----------------------------------------------------------------------


async def send(desk: Desk, params: Send) -> Doc:
    if params.media_url or params.media_urls or params.buffer:
        raise Fault(frames.INVALID_REQUEST, "only text is sent: media is not", {"code": "media"})
    return await _say(
        desk, params.channel, params.account_id, params.to, params.message or "",
        params.idempotency_key, params.thread_id, params.reply_to_id, params.session_key,
    )  # fmt: skip


async def action(desk: Desk, params: MessageAction) -> Doc:
    """What the command line of the original calls for all that it does on a channel."""
    if params.action != "send":
        raise Fault(
            frames.INVALID_REQUEST,
            f"message action not supported: {params.action[:40]}; only `send` is",
            {"code": "channel.action", "action": params.action[:40]},
        )
    given = params.params
    told = await _say(
        desk, _first(given, "channel") or params.channel,
        params.account_id or _first(given, "accountId"), _first(given, "to", "target") or "",
        _first(given, "message", "text", "content") or "", params.idempotency_key,
        _first(given, "threadId"), _first(given, "replyTo", "replyToId"), None,
    )  # fmt: skip
    return {"ok": True, "action": "send"} | told


async def poll(desk: Desk, params: Poll) -> Doc:
    """As a text: no adapter has polls of its own yet."""
    lines = [params.question, *(f"{n}. {text}" for n, text in enumerate(params.options, 1))]
    most = params.max_selections or 1
    lines.append(f"Answer with a number, or up to {most}." if most > 1 else "Answer with a number.")
    return await _say(
        desk, params.channel, params.account_id, params.to, "\n".join(lines),
        params.idempotency_key, params.thread_id, None, None,
    )  # fmt: skip


def _first(given: Doc, *names: str) -> str | None:
    for name in names:
        value = given.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value)
    return None


async def _say(
    desk: Desk, channel: str | None, account: str | None, to: str, text: str, key: str,
    thread: str | int | None, reply_to: str | None, session: str | None,
) -> Doc:  # fmt: skip
    """Keep it, and wait for what becomes of it. Raises Fault."""
    desk.instance_only()
    name = channel.strip().lower() if channel else _only(desk)
    channels = _channels(desk, name)
    place = channels.place(name, account)
    target = places.target_of(name, to)
    route = Route(place[0], place[1], target, None if thread is None else str(thread), reply_to)
    new = delivering.NewSend(route, text, f"{desk.peer.token.id}:{key}", session)
    row: Delivery = await desk.write(
        _queue, new, target=f"channel:{name}", what=f"{name} {route.target}: {text[:200]}"
    )
    if channels.runs(place) or row.state not in deliveries.OPEN:
        row = await desk.until(lambda: _settled(desk, row.id), WAIT_S) or await desk.read(
            deliveries.need, desk.peer.company, row.id
        )
    return _answer(row, key)


def _queue(tx: Tx, new: delivering.NewSend) -> Delivery:
    """A session that is not there yet keeps nothing; the place's own conversation does."""
    if new.session is not None and sessions.by_key(tx, tx.company, new.session.lower()) is None:
        new = msgspec.structs.replace(new, session=None)
    return delivering.send(tx, new)


async def _settled(desk: Desk, delivery: str) -> Delivery | None:
    """Once it has ended, or waits: for its next attempt, or because of a STOP."""
    row: Delivery = await desk.read(_seen, desk.peer.company, delivery)
    waits = row.state is State.QUEUED and row.error is not None
    return row if waits or row.state not in deliveries.OPEN else None


def _seen(rx: Rx, company: str, delivery: str) -> Delivery:
    row = deliveries.need(rx, company, delivery)
    held = row.state is State.QUEUED and delivering.is_held(rx, row)
    return msgspec.structs.replace(row, error="a STOP is in force") if held else row


def _answer(row: Delivery, key: str) -> Doc:
    """Raises Fault."""
    about = {"deliveryId": row.id, "channel": row.channel}
    if row.state is State.SENT:
        chat = channel_shapes.CHAT_KEYS.get(row.channel, "chatId")
        return {
            "runId": key, "messageId": row.posted[-1], "channel": row.channel, "to": row.target,
            chat: row.target, "accountId": row.account, "deliveryId": row.id,
        }  # fmt: skip
    if row.state in deliveries.OPEN:
        why = row.error or f"{row.channel} {row.account} is not running"
        raise Fault(
            frames.UNAVAILABLE, f"not sent yet: {why}. It is kept and sent as soon as it can be",
            about | {"code": QUEUED}, retry_ms=frames.RETRY_MS,
        )  # fmt: skip
    raise Fault(
        frames.UNAVAILABLE, f"{row.state.value}: {row.error}. See `homarus message show "
        f"{row.number}`", about | {"code": f"delivery.{row.state.value}"},
    )  # fmt: skip


_LISTED: Final = "`homarus channels status` (`channels.status`) lists what there is"


def _only(desk: Desk) -> str:
    """The channel that is meant where none is named."""
    found = list(
        dict.fromkeys(row.channel for row in channel_shapes.of_company(desk.hub, desk.peer.company))
    )
    if len(found) == 1:
        return found[0]
    what = f"which channel? {', '.join(found)}" if found else "no channel is configured"
    raise Fault(frames.INVALID_REQUEST, f"{what}; {_LISTED}",
                {"code": "channel.unknown"})  # fmt: skip


def _switch(desk: Desk) -> Switch:
    switch = desk.hub.means.channels
    if switch is None:
        raise AssertionError("a daemon has channels, if none are configured")
    return switch


def _channels(desk: Desk, name: str) -> Any:
    found = _switch(desk).channels
    if found is None:
        raise Fault(
            frames.INVALID_REQUEST,
            f"channel not configured: {name[:40]}; {_LISTED}",
            {"code": "channel.unknown"},
        )
    return found


_HOW: Final[dict[str, Any]] = {"capability": "channel.send", "target": "channel:"}
METHODS: Final = (
    work("channels.status", READ, Status, status, "Configured channels, and how they do",
         "channels, channelAccounts, statusIssues"),
    work("channels.start", ADMIN, OfAccount, start, "Have an account of a channel run",
         "channel, accountId, started", capability="channel.control", target="channel:"),
    work("channels.stop", ADMIN, OfAccount, stop, "Have it not run until it is started",
         "channel, accountId, stopped", capability="channel.control", target="channel:"),
    read("channels.pairing.list", PAIRING, Requests, requests, "People who ask to be let in",
         "requests, accounts, limits"),
    write("channels.pairing.approve", PAIRING, Decision, "channel.pair", approve,
          "Let somebody talk with agents", "requestId, senderId", target="channel:"),
    write("channels.pairing.dismiss", PAIRING, Decision, "channel.pair", dismiss,
          "Do not let somebody in", "requestId, senderId", target="channel:"),
    work("send", WRITE, Send, send, "Say something on a channel", "messageId, channel", **_HOW),
    work("message.action", WRITE, MessageAction, action, "The same, as commands ask for it",
         "ok, messageId, channel", **_HOW),
    work("poll", WRITE, Poll, poll, "Ask something on a channel, as a text with numbers",
         "messageId, channel", **_HOW),
)  # fmt: skip
