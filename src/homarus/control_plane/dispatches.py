"""Spawn and send: work and words from agent to agent, each with a routing note (R5)."""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.control_plane import shapes_talk, shapes_work
from homarus.control_plane.route import Call, Route, json_reply, write_route
from homarus.flows import spawning
from homarus.kernel import routing
from homarus.kernel.contexts import Position
from homarus.store.port import Reply, Tx

_TAGS: Final = ("dispatch",)


class SpawnBody(msgspec.Struct, rename="camel"):
    """`agentId` the caller; `task` a text, or a specification as in POST /tasks (`title`,
    `description`, …); `taskId` the caller's own task, which the routing note names too; `wait`: it
    waits for the child."""

    target_agent_id: str
    task: str | dict[str, Any]
    agent_id: str | None = None
    task_type: str = spawning.TASK_TYPE
    task_id: str | None = None
    project_id: str | None = None
    priority: int | None = None
    wait: bool = False
    routing_note: str | None = None

    def spec(self) -> dict[str, Any]:
        """Raises `spawn.task`."""
        spec = {"title": self.task} if isinstance(self.task, str) else self.task
        title = spec.get("title")
        if not isinstance(title, str) or not title.strip():
            raise Invalid(
                "spawn.task", "the task says nothing", "Give a text, or an object with `title`."
            )
        return spec


class SendToAgent(msgspec.Struct, rename="camel"):
    """`taskId` the caller's own task, which the routing note names too."""

    target_agent_id: str
    text: str
    agent_id: str | None = None
    task_id: str | None = None
    routing_note: str | None = None


def position(row: Position) -> dict[str, Any]:
    return {
        "parentTaskId": row.parent,
        "caller": row.caller,
        "agentId": row.callee,
        "perm": row.perm.value,
        "depth": row.depth,
        "traceId": row.trace,
    }


def spawn(tx: Tx, call: Call[SpawnBody]) -> Reply:
    body = call.body
    made = spawning.spawn(
        tx,
        spawning.Spawn(
            target=body.target_agent_id,
            spec=body.spec(),
            type=body.task_type,
            task=_task(call),
            project=body.project_id or None,
            priority=body.priority,
            wait=body.wait,
        ),
    )
    return json_reply(
        {
            "message": "Task spawned",
            "task": shapes_work.task(made.claim.task, made.claim.spec),
            "context": position(made.position),
            "routingNote": made.note,
        },
        201,
    )


def send(tx: Tx, call: Call[SendToAgent]) -> Reply:
    body = call.body
    row = spawning.send(tx, spawning.Send(body.target_agent_id, body.text))
    note = row.metadata.get(routing.METADATA)
    return json_reply({"message": shapes_talk.message(row), "routingNote": note}, 201)


def _agent(call: Call[Any]) -> str | None:
    return call.body.agent_id or None


def _callee(call: Call[Any]) -> str | None:
    return call.body.target_agent_id or None


def _note(call: Call[Any]) -> str | None:
    note: str | None = call.body.routing_note
    return note


def _task(call: Call[Any]) -> str | None:
    """The caller's task: as the body names it, else as its note does."""
    if call.body.task_id:
        return routing.task_ref(call.body.task_id)
    note = None if call.body.routing_note is None else routing.parse(call.body.routing_note)
    return routing.task_ref(note.task_id) if isinstance(note, routing.Note) else None


_MORE: Final[dict[str, Any]] = {
    "status": 201, "acting": _agent, "callee": _callee, "note": _note, "task": _task,
    "target": "agent:", "tags": _TAGS,
}  # fmt: skip
ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/spawns", "session.spawn", spawn, "Give a child task to another agent",
        body=SpawnBody, **_MORE,
    ),
    write_route(
        "POST", "/sends", "session.send", send, "Send an agent a message with a routing note",
        body=SendToAgent, **_MORE,
    ),
)  # fmt: skip
FRAMES: Final[dict[str, Any]] = {}
