"""What surrounds a task in its context: whose work it is, resources in scope, related threads
(contract, 6.2), and how its agent dispatches from it (governance contract, 4)."""

from typing import Any, Final

import msgspec

from homarus.company import agents, projects, resources
from homarus.company.resources import Filter
from homarus.control_plane import shapes_resources, shapes_talk
from homarus.conversations import sql as talk
from homarus.kernel import contexts, routing
from homarus.kernel.facts import AgentFacts
from homarus.kernel.routing import Note
from homarus.store.port import Rx
from homarus.tasks.model import Task

MAX_RESOURCES: Final = 20
MAX_TEXT: Final = 8_000
"""Characters of one resource's text; the whole of it is at `GET /resources/{id}`."""
MAX_THREADS: Final = 10
MAX_MESSAGES: Final = 20


def scope_of(rx: Rx, company: str, task: Task) -> dict[str, Any]:
    """Whose work it is; notes and results carry it, so that nobody has to ask for the project."""
    customer = projects.customer_of(rx, company, task.project)
    return {"projectId": task.project, "customerId": customer}


def dispatch_of(rx: Rx, company: str, task: Task) -> dict[str, Any] | None:
    """How its agent may dispatch from it: permission, depth, and the short routing note to give;
    None: nobody has it."""
    row = None if task.agent is None else agents.by_id(rx, company, task.agent)
    if row is None:
        return None
    found = contexts.position(rx, task.id, task.trace, row.id)
    own = routing.own_perm(row.role)
    perm = own if found is None else routing.meet(own, found.perm)
    name = routing.label(AgentFacts(row.id, row.name, row.role, suspended=False))
    return {
        "perm": perm.value,
        "depth": 0 if found is None else found.depth,
        "routingNote": routing.render(Note(name, task.number, task.trace, perm)),
    }


def resources_for(rx: Rx, company: str, task: Task) -> dict[str, list[dict[str, Any]]]:
    """Active resources in the task's scopes, at most 20 each, newest first, never a secret.

    `shared` is what every agent in these scopes is given, wherever it lies. A text is cut
    at MAX_TEXT (`configTruncated` says so).
    """
    project = projects.by_id(rx, company, task.project)
    customer = None if project is None else project.customer
    scopes = tuple(ref for ref in (task.project, customer, task.agent) if ref is not None)
    chosen = {
        "project": Filter((task.project,), "project"),
        "customer": None if customer is None else Filter((customer,), "customer"),
        "shared": Filter(scopes, is_shared=True, and_company=True),
        "company": Filter(scope_type="company", is_shared=False),
        "agent": None if task.agent is None else Filter((task.agent,), "agent"),
    }
    return {
        name: [] if wanted is None else _shown(rx, company, wanted)
        for name, wanted in chosen.items()
    }


def _shown(rx: Rx, company: str, wanted: Filter) -> list[dict[str, Any]]:
    active = msgspec.structs.replace(wanted, status=resources.ACTIVE)
    rows = resources.listed(rx, company, active, limit=MAX_RESOURCES, text_chars=MAX_TEXT)
    return [shapes_resources.resource(row) for row in rows]


def threads_of(rx: Rx, company: str, task: Task) -> list[dict[str, Any]]:
    """Threads about the task, newest first, each with its newest messages, oldest first."""
    found = talk.conversations(rx, company, limit=MAX_THREADS, task=task.id)
    return [
        {
            "thread": shapes_talk.thread(place),
            "recentMessages": [
                shapes_talk.message(row)
                for row in reversed(talk.page(rx, place.id, limit=MAX_MESSAGES))
            ],
        }
        for place in found
    ]
