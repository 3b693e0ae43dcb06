"""The JSON-RPC root of the control plane: `POST /api/mcp` (contract, 7).

A method is a route that the body names instead of a path: it is judged by its own capability, and
an upsert by that of the create or the change that it turns out to be. What is wrong with a request
as JSON-RPC is answered in JSON-RPC's form with HTTP 200; what the kernel refuses, or the domain,
by its HTTP status like everywhere.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents as roster
from homarus.company import projects as plans
from homarus.company import summary
from homarus.control_plane import agents, projects
from homarus.control_plane.agents import AgentBody
from homarus.control_plane.projects import ProjectBody
from homarus.control_plane.route import Call, Route, json_reply
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql as tasks

METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602

T = TypeVar("T")


class BadParams(Exception):
    """Why a method cannot take these params."""


def _method(call: Call[Any]) -> str:
    """Raises `rpc.request` for a body that is no JSON-RPC 2.0 request; there are no batches."""
    body = call.body
    method = body.get("method") if isinstance(body, dict) else None
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(method, str):
        raise Invalid(
            "rpc.request",
            "this is no JSON-RPC 2.0 request",
            'Send {"jsonrpc": "2.0", "id": 1, "method": "status.summary"}, or use the REST routes.',
        )
    return method


def _params(call: Call[Any], kind: type[T], needed: str) -> T:
    """Raises BadParams."""
    given = call.body.get("params", {})
    try:
        params = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise BadParams(str(error)[:300]) from None
    if not getattr(params, needed):
        raise BadParams(f"`{needed}` is missing")
    return params


def _reply(call: Call[Any], **said: Any) -> Reply:
    """`said`: `result` or `error`."""
    ref = call.body.get("id")
    known = ref if isinstance(ref, str | int) and not isinstance(ref, bool) else None
    return json_reply({"jsonrpc": "2.0", "id": known} | said)


def _synced(call: Call[Any], ref: Any) -> Reply:
    return _reply(call, result={"success": True, "synced_id": ref})


def _inner(call: Call[Any], body: Any, ref: str | None = None) -> Call[Any]:
    """The call as the REST route of the same work gets it."""
    path = {} if ref is None else {"id": ref}
    return msgspec.structs.replace(call, body=body, path=path)


def _id_in(reply: Reply, noun: str) -> str:
    return str(msgspec.json.decode(reply.body)[noun]["id"])


def _judged(tx: Tx) -> str:
    """The id of what `pick` found, and the kernel was asked about."""
    return tx.action.target.partition(":")[2]


# -- methods ---------------------------------------------------------------------------------


def status_summary(rx: Rx, call: Call[Any]) -> Reply:
    counts = summary.counts(rx, call.company)
    return _reply(
        call,
        result={
            "agents": counts.agents,
            "projects": counts.projects,
            "tasks": tasks.count(rx, call.company),
            "status": "online",
            "contextNotes": summary.context_notes(rx, call.company),
        },
    )


def create_agent(tx: Tx, call: Call[Any]) -> Reply:
    made = agents.create(tx, _inner(call, _params(call, AgentBody, "name")))
    return _synced(call, _id_in(made, "agent"))


def update_agent(tx: Tx, call: Call[Any]) -> Reply:
    ref = _judged(tx)
    agents.update(tx, _inner(call, _params(call, AgentBody, "name"), ref))
    return _synced(call, ref)


def create_project(tx: Tx, call: Call[Any]) -> Reply:
    made = projects.create_project(tx, _inner(call, _params(call, ProjectBody, "goal")))
    return _synced(call, _id_in(made, "project"))


def update_project(tx: Tx, call: Call[Any]) -> Reply:
    ref = _judged(tx)
    projects.update_project(tx, _inner(call, _params(call, ProjectBody, "goal"), ref))
    return _synced(call, ref)


def leave_tasks(rx: Rx, call: Call[Any]) -> Reply:
    """The original's `tasks.upsert` does nothing; tasks are created by REST."""
    params = call.body.get("params")
    ref = params.get("id") if isinstance(params, dict) else None
    return _synced(call, ref if isinstance(ref, str) else None)


def bad_params(rx: Rx, call: Call[Any]) -> Reply:
    problem = ""
    try:
        _picker(call)(rx, call)
    except BadParams as error:
        problem = str(error)
    return _reply(call, error={"code": INVALID_PARAMS, "message": problem})


def unknown(rx: Rx, call: Call[Any]) -> Reply:
    said = f"unknown method {_method(call)[:80]!r}; known: {', '.join(METHODS)}"
    return _reply(call, error={"code": METHOD_NOT_FOUND, "message": said})


# -- which route a request is ----------------------------------------------------------------


def _agents_upsert(rx: Rx, call: Call[Any]) -> Route:
    name = str(_params(call, AgentBody, "name").name)
    row = roster.find(rx, call.company, name)
    if row is None or row.name != name:
        return CREATE_AGENT
    return msgspec.structs.replace(UPDATE_AGENT, target=f"agent:{row.id}")


def _projects_upsert(rx: Rx, call: Call[Any]) -> Route:
    goal = str(_params(call, ProjectBody, "goal").goal)
    row = plans.by_goal(rx, call.company, goal)
    if row is None:
        return CREATE_PROJECT
    return msgspec.structs.replace(UPDATE_PROJECT, target=f"project:{row.id}")


def _row(kind: str, capability: str, handler: Callable[..., Reply], target: str) -> Route:
    return Route(
        method="POST", path="", capability=capability, handler=handler, kind=kind,
        summary="A JSON-RPC method", target=target,
    )  # fmt: skip


SUMMARY: Final = _row("read", "read", status_summary, "company:")
CREATE_AGENT: Final = _row("write", "agent.create", create_agent, "agent:new")
UPDATE_AGENT: Final = _row("write", "agent.update", update_agent, "agent:")
CREATE_PROJECT: Final = _row("write", "project.create", create_project, "project:new")
UPDATE_PROJECT: Final = _row("write", "project.update", update_project, "project:")
TASKS: Final = _row("read", "read", leave_tasks, "company:")
BAD_PARAMS: Final = _row("read", "read", bad_params, "company:")
UNKNOWN: Final = _row("read", "read", unknown, "company:")

METHODS: Final[dict[str, Callable[[Rx, Call[Any]], Route]]] = {
    "status.summary": lambda rx, call: SUMMARY,
    "agents.upsert": _agents_upsert,
    "projects.upsert": _projects_upsert,
    "tasks.upsert": lambda rx, call: TASKS,
}


def _picker(call: Call[Any]) -> Callable[[Rx, Call[Any]], Route]:
    return METHODS.get(_method(call), lambda rx, call: UNKNOWN)


def pick(rx: Rx, call: Call[Any]) -> Route:
    """Raises `rpc.request`. Between this and the unit a row may come or go: the unit then answers
    404 or 409, and never does what was not judged."""
    try:
        return _picker(call)(rx, call)
    except BadParams:
        return BAD_PARAMS


ROUTES: Final[tuple[Route, ...]] = (
    Route(
        method="POST",
        path="",
        capability="read",
        handler=unknown,
        kind="read",
        summary=f"JSON-RPC 2.0: {', '.join(METHODS)}",
        body=Any,
        tags=("status",),
        forks=(
            SUMMARY, CREATE_AGENT, UPDATE_AGENT, CREATE_PROJECT, UPDATE_PROJECT, TASKS,
            BAD_PARAMS, UNKNOWN,
        ),
        pick=pick,
    ),
)  # fmt: skip
