"""Routes of gates and routes: verdicts, reverse briefs, audit, acceptance (contract, 7)."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import going, routes
from homarus.kernel import gates, rdp
from homarus.kernel.rdp import Brief, Decision, Part
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql

_WORDS: Final = {
    gates.Outcome.PASS.value: "pass",
    gates.Outcome.UNCERTAIN.value: "uncertain",
    gates.Outcome.SKIPPED.value: "skipped",
    gates.Outcome.DIVERT.value: "divert",
    gates.Outcome.BLOCK.value: "block",
}


def decision_shape(row: Decision) -> dict[str, Any]:
    return {
        "n": row.n,
        "at": iso_ms(row.at_ms),
        "actor": row.actor,
        "stage": row.stage or "entry",
        "level": f"L{row.level}",
        "rulesVersion": row.rules,
        "observed": row.observed,
        "verdicts": [
            {
                "gate": f"gate-{n}",
                "name": gates.NAMES[n - 1],
                "verdict": _WORDS[letter],
                "evidence": row.evidence.get(str(n), {}),
            }
            for n, letter in enumerate(row.verdicts, 1)
        ],
    }


def brief_shape(row: Brief) -> dict[str, Any]:
    return {
        "n": row.n,
        "author": row.author,
        "goal": row.goal,
        "scope": row.scope,
        "plan": row.plan,
        "risks": row.risks,
        "acceptance": row.acceptance,
        "createdAt": iso_ms(row.at_ms),
        "decision": row.decision,
        "decidedBy": row.decided_by,
        "decidedAt": None if row.decided_ms is None else iso_ms(row.decided_ms),
        "note": row.note,
    }


def part_shape(row: Part) -> dict[str, Any]:
    return {
        "part": row.part,
        "actor": row.actor,
        "outcome": row.outcome,
        "note": row.note,
        "at": iso_ms(row.at_ms),
    }


def show(rx: Rx, call: Call[None]) -> Reply:
    """GET /tasks/{id}/gates: every evaluation, newest first, and what the route demands."""
    task, spec = sql.with_spec(rx, call.company, sql.need(rx, call.company, call.path["id"]).id)
    brief = rdp.brief(rx, task.id)
    found = {
        "taskId": task.id,
        "level": f"L{spec.level}",
        "requester": rdp.requester(rx, task.id),
        "reason": task.reason,
        "decisions": [decision_shape(row) for row in rdp.decisions(rx, task.id)],
        "brief": None if brief is None else brief_shape(brief),
        "parts": [part_shape(row) for row in rdp.parts(rx, task.id)],
        "assets": [
            {"what": asset.what, "inMainSpace": asset.there}
            for asset in going.assets(rx, call.company, task)
        ],
    }
    return json_reply({"gates": found})


class BriefBody(msgspec.Struct, rename="camel", frozen=True):
    """All five texts are wanted; `agentId` of company tokens."""

    goal: str = ""
    scope: str = ""
    plan: str = ""
    risks: str = ""
    acceptance: str = ""
    agent_id: str | None = None


class DecisionBody(msgspec.Struct, rename="camel", frozen=True):
    decision: str
    note: str | None = None
    agent_id: str | None = None


class OutcomeBody(msgspec.Struct, rename="camel", frozen=True):
    """`pass` or `reject` of an audit, `accept` or `return` of an acceptance."""

    outcome: str
    note: str | None = None
    agent_id: str | None = None


def write_brief(tx: Tx, call: Call[BriefBody]) -> Reply:
    body = call.body
    texts = {name: getattr(body, name) for name in routes.TEXTS}
    row = routes.write_brief(tx, call.path["id"], texts)
    return json_reply({"message": "Brief written", "brief": brief_shape(row)}, 201)


def decide_brief(tx: Tx, call: Call[DecisionBody]) -> Reply:
    row = routes.decide_brief(tx, call.path["id"], call.body.decision, call.body.note)
    return json_reply({"message": "Brief decided", "brief": brief_shape(row)})


def audit(tx: Tx, call: Call[OutcomeBody]) -> Reply:
    task = routes.audit(tx, call.path["id"], call.body.outcome, call.body.note)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Audit recorded", "task": shape})


def accept(tx: Tx, call: Call[OutcomeBody]) -> Reply:
    task = routes.accept(tx, call.path["id"], call.body.outcome, call.body.note)
    shape = shapes.task(task, sql.spec_of(tx, task.id))
    return json_reply({"message": "Acceptance recorded", "task": shape})


def _agent(call: Call[Any]) -> str | None:
    ref: str | None = call.body.agent_id
    return ref


def _task(call: Call[Any]) -> str | None:
    return call.path["id"]


TAGS: Final = ("gates",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/tasks/{id}/gates", show, "Gates, route level, brief and parts", tags=TAGS),
    write_route(
        "POST", "/tasks/{id}/brief", "brief.write", write_brief, "Write the reverse brief (L2)",
        body=BriefBody, acting=_agent, target="task:{id}", task=_task, status=201, tags=TAGS,
    ),
    write_route(
        "POST", "/tasks/{id}/brief/decision", "brief.decide", decide_brief,
        "Confirm, amend or reject the reverse brief",
        body=DecisionBody, acting=_agent, target="task:{id}", task=_task, tags=TAGS,
    ),
    write_route(
        "POST", "/tasks/{id}/audit", "task.audit", audit, "Audit an L3 task before the work",
        body=OutcomeBody, acting=_agent, target="task:{id}", task=_task, tags=TAGS,
    ),
    write_route(
        "POST", "/tasks/{id}/acceptance", "task.accept", accept, "Accept or return L3 work",
        body=OutcomeBody, acting=_agent, target="task:{id}", task=_task, tags=TAGS,
    ),
)  # fmt: skip
