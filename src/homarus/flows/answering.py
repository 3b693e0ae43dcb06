"""What somebody asks an agent over HTTP: a request becomes a turn, and the turn an answer
(gateway contract, 10.1, 14).

    accept(tx, request)    which agent, which session, what of the client's history is new -> a turn
    answer(rx, turn)       what the agent said and did, from the rows

Without a session, a user or a response that it goes on from, a request is stateless: its session is
its own. A session that has lines already remembers; what the client repeats of it is left out.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, Unavailable
from homarus.base.ids import is_uuid
from homarus.company import agents
from homarus.company.agents import Agent
from homarus.conversations import keys, sessions, turns
from homarus.conversations.sessions import Session
from homarus.conversations.turns import Turn
from homarus.flows import turn_ends, turn_inbound, turn_tools, turn_views
from homarus.flows.turn_inbound import Given
from homarus.flows.turn_views import TurnView
from homarus.kernel import stop
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks

RESPONSES: Final = "openresponses"
CHAT: Final = "openai"
TOOL: Final = "tool"
"""What asked, as its sessions' keys name it."""
RESERVED: Final = ("subagent:", "cron:", "acp:")
"""Beginnings of session keys that no client may name (gateway contract, 14)."""
MAX_AGENTS: Final = 500
MAX_NAMED: Final = 10
"""Agents that an error offers to choose from."""
MAX_MODEL: Final = 200
LATEST: Final = 1_000
"""Lines of a session among which those of a turn are looked for first."""
SILENT: Final = "NO_REPLY"
DEFAULT: Final = "main"


_decode = msgspec.json.Decoder().decode


class Brought(msgspec.Struct, frozen=True):
    """The result of a tool call that the client did. `new`: what the request is about, not only
    repeated from before."""

    call: str
    name: str
    content: tuple[dict[str, Any], ...]
    new: bool


class Request(msgspec.Struct, frozen=True):
    """A request in the words of the company. `agent` by id, name or slug, None: the default one;
    `key`: the turn's, "" for one of its own; `session` as the client named it; `user`: end user;
    `previous`: id of the turn that it goes on from; `content`: parts of the message, `history`
    those before it; `model`: that the session is to use from now on."""

    api: str
    text: str
    agent: str | None = None
    key: str = ""
    session: str | None = None
    user: str | None = None
    previous: str | None = None
    content: tuple[dict[str, Any], ...] = ()
    history: tuple[dict[str, Any], ...] = ()
    results: tuple[Brought, ...] = ()
    options: dict[str, Any] = {}
    model: str | None = None


class Place(msgspec.Struct, frozen=True):
    """Where a request belongs. `once`: the session ends with the turn."""

    agent: Agent
    key: str
    once: bool = False


# -- agents --------------------------------------------------------------------------------


def targets(rx: Rx, company: str) -> list[Agent]:
    """Agents that a request may name: those that this daemon runs, oldest first."""
    return agents.run_by(rx, company, turn_inbound.LLM, MAX_AGENTS)


def default_of(rows: list[Agent]) -> Agent | None:
    """The only one, or the one called `main` (gateway contract, 10.2)."""
    named = [row for row in rows if keys.slug(row.name) == DEFAULT]
    found = named or rows
    return found[0] if len(found) == 1 else None


def target(rx: Rx, company: str, ref: str | None) -> Agent:
    """By id, name, or slug of its name. Raises `agent.choose` (`agents`: the slugs to choose from;
    each face says how it is named there), `agent.unknown`, `agent.not_run_here`."""
    rows = targets(rx, company)
    if ref is None:
        return _default(rows)
    exact = agents.find(rx, company, ref)
    slugs = [row for row in rows if keys.slug(row.name) == ref.lower()]
    if exact is None and len(slugs) == 1:
        return slugs[0]
    if exact is None and slugs:
        raise Invalid("agent.choose", f"{len(slugs)} agents are called like {ref[:80]!r}",
                      "Name one by its id.")  # fmt: skip
    return agents.need(rx, company, ref) if exact is None else exact


def _default(rows: list[Agent]) -> Agent:
    found = default_of(rows)
    if found is not None:
        return found
    if not rows:
        raise Invalid(
            "agent.none", "no agent of this company is run by this daemon",
            "Let one be: `homarus agent update NAME --executor llm`.",
        )  # fmt: skip
    names = [keys.slug(row.name) for row in rows[:MAX_NAMED]]
    raise Invalid("agent.choose", f"{len(rows)} agents run here",
                  f"Name one: {', '.join(names)}.", agents=names)  # fmt: skip


# -- a request becomes a turn --------------------------------------------------------------


def accept(tx: Tx, request: Request) -> Turn:
    """Raises `agent.*`, `session.key`, `response.*`, `stop.*`, `turn.*`."""
    known = turns.by_key(tx, tx.company, request.key) if request.key else None
    if known is not None:
        return known
    place = _place(tx, request)
    session = sessions.by_key(tx, tx.company, place.key)
    check_stop(tx, place.agent, session)
    given = _given(tx, request, session)
    row = turn_inbound.accept(tx, _inbound(tx, request, place, given))
    if request.model is not None:
        sessions.change(tx, row.session, model=request.model)
    return row


def _inbound(tx: Tx, request: Request, place: Place, given: Given | None) -> turn_inbound.Inbound:
    kind = sessions.DIRECT if place.key == keys.main_of(place.agent.name) else sessions.HTTP
    silent = request.api == TOOL or (given is not None and not request.content)
    text, most = request.text, turn_inbound.MAX_TEXT
    return turn_inbound.Inbound(
        agent=place.agent.id,
        text=text if len(text) <= most else text[: most - 1] + "…",
        key=request.key or f"http:{tx.new_id()}",
        session=place.key,
        kind=kind,
        origin="http",
        mode="followup",
        message="" if silent else None,
        options=request.options | ({turn_inbound.ONCE: True} if place.once else {}),
        given=given,
    )


def _place(tx: Tx, request: Request) -> Place:
    if request.previous is not None:
        return _after(tx, request)
    named, key = request.agent, request.session
    if named is None and key is not None and key.strip().lower().startswith("agent:"):
        named = keys.agent_of(key)
    agent = target(tx, tx.company, named)
    if key is not None:
        return Place(agent, _free(keys.resolve(key, agent.name)))
    if request.user is not None:
        return Place(agent, keys.of(agent.name, f"{request.api}-user", request.user))
    once = request.api != RESPONSES
    return Place(agent, keys.of(agent.name, request.api, tx.new_id()), once)


def _free(key: str) -> str:
    rest = key.split(":", 2)[2]
    if rest.startswith(RESERVED):
        raise Invalid(
            "session.reserved", f"{key[:80]!r} is not for clients",
            f"Name one that does not begin with {', '.join(RESERVED)}.",
        )  # fmt: skip
    return key


def _after(tx: Tx, request: Request) -> Place:
    """The session of the response that this one goes on from. A response of somebody else is as
    unknown as one that never was."""
    row = None
    if is_uuid(request.previous or ""):
        row = turns.by_id(tx, tx.company, str(request.previous))
    if row is None or row.origin != "http" or row.asked_by != tx.actor.key:
        raise Invalid("response.unknown", "no such previous response",
                      "Give the id of a response that you were given.")  # fmt: skip
    session = sessions.need(tx, tx.company, row.session)
    agent = agents.need(tx, tx.company, session.agent)
    if session.ended_ms is not None:
        raise Invalid("response.ended", "the session of that response was begun anew",
                      "Leave `previous_response_id` out.")  # fmt: skip
    if request.agent is not None and target(tx, tx.company, request.agent).id != agent.id:
        raise Invalid("response.agent", f"that response is {agent.name}'s", "Ask the same agent.")
    if request.session is not None and keys.resolve(request.session, agent.name) != session.key:
        raise Invalid("response.session", f"that response belongs to {session.key}",
                      "Leave the session key out.")  # fmt: skip
    return Place(agent, session.key)


def _given(tx: Tx, request: Request, session: Session | None) -> Given | None:
    """What the turn holds besides its text; None: nothing."""
    waiting = [] if session is None else turn_tools.handed_out(tx, session)
    refs = {call.ref for call in waiting}
    matched = [one for one in request.results if one.call in refs]
    other = [one for one in request.results if one.call not in refs and one.new]
    if other and request.previous is not None:
        raise Invalid(
            "response.call_unknown", f"no tool call {other[0].call[:80]!r} waits for a result",
            "Give the `call_id` of a call of the previous response, once.",
        )  # fmt: skip
    fresh = session is None or session.entries == 0
    content = [*(request.history if fresh or request.previous is not None else ())]
    content += [part | {"source": one.name} for one in other for part in one.content]
    content += request.content
    if not matched and content == [{"type": "text", "text": request.text}]:
        return None if len(request.text) <= turn_inbound.MAX_TEXT else Given(tuple(content))
    results = tuple({"call": one.call, "content": one.content} for one in matched)
    return Given(tuple(content), results)


def check_stop(tx: Tx, agent: Agent, session: Session | None) -> None:
    """Raises `stop.*` when a turn of the agent would not run."""
    found = _stop(tx, tx.company, agent.id, session)
    if found is not None:
        raise stopped(found)


def _stop(
    rx: Rx, company: str, agent: str, session: Session | None, work: str | None = None
) -> stop.Stop | None:
    """A STOP under which a turn of the agent does not run."""
    rows = stop.active(rx, company)
    if not rows:
        return None
    subjects = {agent, work}
    if session is not None:
        standing = tasks.need(rx, company, session.task, archived=True)
        subjects |= {standing.id, standing.trace}
    return next((row for row in rows if row.scope == "company" or row.subject in subjects), None)


def stop_over(rx: Rx, company: str, turn: str) -> stop.Stop | None:
    """A STOP for which a turn waits."""
    row = turns.need(rx, company, turn)
    return _stop(rx, company, row.agent, sessions.need(rx, company, row.session), row.work)


def stopped(row: stop.Stop) -> Unavailable:
    return Unavailable(
        f"stop.{row.scope}",
        f"STOP is in force on this {row.scope}: {row.reason or 'no reason given'}",
        f"Wait until an owner lifts it: `homarus stop lift {row.id}`.",
    )


def let_go(tx: Tx, turn: str) -> bool:
    """Nobody waits for the answer any more, and nobody can ask for it again."""
    return turn_ends.abort(tx, turn)


# -- a turn becomes an answer --------------------------------------------------------------


class Words(msgspec.Struct, frozen=True):
    """What the model said in request `call` of the turn."""

    call: int
    text: str


class Answer(msgspec.Struct, frozen=True):
    """A turn as its asker is told of it. `calls`: `{"id", "name", "arguments"}` for the asker to
    do; `result`: the transcript's message of the last tool result; `cached`: input tokens that the
    provider had read before."""

    view: TurnView
    said: tuple[Words, ...]
    calls: tuple[dict[str, str], ...]
    result: dict[str, Any] | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int

    @property
    def turn(self) -> Turn:
        return self.view.turn

    @property
    def stop(self) -> str:
        return str((self.turn.outcome or {}).get("stop") or "stop")


def answer(rx: Rx, company: str, turn: str) -> Answer:
    """As far as it has come. Raises `turn.unknown`."""
    view = turn_views.view(rx, company, turn)
    outcome = view.turn.outcome or {}
    lines = _lines(rx, view.turn)
    told = [(line["call"], line["message"]) for line in lines
            if line["message"]["role"] == "assistant" and "call" in line]  # fmt: skip
    results = [line["message"] for line in lines if line["message"]["role"] == "toolResult"]
    usage = outcome.get("usage") or {}
    return Answer(
        view=view,
        said=_said(told, outcome),
        calls=tuple(outcome.get("calls") or ()),
        result=results[-1] if results else None,
        input_tokens=int(usage.get("input") or 0),
        output_tokens=int(usage.get("output") or 0),
        cached_tokens=sum(int(m.get("usage", {}).get("cacheRead") or 0) for _, m in told),
    )


def _said(told: list[tuple[int, dict[str, Any]]], outcome: dict[str, Any]) -> tuple[Words, ...]:
    """The texts in order; the last one as it was posted, where the turn was answered."""
    found = [Words(call, _text(message)) for call, message in told]
    if found and outcome.get("stop") not in (None, "error", "aborted"):
        found[-1] = Words(found[-1].call, str(outcome.get("text", found[-1].text)))
    return tuple(found)


def _text(message: dict[str, Any]) -> str:
    text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
    return "" if text.lstrip().startswith(SILENT) else text


def _lines(rx: Rx, turn: Turn) -> list[dict[str, Any]]:
    """Bodies of the turn's lines but for the asker's own, oldest first."""
    row = rx.one("select entries from session where id=?", (turn.session,))
    newest = 0 if row is None else int(row[0])
    found = _between(rx, turn, newest - LATEST)
    if not found and newest > LATEST:
        found = _between(rx, turn, 0)
    return [_decode(text) for text in found if '"role":"user"' not in text[:40]]


def _between(rx: Rx, turn: Turn, after: int) -> list[str]:
    rows = rx.all(
        "select body from entry where session=? and seq>? and turn=? and kind='message' "
        "order by seq limit ?",
        (turn.session, after, turn.id, LATEST),
    )
    return [row[0] for row in rows]
