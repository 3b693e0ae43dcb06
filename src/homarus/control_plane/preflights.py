"""Preflights on the wire: think before acting (governance contract, 5)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import thinking
from homarus.flows.facts import SqlFacts
from homarus.flows.thinking import Thought
from homarus.kernel import preflights
from homarus.kernel.preflights import Preflight, Scope
from homarus.store.port import Reply, Rx, Tx


class NewPreflight(msgspec.Struct, frozen=True, rename="camel"):
    """`intent` in the agent's own words; `task` by id or number."""

    intent: str
    agent_id: str | None = None
    task_id: str | None = None


def _scope(scope: Scope) -> list[dict[str, str]]:
    return [{"capability": capability, "target": target} for capability, target in scope]


def _steps(evidence: dict[str, Any]) -> dict[str, Any]:
    return {step: evidence.get(step) for step in ("who", "how", "where", "card")}


def wire(row: Preflight, *, live: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "agentId": row.agent,
        "taskId": row.task,
        "kind": row.kind,
        "intent": row.intent,
        "verdict": row.verdict,
        **_steps(row.evidence),
        "scope": _scope(row.scope),
        "permission": row.perm,
        "routeLevel": f"L{row.route_level}",
        "status": "live" if live else "expired",
        "createdAt": iso_ms(row.created_ms),
        "expiresAt": None if row.expires_ms is None else iso_ms(row.expires_ms),
    }


def think(rx: Rx, call: Call[NewPreflight]) -> Thought | HomarusError:
    """The four steps, before the unit that keeps them: ranking thousands of capabilities takes
    longer than a unit may. What is wrong is told once the caller is known to be allowed."""
    try:
        who = thinking.of_agent(rx, call.company, _agent(call) or call.token.agent or "")
        return thinking.think(rx, call.company, who, call.body.intent, _task(call))
    except HomarusError as error:
        return error


def made(tx: Tx, call: Call[NewPreflight]) -> Reply:
    """POST /preflights."""
    thought: Thought | HomarusError = call.seen
    agent = tx.admitted.agent
    if agent is None:
        raise Invalid(
            "preflight.agent_missing",
            "a preflight is an agent's, and none is named",
            "Name the agent (`agentId`: id or name).",
        )
    if isinstance(thought, HomarusError):
        raise thought
    if thought.asker.id != agent.id:
        raise Conflict(
            "preflight.agent_changed",
            f"{agent.name} is another agent than a moment ago",
            "Ask again.",
        )
    row = thinking.keep(tx, agent.id, thought)
    return json_reply({"message": "Preflight made", "preflight": wire(row, live=True)}, 201)


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /preflights/{id}."""
    row = preflights.by_id(rx, call.company, call.id())
    if row is None:
        raise NotFound(
            "preflight.unknown", "no such preflight in this company", "Make one: POST /preflights."
        )
    facts = None if row.task is None else SqlFacts().task(rx, call.company, row.task)
    return json_reply({"preflight": wire(row, live=row.live(rx.now_ms, facts))})


def asked(rx: Rx, call: Call[None]) -> Reply:
    """GET /query: the same four steps, without a row."""
    ref = call.query.get("agentId") or call.token.agent
    who = (
        thinking.of_agent(rx, call.company, ref)
        if ref
        else thinking.Asker(None, call.token.name, call.token.role)
    )
    intent, task = call.query.get("intent", ""), call.query.get("taskId") or None
    thought = thinking.think(rx, call.company, who, intent, task)
    return json_reply(
        {
            "query": {
                "agentId": who.id,
                "taskId": thought.task,
                "intent": thought.intent,
                "verdict": thought.verdict,
                "meaning": thinking.VERDICTS[thought.verdict],
                **_steps(thought.evidence),
                "scope": _scope(thought.scope),
                "permission": thought.perm,
                "routeLevel": f"L{thought.route_level}",
            }
        }
    )


def _agent(call: Call[NewPreflight]) -> str | None:
    return call.body.agent_id or None


def _task(call: Call[NewPreflight]) -> str | None:
    return call.body.task_id or None


TAGS: Final = ("preflights",)
ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/preflights", "preflight.create", made, "Think before acting: who, how, where",
        body=NewPreflight, before=think, acting=_agent, task=_task, status=201,
        target="preflight:new", tags=TAGS,
    ),
    read_route("/preflights/{id}", read, "Read a preflight", tags=TAGS),
    read_route(
        "/query", asked, "Which capability fits an intent, and whose work it is",
        query=("intent", "agentId", "taskId"),
        acting=lambda call: call.query.get("agentId") or None, tags=TAGS,
    ),
)  # fmt: skip
