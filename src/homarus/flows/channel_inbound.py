"""What comes in by a channel: one unit keeps it, routes it, and makes it a turn, before the channel
is told that it arrived (design, 2, 6).

A person on a channel is an outside person: the platform says who they are, and nobody here vouches
for them. What they say is data to an agent, and real work that they ask for needs an approval.
"""

import hashlib
from typing import Any, Final

import msgspec

from homarus.company import agents
from homarus.conversations import access, keys, pairing, places, routing, rules, sql
from homarus.conversations import service as talk
from homarus.conversations.access import Access
from homarus.conversations.model import MAX_REF, MAX_TEXT, Conversation, Draft, Sender, SenderType
from homarus.conversations.places import Route
from homarus.conversations.routing import DIRECT, Origin, Peer, Roster
from homarus.flows import answering, delivering, hearing, session_life, turn_inbound
from homarus.store.port import Rx, Tx

CHANNEL: Final = "channel"
"""Type of a conversation that no agent listens in."""
MAX_NAME: Final = 200

TAKEN: Final = "taken"
KNOWN: Final = "known"
PAIRING: Final = "pairing"
IGNORED: Final = "ignored"


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its platform gives it. `id` dedupes within chat and account; `peer`: the person,
    or the room; `target`: the chat that an answer goes to; `sender`: the person's id there;
    `mentioned`: it names the agent, or answers it."""

    channel: str
    account: str
    id: str
    peer: Peer
    sender: str
    text: str
    target: str = ""
    sender_name: str | None = None
    thread: str | None = None
    thread_word: str = routing.THREAD
    parent: Peer | None = None
    guild: str | None = None
    team: str | None = None
    roles: frozenset[str] = frozenset()
    mentioned: bool = False
    sent_ms: int | None = None

    @property
    def route(self) -> Route:
        """The way back."""
        return Route(self.channel, self.account, self.target or self.peer.id, self.thread, self.id)

    @property
    def origin(self) -> Origin:
        return Origin(
            self.channel, self.account, self.peer, self.parent, self.thread, self.thread_word,
            self.guild, self.team, self.roles,
        )  # fmt: skip


class Taken(msgspec.Struct, frozen=True):
    """What became of it: `taken`, `known` (it was here), `pairing`, `ignored` with why. `missing`:
    the agent that its binding names and that is not there."""

    what: str
    why: str = ""
    message: str | None = None
    session: str | None = None
    missing: str | None = None


def receive(
    tx: Tx, came: Incoming, how: routing.Rules, may: Access,
    mode: str = turn_inbound.DEFAULT_MODE,
) -> Taken:  # fmt: skip
    """`mode`: of its turn, where its session has none. Raises `turn.many`: the channel brings it
    again later."""
    ref = platform_ref(came)
    known = sql.by_platform_id(tx, tx.company, ref)
    if known is not None:
        return Taken(KNOWN, message=known.id)
    if not came.text.strip():
        return Taken(IGNORED, "it holds no text")
    paired = pairing.is_paired(tx, tx.company, came.channel, came.account, came.sender)
    decision = access.decide(may, came.peer, came.sender, mentioned=came.mentioned, paired=paired)
    if decision.what == access.IGNORE:
        return Taken(IGNORED, decision.why)
    if decision.what == access.PAIR:
        return _ask_in(tx, came)
    return _take(tx, came, how, ref, mode)


def _take(tx: Tx, came: Incoming, how: routing.Rules, ref: str, mode: str) -> Taken:
    found = routing.route(how, came.origin, roster(tx, tx.company))
    if found is None:
        place, key = _aside(tx, came.route), None
    else:
        agent = _agent(tx, found.agent)
        session = session_life.open_session(tx, agent, found.key, found.kind)
        place, key = talk.need(tx, tx.company, session.conversation), session.key
    places.heard(tx, came.route, place.id, key, came.peer.kind)
    alone = came.peer.kind == DIRECT  # in a room nobody makes an agent forget the others
    row, _ = hearing.post(tx, place, _draft(came, ref), commands=alone, mode=mode)
    missing = None if found is None else found.missing
    return Taken(TAKEN, "" if key else "no agent is bound to it", row.id, key, missing)


def roster(rx: Rx, company: str) -> Roster:
    """Who may be bound, by slug and by id; of two with one slug the older."""
    by_ref: dict[str, str] = {}
    here = []
    for id_, name, executor in agents.called(rx, company, answering.MAX_AGENTS):
        slug = keys.slug(name)
        if executor == turn_inbound.LLM and slug not in here:
            here.append(slug)
        by_ref.setdefault(slug, slug)
        by_ref.setdefault(id_, slug)
    main = [slug for slug in here if slug == answering.DEFAULT] or here
    return Roster(by_ref, main[0] if len(main) == 1 else None)


def _agent(rx: Tx, slug: str) -> agents.Agent:
    for id_, name, _ in agents.called(rx, rx.company, answering.MAX_AGENTS):
        if keys.slug(name) == slug:
            return agents.need(rx, rx.company, id_)
    raise AssertionError(f"the agent {slug} was there a moment ago")


def _draft(came: Incoming, ref: str) -> Draft:
    name = (came.sender_name or "").strip()[:MAX_NAME]
    about: dict[str, Any] = {
        rules.ROUTE: msgspec.to_builtins(came.route), "source": CHANNEL, "relayed": True,
        "from": name or came.sender[:MAX_NAME],
    }  # fmt: skip
    if came.peer.kind != DIRECT:
        about["room"] = came.peer.id[:MAX_NAME]
    if came.sent_ms is not None:
        about["sentAt"] = came.sent_ms
    who = Sender(SenderType.HUMAN, f"{came.channel}:{came.sender}"[:MAX_REF])
    return Draft(who, came.text[:MAX_TEXT], metadata=about, platform_message=ref)


def _ask_in(tx: Tx, came: Incoming) -> Taken:
    """Who is not known hears once how to be let in; what they said is not kept."""
    asked = pairing.ask(
        tx, came.channel, came.account, came.sender, name=came.sender_name, target=came.route.target
    )
    if asked is None:
        return Taken(PAIRING, "a code was given before, or too many wait")
    delivering.tell(tx, came.route, _ASK.format(id=came.sender, code=asked.code))
    return Taken(PAIRING, "a code was given")


_ASK: Final = (
    "You are not known here yet.\n\nYour id: {id}\nPairing code: {code}\n\n"
    "Give the code to the owner, who lets you in with it. It is good for an hour."
)
WELCOME: Final = "You are let in. Say something."


def _aside(tx: Tx, route: Route) -> Conversation:
    """The conversation of a place where no agent listens."""
    known = places.conversation(tx, tx.company, route)
    return delivering.open_aside(tx, route) if known is None else talk.need(tx, tx.company, known)


def platform_ref(came: Incoming) -> str:
    """The message's id among all of the company's."""
    text = f"{came.channel}:{came.account}:{came.route.target}:{came.id}"
    if len(text) <= MAX_REF:
        return text
    return f"{came.channel}:{hashlib.sha256(text.encode()).hexdigest()}"


def decide_pairing(
    tx: Tx, channel: str, ref: str, account: str | None, *, approve: bool, notify: bool = True
) -> pairing.Pairing:
    """By code or id. Who is let in hears of it. Raises `pairing.unknown`."""
    row = pairing.decide(tx, channel, ref, account, approve=approve)
    if approve and notify:
        delivering.tell(tx, Route(row.channel, row.account, row.target), WELCOME)
    return row


def missing(how: routing.Rules, there: Roster, channel: str) -> list[str]:
    """Agents that bindings of a channel name and that are not there. Pure."""
    named = {b.agent_id for b in how.bindings if routing.normal(b.match.channel) == channel}
    return sorted(name for name in named if keys.slug(name) not in there.agents)
