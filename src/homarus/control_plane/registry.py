"""Routes of registered capabilities."""

from typing import Any

import msgspec

from homarus.backends.argv import Template
from homarus.backends.limits import Limits
from homarus.base.action import Effect
from homarus.base.clock import iso_ms
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.kernel import registry
from homarus.kernel.registry import Capability, NewCapability
from homarus.store.port import Reply, Rx, Tx


def shape(row: Capability) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "title": row.title,
        "description": row.description,
        "kind": row.kind,
        "effect": Effect(row.effect).name.lower(),
        "argv": row.argv,
        "slots": row.slots,
        "trusted": row.trusted,
        "enabled": row.enabled,
        "grants": row.grants,
        "limits": row.limits,
        "restartable": row.restartable,
        "approval": row.approval,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


class CapabilityBody(msgspec.Struct, rename="camel", frozen=True):
    """`argv` and `slots` as `homarus.backends.argv` reads them; `limits` by the runner's names."""

    id: str
    title: str
    argv: list[str]
    description: str = ""
    slots: dict[str, Any] = {}
    trusted: bool = False
    grants: tuple[str, ...] = ("*",)
    limits: dict[str, int] = {}
    restartable: bool = False
    approval: bool = False


def listed(rx: Rx, call: Call[None]) -> Reply:
    after = call.query.get("cursor", "")
    rows = registry.listed(rx, call.company, limit=call.limit(), after=after)
    more = {"nextCursor": rows[-1].id} if len(rows) == call.limit() else {}
    return json_reply({"capabilities": [shape(row) for row in rows]} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"capability": shape(registry.need(rx, call.company, call.path["id"]))})


def register(tx: Tx, call: Call[CapabilityBody]) -> Reply:
    body = call.body
    Template.parse(body.argv, body.slots)
    Limits.from_json(body.limits)
    row = registry.register(
        tx,
        NewCapability(
            id=body.id,
            title=body.title,
            argv=tuple(body.argv),
            description=body.description,
            slots=body.slots,
            trusted=body.trusted,
            grants=body.grants,
            limits=body.limits,
            restartable=body.restartable,
            approval=body.approval,
        ),
    )
    return json_reply({"message": "Capability registered", "capability": shape(row)}, 201)


def disable(tx: Tx, call: Call[None]) -> Reply:
    row = registry.disable(tx, call.path["id"])
    return json_reply({"message": "Capability disabled", "capability": shape(row)})


def _disable_route(method: str, path: str) -> Route:
    return write_route(
        method, path, "capability.disable", disable, "Disable a capability",
        target="capability:{id}", tags=("capabilities",),
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    read_route(
        "/capabilities", listed, "List registered capabilities", query=("limit", "cursor"),
        tags=("capabilities",),
    ),
    read_route("/capabilities/{id}", show, "Show a capability", tags=("capabilities",)),
    write_route(
        "POST", "/capabilities", "capability.register", register, "Register a command",
        body=CapabilityBody, status=201, target="capability:new", tags=("capabilities",),
    ),
    _disable_route("DELETE", "/capabilities/{id}"),
    _disable_route("POST", "/capabilities/{id}/disable"),
)  # fmt: skip
