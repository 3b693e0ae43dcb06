"""The manual's checklists and the course of new agents, on the wire (governance contract, 2)."""

from typing import Any, Final

import msgspec

from homarus.company import agents
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import checklist, onboarding
from homarus.store.port import Reply, Rx, Tx


class Visit(msgspec.Struct, frozen=True, rename="camel"):
    """`answers`: question -> letter; without them the week is opened, or looked at again."""

    week: int
    answers: dict[str, str] | None = None


def checked(rx: Rx, call: Call[None]) -> Reply:
    """GET /agents/{id}/checklist."""
    task = call.query.get("taskId") or None
    items = checklist.answer(rx, call.company, call.path["id"], task)
    body: dict[str, Any] = {
        "agentId": agents.need(rx, call.company, call.path["id"]).id,
        "taskId": task,
        "items": [msgspec.to_builtins(item) for item in items],
    }
    return json_reply({"checklist": body})


def course(rx: Rx, call: Call[None]) -> Reply:
    """GET /agents/{id}/onboarding."""
    agent = agents.need(rx, call.company, call.path["id"])
    return json_reply(
        {"onboarding": _wire(agent.id, onboarding.course(rx, call.company, agent.id))}
    )


def visited(tx: Tx, call: Call[Visit]) -> Reply:
    """POST /agents/{id}/onboarding."""
    agent = agents.need(tx, tx.company, call.path["id"])
    turn = onboarding.visit(tx, agent.id, call.body.week, call.body.answers)
    told = {"wrong": list(turn.wrong), "passed": list(turn.passed)}
    return json_reply({"onboarding": _wire(agent.id, turn.progress) | told})


def _wire(agent: str, progress: list[onboarding.Progress]) -> dict[str, Any]:
    return {"agentId": agent, "weeks": [onboarding.plain(week) for week in progress]}


TAGS: Final = ("agents",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/agents/{id}/checklist", checked, "Answer the checklists for an agent",
        query=("taskId",), tags=TAGS,
    ),
    read_route("/agents/{id}/onboarding", course, "How far an agent is in its course", tags=TAGS),
    write_route(
        "POST", "/agents/{id}/onboarding", "training.answer", visited,
        "Open a week of the course, or hand in its quiz", body=Visit,
        acting=lambda call: call.path["id"], target="agent:{id}", tags=TAGS,
    ),
)  # fmt: skip
