"""Deliveries over the domains: an answer on its way back, something sent by hand, each attempt and
what became of it.

An answer becomes a delivery in the unit that ends its turn. `attempt` is the intent, `settle` and
`part_out` are outcomes; in between the channel is asked to act. What a crash leaves in between is
looked up where the channel can, else `unknown`: an operator decides, nothing is sent again blindly.
"""

import hashlib
import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid
from homarus.company import agents
from homarus.conversations import deliveries, outgoing, places, sessions, sql
from homarus.conversations import service as talk
from homarus.conversations.deliveries import Delivery, State
from homarus.conversations.model import (
    MAX_TEXT,
    MAX_TITLE,
    Conversation,
    DeliveryState,
    Draft,
    Message,
    Sender,
    SenderType,
)
from homarus.conversations.places import Route
from homarus.conversations.rules import ROUTE
from homarus.conversations.turns import HEARTBEAT, Turn
from homarus.flows import announcing
from homarus.kernel import stop
from homarus.records import incidents
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

LEASE_MS: Final = 120_000
SENT_TO: Final = "sentTo"
"""Metadata of a message that was sent by hand: where to."""
REGRET: Final = "Sorry, this could not be answered."
PLACE: Final = "channel"
UNKNOWN_AFTER_CRASH: Final = "the daemon ended while it was being sent"


# -- what is to go out -------------------------------------------------------------------------


def answer(tx: Tx, row: Turn, said: Message | None) -> None:
    """A turn has ended with a message: it goes where it was asked to be delivered, else back to the
    channel that its asker wrote from. Of a heartbeat it goes where its conversation was last heard
    from."""
    if said is None:
        return
    if row.origin == HEARTBEAT:
        route = places.last_of(tx, tx.company, said.conversation)
    else:
        route = _way(tx, row)
    if route is not None:
        _of_agent(tx, row, route, said.text, said.id)


def regret(tx: Tx, row: Turn) -> None:
    """A turn has ended without an answer: whoever asked from a channel hears that much. Where an
    answer was to be delivered, nobody waits for it."""
    route = None if row.origin == HEARTBEAT else _way_back(tx, row)
    if route is None:
        return
    session = sessions.need(tx, tx.company, row.session)
    place = talk.need(tx, tx.company, session.conversation)
    said, _ = talk.post(tx, place, Draft(Sender(SenderType.SYSTEM, None), REGRET))
    _of_agent(tx, row, route, REGRET, said.id)


def reply(tx: Tx, asked: Message, said: Message) -> None:
    """The daemon's own word on a message (`/new`): back to where that came from."""
    route = places.route_of(asked.metadata, ROUTE)
    if route is not None:
        deliveries.insert(tx, route, said.text, said.id)


def _way_back(rx: Rx, row: Turn) -> Route | None:
    asked = None if row.message is None else sql.message(rx, row.company, row.message)
    return None if asked is None else places.route_of(asked.metadata, ROUTE)


def _way(rx: Rx, row: Turn) -> Route | None:
    wish = announcing.wish_of(row)
    return _way_back(rx, row) if wish is None else announcing.way(rx, row, wish)


def same_way(rx: Rx, one: Turn, other: Turn) -> bool:
    """Whether one answer reaches the askers of both: it goes to one place, or stays at home."""
    ways = [_way(rx, row) for row in (one, other)]
    places_ = [None if w is None else (w.lane, w.thread) for w in ways]
    return places_[0] == places_[1]


def _of_agent(tx: Tx, row: Turn, route: Route, text: str, message: str) -> None:
    words = outgoing.spoken(text)
    if not words:
        return
    agent = agents.by_id(tx, tx.company, row.agent)
    session = sessions.need(tx, tx.company, row.session)
    deliveries.insert(
        tx, route, words, message, speaker=None if agent is None else agent.name, agent=row.agent,
        task=session.task,
    )  # fmt: skip


def tell(tx: Tx, route: Route, text: str) -> Delivery:
    """The daemon's own word to somebody who has no session."""
    known = places.conversation(tx, tx.company, route)
    place = open_aside(tx, route) if known is None else talk.need(tx, tx.company, known)
    said, _ = talk.post(tx, place, Draft(Sender(SenderType.SYSTEM, None), text))
    return deliveries.insert(tx, route, text, said.id)


def open_aside(tx: Tx, route: Route) -> Conversation:
    """A conversation for a place that none of an agent's is for."""
    title = f"{route.channel} {route.target}"[:MAX_TITLE]
    place = talk.create(tx, PLACE, title=title)
    places.opened(tx, route, place.id, PLACE)
    return place


class NewSend(msgspec.Struct, frozen=True):
    """Something that somebody has sent. `session`: the full key of the session whose conversation
    keeps it; None: that of the place, as far as one is known. `key`: idempotency key, whole."""

    route: Route
    text: str
    key: str
    session: str | None = None


def send(tx: Tx, new: NewSend) -> Delivery:
    """Keep it and queue it; the same one for the same key.

    Raises `delivery.key`, `delivery.conflict`, `delivery.target`, `message.text`,
    `session.unknown`.
    """
    if not 0 < len(new.key) <= deliveries.MAX_KEY:
        raise Invalid("delivery.key", "unusable idempotency key", "1 to 200 characters.")
    places.check_target(new.route.target)
    digest = _digest(new)
    known = deliveries.by_key(tx, tx.company, new.key)
    if known is not None:
        if known.digest != digest:
            raise Conflict(
                "delivery.conflict", "this idempotency key stands for another message",
                "Use a new key for a new message.",
            )  # fmt: skip
        return known
    text = outgoing.spoken(new.text[: MAX_TEXT + 1])
    place, task = _kept_in(tx, new)
    about: dict[str, Any] = {SENT_TO: msgspec.to_builtins(new.route), "senderName": tx.actor.name}
    said, _ = talk.post(tx, place, Draft(Sender(SenderType.SYSTEM, None), text, metadata=about))
    talk.progress(tx, said.id, DeliveryState.RESOLVED)
    places.opened(tx, new.route, place.id, PLACE)
    return deliveries.insert(
        tx, new.route, text, said.id, task=task, key=new.key, digest=digest
    )  # fmt: skip


def _kept_in(tx: Tx, new: NewSend) -> tuple[Conversation, str | None]:
    if new.session is not None:
        session = sessions.need(tx, tx.company, new.session)
        return talk.need(tx, tx.company, session.conversation), session.task
    known = places.conversation(tx, tx.company, new.route)
    return (open_aside(tx, new.route) if known is None else talk.need(tx, tx.company, known)), None


def _digest(new: NewSend) -> bytes:
    what = [msgspec.to_builtins(new.route), new.text, new.session]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).digest()


# -- sending it --------------------------------------------------------------------------------


def is_held(rx: Rx, row: Delivery) -> bool:
    """Whether a STOP covers it: its company, its agent, its session's task or trace."""
    stops = stop.active(rx, row.company)
    if not stops:
        return False
    subjects = {row.company, row.agent, row.task}
    task = None if row.task is None else tasks.by_id(rx, row.company, row.task)
    if task is not None:
        subjects |= {task.trace}
    return any(each.subject in subjects for each in stops)


def attempt(tx: Tx, delivery: str) -> Delivery | None:
    """The intent: it is about to be sent. None: it is somebody else's, held, or past its tries."""
    row = deliveries.by_id(tx, tx.company, delivery)
    if row is None or row.state is not State.QUEUED or row.next_ms > tx.now_ms or is_held(tx, row):
        return None
    if row.task is not None:
        tx.about(task=row.task)
    if row.attempts >= deliveries.MAX_ATTEMPTS:
        _failed(tx, row, "give_up", row.error or "tried too often")
        return None
    return deliveries.move(
        tx, row, "begin", attempts=row.attempts + 1, token=row.token + 1,
        until_ms=tx.now_ms + LEASE_MS,
    )  # fmt: skip


def part_out(tx: Tx, delivery: str, token: int, platform_id: str, last: bool) -> Delivery:
    """The outcome of a part that is out, the `last` of them or not. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    _about(tx, row)
    if not last:
        return deliveries.part_out(tx, row, platform_id, tx.now_ms + LEASE_MS)
    places.spoken_to(tx, row.route, _conversation(tx, row), PLACE)
    return deliveries.move(
        tx, row, "sent", parts_out=row.parts_out + 1, posted=[*row.posted, platform_id], error=None
    )


def later(tx: Tx, delivery: str, token: int, why: str, asked_ms: int = 0) -> Delivery:
    """Nothing of this part left the house; it is tried again. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    _about(tx, row)
    if row.attempts >= deliveries.MAX_ATTEMPTS:
        row = deliveries.move(tx, row, "later", error=why)
        return _failed(tx, row, "give_up", why)
    wait_ms = deliveries.wait_ms(row.attempts, asked_ms)
    return deliveries.move(tx, row, "later", error=why, next_ms=tx.now_ms + wait_ms)


def refuse(tx: Tx, delivery: str, token: int, why: str) -> Delivery:
    """The channel will never take it. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    _about(tx, row)
    return _failed(tx, row, "refuse", why)


def doubt(tx: Tx, delivery: str, token: int, why: str) -> Delivery:
    """Nobody can tell whether it arrived. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    _about(tx, row)
    row = deliveries.move(tx, row, "doubt", error=why)
    _open_incident(tx, row, "delivery_unknown", f"may or may not have arrived: {why}")
    return row


def again(tx: Tx, delivery: str, token: int) -> Delivery:
    """It was looked up, and did not arrive: sent again at once. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    return deliveries.move(tx, row, "later", next_ms=tx.now_ms)


def take_over(tx: Tx, delivery: str, token: int) -> Delivery:
    """Have one whose sender is dead, under a new fence. Raises `delivery.lost`."""
    row = deliveries.held(tx, tx.company, delivery, token)
    if not tx.run(
        "update delivery set token=token+1, until_ms=? where id=? and token=?",
        (tx.now_ms + LEASE_MS, row.id, token),
    ):
        raise deliveries.lost(row)
    tx.emit("delivery_taken_over", row.id)
    return deliveries.need(tx, tx.company, row.id)


def _failed(tx: Tx, row: Delivery, move: str, why: str) -> Delivery:
    row = deliveries.move(tx, row, move, error=why)
    _open_incident(tx, row, "delivery_failed", f"did not arrive: {why}")
    return row


def _open_incident(tx: Tx, row: Delivery, code: str, what: str) -> None:
    incidents.open_incident(
        tx, severity="medium", reason_code=code, task=row.task,
        company_wide=row.task is None,
        summary=f"{row.number} to {row.channel} {row.target} {what}. "
        f"See `homarus message show {row.number}`.",
    )  # fmt: skip


def _about(tx: Tx, row: Delivery) -> None:
    if row.task is not None:
        tx.about(task=row.task)


def _conversation(rx: Tx, row: Delivery) -> str:
    said = sql.message(rx, row.company, row.message)
    if said is None:
        raise AssertionError(f"{row.number} is of no message")
    return said.conversation


# -- what an operator does with it -------------------------------------------------------------


def retry(tx: Tx, ref: str) -> Delivery:
    """Send one again that is unknown or failed. Raises `delivery.unknown`, `delivery.state`."""
    row = deliveries.need(tx, tx.company, ref)
    return deliveries.move(tx, row, "retry", attempts=0, next_ms=tx.now_ms, error=None)


def drop(tx: Tx, ref: str, why: str) -> Delivery:
    """Raises `delivery.unknown`, `delivery.state`."""
    row = deliveries.need(tx, tx.company, ref)
    return deliveries.move(tx, row, "drop", error=why or row.error)
