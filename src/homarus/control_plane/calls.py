"""Calls of registered capabilities (governance contract, 1 and 6).

`POST /calls` is judged as the capability that it names, with that capability's effect, on the
target that it names; its digest is over capability, target and arguments, so that an approval binds
to all three.
"""

from typing import Any, Final

import msgspec

from homarus.base.action import Effect
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import calling
from homarus.kernel import targets
from homarus.kernel.argv import Template
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Reply, Rx, Tx
from homarus.tasks import sql


class CallBody(msgspec.Struct, frozen=True, rename="camel"):
    """`target`: the task itself when left out. `arguments` as the capability's input schema (and,
    of a command, its slots) wants them."""

    capability: str
    task_id: str
    agent_id: str | None = None
    target: str | None = None
    arguments: dict[str, Any] = {}
    preflight_id: str | None = None
    lease_token: int | None = None


def wire(row: calling.Call) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "taskId": row.task,
        "agentId": row.agent,
        "capability": row.capability,
        "capabilityVersion": row.version,
        "effect": Effect(row.effect).name.lower(),
        "target": row.target,
        "arguments": row.arguments,
        "state": row.state,
        "attempts": row.attempts,
        "reason": row.reason,
        "output": row.output,
        "receiptSeq": row.receipt_seq,
        "createdAt": iso_ms(row.created_ms),
        "startedAt": None if row.started_ms is None else iso_ms(row.started_ms),
        "endedAt": None if row.ended_ms is None else iso_ms(row.ended_ms),
    }


def create(tx: Tx, call: Call[CallBody]) -> Reply:
    """POST /calls: the intent; a worker runs it."""
    body = call.body
    row = calling.check(tx, tx.company, body.capability, body.arguments)
    Template.parse(row.argv, row.slots).render(body.arguments)
    new = calling.NewCall(
        body.capability, body.task_id, _target(call), body.arguments, _digest(call),
        body.lease_token,
    )  # fmt: skip
    made = calling.request(tx, new)
    return json_reply({"message": "Call accepted", "call": wire(made)}, 202)


def read(rx: Rx, call: Call[None]) -> Reply:
    """GET /calls/{id}."""
    return json_reply({"call": wire(calling.need(rx, call.company, call.id()))})


def cancel(tx: Tx, call: Call[None]) -> Reply:
    """POST /calls/{id}/cancel: ended when its `state` says so."""
    row = calling.cancel(tx, call.id())
    return json_reply({"message": "Call cancelled", "call": wire(row)}, 202)


def listed(rx: Rx, call: Call[None]) -> Reply:
    """GET /calls?taskId=…: newest first."""
    ref = call.query.get("taskId", "")
    task = sql.need(rx, call.company, ref, archived=True)
    return json_reply({"calls": [wire(r) for r in calling.of_task(rx, task.id, call.limit())]})


def _named(call: Call[CallBody]) -> str:
    """The registered capability, which is then judged. What is built in has a route of its own.

    Raises `call.builtin`.
    """
    name = call.body.capability
    if name in BUILTIN:
        raise Invalid("call.builtin", f"`{name}` is built in and is not called this way",
                      "Use its own route; see /api/docs.")  # fmt: skip
    return name[:200]


def _target(call: Call[CallBody]) -> str:
    """Raises `call.target`."""
    target = call.body.target
    return f"task:{call.body.task_id}" if target is None else targets.check_target(target)


def _digest(call: Call[CallBody]) -> bytes:
    return calling.digest_of(call.body.capability, _target(call), call.body.arguments)


def _acting(call: Call[CallBody]) -> str | None:
    return call.body.agent_id or None


def _task(call: Call[CallBody]) -> str | None:
    return call.body.task_id


def _preflight(call: Call[CallBody]) -> str | None:
    return call.body.preflight_id


TAGS: Final = ("capabilities",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/calls", listed, "List the calls of a task", query=("taskId", "limit"), tags=TAGS),
    write_route(
        "POST", "/calls", "command.run", create, "Call a registered capability",
        body=CallBody, names=_named, aims=_target, digest=_digest, acting=_acting, task=_task,
        preflight=_preflight, status=202, tags=TAGS,
    ),
    read_route("/calls/{id}", read, "Read a call", tags=TAGS),
    write_route(
        "POST", "/calls/{id}/cancel", "call.cancel", cancel, "End a call", target="call:{id}",
        status=202, tags=TAGS,
    ),
)  # fmt: skip
