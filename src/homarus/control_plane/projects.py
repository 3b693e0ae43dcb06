"""Routes of customers, projects and project memory (control-plane contract, 5)."""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind
from homarus.company import agents, customers, projects
from homarus.control_plane import shapes_work as shapes
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import by_hand
from homarus.kernel import stop
from homarus.store.port import Event, Reply, Rx, Tx
from homarus.tasks import lanes

UNSET = msgspec.UNSET
DEFAULT_CAP: Final = 3
"""maxActiveAgents of a project created over the wire without one (contract 5)."""


class CustomerBody(msgspec.Struct, rename="camel"):
    name: str | msgspec.UnsetType = UNSET
    notes: str | msgspec.UnsetType | None = UNSET


class NewCustomer(msgspec.Struct, rename="camel"):
    name: str
    notes: str | None = None


def list_customers(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    rows = customers.listed(rx, call.company, limit=limit, before=call.cursor_id())
    more = behind(rows, limit, attrgetter("id"))
    return json_reply({"customers": [shapes.customer(c) for c in rows]} | more)


def create_customer(tx: Tx, call: Call[NewCustomer]) -> Reply:
    row, new = customers.upsert(tx, call.body.name, call.body.notes)
    word = "created" if new else "updated"
    body = {"message": f"Customer {word}", "customer": shapes.customer(row)}
    return json_reply(body, 201 if new else 200)


def update_customer(tx: Tx, call: Call[CustomerBody]) -> Reply:
    row = customers.change(tx, call.id(), name=call.body.name, notes=call.body.notes)
    return json_reply({"message": "Customer updated", "customer": shapes.customer(row)})


def delete_customer(tx: Tx, call: Call[None]) -> Reply:
    row = customers.delete(tx, call.id())
    return json_reply({"message": "Customer deleted", "customer": shapes.customer(row)})


class ProjectBody(msgspec.Struct, rename="camel"):
    goal: str | msgspec.UnsetType = UNSET
    customer_id: str | msgspec.UnsetType | None = UNSET
    status: str | msgspec.UnsetType = UNSET
    lead_agent_id: str | msgspec.UnsetType | None = UNSET
    require_approval_for_done: bool | msgspec.UnsetType = UNSET
    require_review_before_done: bool | msgspec.UnsetType = UNSET
    comment_required_for_review: bool | msgspec.UnsetType = UNSET
    block_status_changes_with_pending_approval: bool | msgspec.UnsetType = UNSET
    only_lead_can_change_status: bool | msgspec.UnsetType = UNSET
    max_active_agents: int | msgspec.UnsetType | None = UNSET


def _values(tx: Tx, body: ProjectBody) -> dict[str, Any]:
    """Column values, references resolved within the company."""
    values: dict[str, Any] = {}
    for field in body.__struct_fields__:
        value = getattr(body, field)
        if value is UNSET:
            continue
        if field == "customer_id":
            values["customer"] = customers.need(tx, tx.company, value).id if value else None
        elif field == "lead_agent_id":
            values["lead_agent"] = agents.need(tx, tx.company, value).id if value else None
        else:
            values[field] = value
    return values


def list_projects(rx: Rx, call: Call[None]) -> Reply:
    rows = projects.listed(
        rx, call.company, limit=call.limit(), status=call.query.get("status"),
        before=call.cursor(),
    )  # fmt: skip
    known = customers.some(rx, call.company, {row.customer for row in rows if row.customer})
    out = []
    for row in rows:
        customer = known.get(row.customer or "")
        shape = shapes.project(row)
        shape["customer"] = None if customer is None else shapes.customer(customer)
        out.append(shape)
    more = behind(rows, call.limit())
    return json_reply({"projects": out} | more)


def show_project(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"project": shapes.project(projects.need(rx, call.company, call.id()))})


def create_project(tx: Tx, call: Call[ProjectBody]) -> Reply:
    values = _values(tx, call.body)
    values.setdefault("max_active_agents", DEFAULT_CAP)
    row = projects.create(tx, values)
    return json_reply({"message": "Project created", "project": shapes.project(row)}, 201)


def update_project(tx: Tx, call: Call[ProjectBody]) -> Reply:
    values = _values(tx, call.body)
    if tx.actor.kind is ActorKind.AGENT:
        _only_tighter(tx, projects.need(tx, tx.company, call.id()), values)
    row = projects.update(tx, call.id(), values)
    _open_lanes(tx, row)
    return json_reply({"message": "Project updated", "project": shapes.project(row)})


def _only_tighter(tx: Tx, before: projects.Project, values: dict[str, Any]) -> None:
    """A project's policies bind its agents, so with its own token an agent may add to them alone.
    Raises `permission.operator`."""
    for policy in projects.POLICIES:
        if getattr(before, policy) and not values.get(policy, True):
            by_hand.only_operators(tx, f"switch off {policy} of a project")
    if values.get("lead_agent", before.lead_agent) != before.lead_agent:
        by_hand.only_operators(tx, "say who leads a project")
    most, cap = before.max_active_agents, values.get("max_active_agents", before.max_active_agents)
    if most is not None and (cap is None or cap > most):
        by_hand.only_operators(tx, "let more agents work in a project at once")


def _open_lanes(tx: Tx, row: projects.Project) -> None:
    stopped = stop.covers(tx, tx.company, "project", row.id)
    lanes.set_project(
        tx, row.id, is_open=row.status == "active" and not stopped, cap=row.max_active_agents
    )


def delete_project(tx: Tx, call: Call[None]) -> Reply:
    row = projects.delete(tx, call.id())
    lanes.set_project(tx, row.id, is_open=False, cap=row.max_active_agents)
    return json_reply({"message": "Project deleted", "project": shapes.project(row)})


def list_memory(rx: Rx, call: Call[None]) -> Reply:
    project = projects.need(rx, call.company, call.id())
    limit = call.limit()
    rows = projects.memories(rx, project.id, limit=limit, before=call.cursor_id())
    more = behind(rows, limit, attrgetter("id"))
    return json_reply({"data": [shapes.project_memory(m) for m in rows]} | more)


class NewMemory(msgspec.Struct, rename="camel"):
    content: str
    tags: list[str] = []
    agent_id: str | None = None


def add_memory(tx: Tx, call: Call[NewMemory]) -> Reply:
    project = projects.need(tx, tx.company, call.id())
    agent = tx.actor.id if tx.actor.kind is ActorKind.AGENT else None
    row = projects.remember(tx, project.id, call.body.content, tuple(call.body.tags), agent)
    return json_reply({"data": shapes.project_memory(row)}, 201)


ROUTES: tuple[Route, ...] = (
    read_route(
        "/customers", list_customers, "List customers, newest first", query=("limit", "cursor"),
    ),
    write_route(
        "POST", "/customers", "customer.create", create_customer,
        "Create a customer, or update it by name",
        body=NewCustomer, keyed="required", status=201, target="customer:new",
    ),
    write_route(
        "PATCH", "/customers/{id}", "customer.update", update_customer, "Change a customer",
        body=CustomerBody, keyed="required", target="customer:{id}",
    ),
    write_route(
        "DELETE", "/customers/{id}", "customer.delete", delete_customer, "Remove a customer",
        keyed="required", target="customer:{id}",
    ),
    read_route(
        "/projects", list_projects, "List projects, newest first",
        query=("limit", "status", "cursor"),
    ),
    read_route("/projects/{id}", show_project, "Show a project"),
    write_route(
        "POST", "/projects", "project.create", create_project, "Create a project",
        body=ProjectBody, keyed="required", status=201, target="project:new",
    ),
    write_route(
        "PATCH", "/projects/{id}", "project.update", update_project, "Change a project",
        body=ProjectBody, keyed="required", target="project:{id}",
    ),
    write_route(
        "DELETE", "/projects/{id}", "project.delete", delete_project, "Remove a project",
        keyed="required", target="project:{id}",
    ),
    read_route(
        "/projects/{id}/memory", list_memory, "What a project remembers, newest first",
        query=("limit", "cursor"),
    ),
    write_route(
        "POST", "/projects/{id}/memory", "project.memory", add_memory,
        "Add to a project's memory",
        body=NewMemory, status=201, target="project:{id}",
        acting=lambda call: call.body.agent_id,
    ),
)  # fmt: skip


def _project_frame(kind: str) -> Any:
    def frames(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
        row = projects.by_id(rx, company, event.subject)
        return [] if row is None else [{"type": kind, "project": shapes.project(row)}]

    return frames


def _memory_frame(rx: Rx, company: str, event: Event) -> list[dict[str, Any]]:
    row = projects.memory(rx, event.data["memory"])
    if row is None or row.company != company:
        return []
    shape = shapes.project_memory(row)
    return [
        {
            "type": "project_memory_added",
            "projectId": row.project,
            "actorAgentId": row.agent,
            "memory": shape,
        }
    ]


FRAMES = {
    "project_created": _project_frame("project_created"),
    "project_updated": _project_frame("project_updated"),
    "project_memory_added": _memory_frame,
}
