"""Where the answer of a turn is told besides its conversation: asked for with a run or with a job.

    read(said)           what somebody wrote becomes a Wish
    checked(tx, …)       whether that can be, when it is asked for
    way(rx, turn)        where the answer goes, when the turn ends (`delivering.answer`)
    came_to(rx, turn)    what became of it, from the delivery's row

A wish stands in the turn's options, so that it is there after a crash. A place that is gone when
the turn ends is no failure of the turn: what it did is done, and doing it again would double it.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents
from homarus.config.channels import Channels
from homarus.conversations import deliveries, keys, outgoing, places, sessions, turns
from homarus.conversations.deliveries import State as Sending
from homarus.conversations.places import Route
from homarus.conversations.turns import CRON, State, Turn
from homarus.jobs import service as jobs
from homarus.jobs.model import TURN, Job, Run
from homarus.jobs.model import State as Running
from homarus.store.port import Rx, Tx

OPTION: Final = "deliver"
"""Option of a turn: its Wish, as it is stored."""
FIELD: Final = "delivery"
"""The wish of a job, in what it does."""
NONE: Final = "none"
ANNOUNCE: Final = "announce"
WEBHOOK: Final = "webhook"
MODES: Final = (NONE, ANNOUNCE, WEBHOOK)
LAST: Final = "last"
MAX_THREAD: Final = 256

DELIVERED: Final = "delivered"
NOT_DELIVERED: Final = "not-delivered"
UNKNOWN: Final = "unknown"
NOT_REQUESTED: Final = "not-requested"
STATUS: Final = {
    Sending.QUEUED: UNKNOWN, Sending.SENDING: UNKNOWN, Sending.UNKNOWN: UNKNOWN,
    Sending.SENT: DELIVERED, Sending.FAILED: NOT_DELIVERED, Sending.DROPPED: NOT_DELIVERED,
}  # fmt: skip

WAITS: Final = (Running.WAITING, Running.RUNNING, Running.FAILED)
"""States of a run that may have an answer yet."""


class Wish(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """`channel`: an id, or `last`: wherever the conversation was last heard from; `to`: a chat
    there, None: where it was last heard from on that channel. `best_effort`: that there is no such
    place is no reason to refuse it. `implied`: nobody said so; without a place nothing is missed.
    """

    mode: str = ANNOUNCE
    channel: str = LAST
    to: str | None = None
    account_id: str | None = None
    thread_id: str | int | None = None
    best_effort: bool = False
    implied: bool = False


SILENT: Final = Wish(NONE)
IMPLIED: Final = Wish(implied=True)


def read(said: Any) -> Wish:
    """Raises `delivery.shape`, `delivery.mode`, `delivery.webhook`."""
    given = {k: v for k, v in said.items() if v is not None} if isinstance(said, dict) else said
    try:
        wish = msgspec.convert(given, Wish)
    except msgspec.ValidationError as error:
        raise Invalid(
            "delivery.shape", f"unusable delivery: {error}",
            "Give `mode` none or announce, `channel`, `to`, `accountId`, `threadId`, `bestEffort`.",
        ) from None  # fmt: skip
    if wish.mode not in MODES:
        raise Invalid("delivery.mode", f"no delivery mode {wish.mode[:40]!r}", "none or announce.")
    if wish.mode == WEBHOOK:
        raise Invalid(
            "delivery.webhook", "a run calls no webhook",
            "Have a mirror push what changes (`homarus mirror add NAME --type webhook`), or follow "
            "the event `cron` and ask `cron.runs`.",
        )  # fmt: skip
    return msgspec.structs.replace(wish, channel=wish.channel.strip().lower() or LAST,
                                   implied=False)  # fmt: skip


def stored(wish: Wish) -> dict[str, Any]:
    """In options and in what a job does; clients are told the same."""
    known = {"mode": wish.mode}
    if wish.mode == NONE:
        return known
    more = {"to": wish.to, "accountId": wish.account_id, "threadId": wish.thread_id,
            "bestEffort": wish.best_effort or None, "implied": wish.implied or None}  # fmt: skip
    return known | {"channel": wish.channel} | {k: v for k, v in more.items() if v is not None}


def checked(tx: Tx, wish: Wish, configured: Channels, home: str | None) -> Wish:
    """What is meant, with the account's id. `home`: the conversation whose last place counts.

    Raises `channel.unknown`, `channel.account`, `delivery.target`, `delivery.no_place`.
    """
    if wish.mode == NONE:
        return SILENT
    if wish.channel == LAST:
        if wish.to is not None or wish.account_id is not None or wish.thread_id is not None:
            raise Invalid("delivery.target", "`last` names a chat already",
                          "Name the channel of `to`, or leave `to` out.")  # fmt: skip
        return wish
    account = places.account_of(configured, wish.channel, wish.account_id)
    if wish.to is None:
        named = None if wish.account_id is None else account
        wish = msgspec.structs.replace(wish, account_id=named, thread_id=None)
        if not wish.best_effort and _last(tx, tx.company, home, wish) is None:
            raise no_place(wish)
        return wish
    thread = None if wish.thread_id is None else str(wish.thread_id)
    if thread is not None and (not 0 < len(thread) <= MAX_THREAD or not thread.isprintable()):
        raise Invalid("delivery.target", "unusable thread", f"1 to {MAX_THREAD} characters.")
    return msgspec.structs.replace(
        wish, to=places.target_of(wish.channel, wish.to), account_id=account, thread_id=thread
    )


def settled(tx: Tx, wish: Wish, configured: Channels, home: str | None) -> dict[str, Any]:
    """As options of a turn that begins now: its place is settled with it. Raises as `checked`, and
    `delivery.no_place` where nobody was heard from and `best_effort` does not say that it matters
    little."""
    wish = checked(tx, wish, configured, home)
    route = None if wish.mode == NONE else _route(tx, tx.company, home, wish)
    if route is not None:
        there = Wish(ANNOUNCE, route.channel, route.target, route.account, route.thread)
        return {OPTION: stored(there)}
    if wish.mode == NONE or wish.best_effort:
        return {}
    raise no_place(wish)


def no_place(wish: Wish) -> Invalid:
    return Invalid("delivery.no_place", f"no place to deliver to: {_nobody(wish)}",
                   "Name the channel and the chat, as `to`.")  # fmt: skip


def _nobody(wish: Wish) -> str:
    where = "a channel" if wish.channel == LAST else wish.channel
    return f"nobody was heard from on {where} in this conversation yet"


# -- places ------------------------------------------------------------------------------------


def home_of(rx: Rx, company: str, agent: agents.Agent, key: str | None) -> str | None:
    """The conversation whose last place counts, of a session by its full key: its own. A job's own
    session is heard from nowhere: there, and without a key, it is the agent's own."""
    main = keys.main_of(agent.name)
    own = key is None or key.startswith(f"{main.removesuffix(keys.MAIN)}{CRON}:")
    found = sessions.by_key(rx, company, main if own or key is None else key)
    return None if found is None else found.conversation


def _last(rx: Rx, company: str, home: str | None, wish: Wish) -> Route | None:
    if home is None:
        return None
    channel = None if wish.channel == LAST else wish.channel
    return places.last_of(rx, company, home, channel, wish.account_id)


def _route(rx: Rx, company: str, home: str | None, wish: Wish) -> Route | None:
    if wish.to is None or wish.account_id is None:
        return _last(rx, company, home, wish)
    thread = None if wish.thread_id is None else str(wish.thread_id)
    return Route(wish.channel, wish.account_id, wish.to, thread)


def wish_of(row: Turn) -> Wish | None:
    said = row.options.get(OPTION)
    return None if said is None else msgspec.convert(said, Wish)


def way(rx: Rx, row: Turn, wish: Wish) -> Route | None:
    """Where the answer of a turn goes; None: nowhere, or there is no such place."""
    if wish.mode == NONE:
        return None
    session = sessions.need(rx, row.company, row.session)
    agent = agents.need(rx, row.company, row.agent)
    return _route(rx, row.company, home_of(rx, row.company, agent, session.key), wish)


# -- jobs --------------------------------------------------------------------------------------


def of_job(job: Job) -> Wish:
    """Of a job that says nothing, in a session of its own: wherever its agent was last heard from.
    One that was defined before deliveries were obeyed stays silent, if a client had a word on it.
    """
    said = job.does.get(FIELD)
    if said is not None:
        return msgspec.convert(said, Wish)
    if job.what != TURN or job.does.get("session") or job.wire.get(FIELD):
        return SILENT
    return IMPLIED


def with_wish(does: dict[str, Any], said: Any) -> dict[str, Any]:
    """What a job does, with another wish as somebody wrote it; None: with none of its own. Raises
    as `read`."""
    rest = {name: value for name, value in does.items() if name != FIELD}
    return rest if said is None else rest | {FIELD: stored(read(said))}


def told(job: Job) -> dict[str, Any]:
    """The wish of a job, for clients."""
    return {name: value for name, value in stored(of_job(job)).items() if name != "implied"}


# -- what became of it -------------------------------------------------------------------------


class CameTo(msgspec.Struct, frozen=True):
    """`status`: delivered, not-delivered, unknown (also: on its way, or not answered yet),
    not-requested."""

    status: str
    why: str | None = None


def came_to_of(rx: Rx, run: Run) -> CameTo:
    """Of a job's run; before it has a turn, and where it never had one, by its job's wish."""
    found = None
    if run.what == TURN and run.subject is not None:
        found = turns.by_id(rx, run.company, run.subject)
    if found is not None or run.what != TURN:
        return came_to(rx, found)
    job = jobs.by_id(rx, run.company, run.job)
    wish = SILENT if job is None else of_job(job)
    if wish.mode == NONE or wish.implied:
        return CameTo(NOT_REQUESTED)
    over = run.state not in WAITS
    return CameTo(NOT_DELIVERED, "there was no answer") if over else CameTo(UNKNOWN)


def came_to(rx: Rx, row: Turn | None) -> CameTo:
    wish = None if row is None else wish_of(row)
    if row is None or wish is None or wish.mode == NONE:
        return CameTo(NOT_REQUESTED)
    sent = None if row.reply is None else deliveries.of_message(rx, row.company, row.reply)
    if sent is not None:
        return CameTo(STATUS[sent.state], sent.error)
    if row.state in turns.OPEN and (not wish.implied or way(rx, row, wish) is not None):
        return CameTo(UNKNOWN)
    if wish.implied:
        return CameTo(NOT_REQUESTED)
    if row.state is not State.DONE:
        return CameTo(NOT_DELIVERED, "there was no answer")
    if not outgoing.spoken(str((row.outcome or {}).get("text") or "")):
        return CameTo(NOT_DELIVERED, "there was nothing to say")
    return CameTo(NOT_DELIVERED, _nobody(wish))
