"""Surfaces that the original calls legacy, each a face of rows that live elsewhere (contract, 7).

docs/adr/0016-legacy-surfaces.md says which. Schedules are in `jobs.py`.
"""

from operator import attrgetter
from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Invalid
from homarus.control_plane import agent_help
from homarus.control_plane.pages import cut, going_on
from homarus.control_plane.route import (
    Call,
    Route,
    TextReply,
    json_reply,
    read_route,
    write_route,
)
from homarus.control_plane.shapes_work import ts
from homarus.kernel import proposals, registry
from homarus.kernel.registry import Capability
from homarus.pipelines import recorded, service
from homarus.pipelines.model import Pipeline
from homarus.pipelines.recorded import Change, Record
from homarus.store.port import Reply, Rx, Tx

UNSET = msgspec.UNSET
MAX_CURSOR: Final = 100


def _page(rx: Rx, call: Call[None], kind: str, limit: int) -> tuple[list[Record], dict[str, str]]:
    rows, after = recorded.page(rx, call.company, kind, limit=limit, before=call.cursor())
    return rows, {} if after is None else {"nextCursor": str(after)}


# -- templates: shipped pipelines, and records of kind template ---------------------------


def _shipped(row: Pipeline, company: str) -> dict[str, Any]:
    stages = [
        {"name": stage.title, "ownerRole": stage.owner, "taskType": stage.type}
        for stage in row.definition.stages
    ]
    return {
        "id": row.id,
        "companyId": company,
        "name": row.id,
        "version": row.definition.label or "1",
        "description": row.title,
        "contractJson": {"steps": stages},
        "defaultsJson": {},
        "shipped": True,
        "createdAt": None,
        "deletedAt": None,
    }


def template(row: Record) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "name": row.name,
        "version": "1",
        "description": row.purpose,
        "contractJson": {"steps": row.steps},
        "defaultsJson": {"trigger": row.trigger, "triggerConfig": row.trigger_config},
        "shipped": False,
        "createdAt": iso_ms(row.created_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def templates(rx: Rx, call: Call[None]) -> Reply:
    limit = call.limit()
    shipped = []
    if call.cursor() is None:
        found = [service.find_shipped(name) for name in service.SHIPPED][:limit]
        shipped = [_shipped(row, call.company) for row in found]
    rows, more = _page(rx, call, recorded.TEMPLATE, limit - len(shipped))
    return json_reply({"templates": shipped + [template(row) for row in rows]} | more)


def delete_template(tx: Tx, call: Call[None]) -> Reply:
    ref = call.path["id"]
    if ref in service.SHIPPED:
        raise Conflict(
            "template.shipped",
            f"{ref} is shipped with the program and cannot be removed",
            "A pipeline of your own with this id takes its place: `homarus pipeline register`.",
        )
    row = recorded.delete(tx, recorded.need(tx, tx.company, ref, (recorded.TEMPLATE,)))
    return json_reply({"message": "Workflow template deleted", "template": template(row)})


# -- playbooks: records of kind playbook ---------------------------------------------------


class PlaybookBody(msgspec.Struct, rename="camel"):
    name: str
    description: str | msgspec.UnsetType | None = UNSET
    required_skills_json: Any = UNSET
    instructions_json: Any = UNSET


def playbook(row: Record) -> dict[str, Any]:
    return {
        "id": row.id,
        "companyId": row.company,
        "name": row.name,
        "description": row.purpose,
        "requiredSkillsJson": row.extra.get("requiredSkillsJson", []),
        "instructionsJson": row.extra.get("instructionsJson", []),
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
        "deletedAt": ts(row.deleted_ms),
    }


def playbooks(rx: Rx, call: Call[None]) -> Reply:
    rows, more = _page(rx, call, recorded.PLAYBOOK, call.limit())
    return json_reply({"playbooks": [playbook(row) for row in rows]} | more)


def put_playbook(tx: Tx, call: Call[PlaybookBody]) -> Reply:
    """By name: a new one, or the one of that name changed."""
    body = call.body
    before = recorded.named(tx, tx.company, recorded.PLAYBOOK, body.name)
    given = {
        "requiredSkillsJson": body.required_skills_json,
        "instructionsJson": body.instructions_json,
    }
    extra = dict(before.extra) if before is not None else {}
    extra |= {name: value for name, value in given.items() if value is not UNSET}
    change = Change(name=body.name, purpose=body.description, extra=extra)
    if before is None:
        row = recorded.create(tx, recorded.PLAYBOOK, change, recorded.ACTIVE)
    else:
        row = recorded.update(tx, before, change)
    answer = {"message": "Playbook saved", "playbook": playbook(row)}
    return json_reply(answer, 201 if before is None else 200)


def delete_playbook(tx: Tx, call: Call[None]) -> Reply:
    row = recorded.need(tx, tx.company, call.path["id"], (recorded.PLAYBOOK,))
    row = recorded.delete(tx, row)
    return json_reply({"message": "Playbook archived", "playbook": playbook(row)})


# -- tactics: skills -----------------------------------------------------------------------


def tactic(row: Capability, company: str) -> dict[str, Any]:
    """Status `proposed` (in quarantine), `active` or `retired` (disabled)."""
    steps, inputs = None, None
    if row.source == proposals.PROMOTED and row.content is not None:
        steps, inputs = proposals.parts(row.content)
    return {
        "id": row.id,
        "companyId": company,
        "name": row.title,
        "intent": row.description,
        "stepsJson": steps,
        "requiredInputsJson": inputs,
        "status": registry.skill_status(row),
        "version": row.version,
        "grants": row.grants,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


def tactics(rx: Rx, call: Call[None]) -> Reply:
    status = call.query.get("status") or None
    if status is not None and status not in registry.SKILL_STATUSES:
        raise Invalid(
            "tactic.status",
            f"no status {status[:40]!r}",
            f"One of {', '.join(registry.SKILL_STATUSES)}.",
        )
    limit, after = call.limit(), call.query.get("cursor", "")[:MAX_CURSOR]
    rows = registry.skills_listed(rx, call.company, limit=limit + 1, after=after, status=status)
    rows, cursor = cut(rows, limit, attrgetter("id"))
    return json_reply({"tactics": [tactic(row, call.company) for row in rows]} | going_on(cursor))


class PromoteBody(msgspec.Struct, rename="camel"):
    name: str
    intent: str = ""
    steps_json: Any = None
    required_inputs_json: Any = None


def promote(tx: Tx, call: Call[PromoteBody]) -> Reply:
    """The proposal stays in quarantine: nobody may use it until a change grants it."""
    body = call.body
    new = proposals.Proposal(
        body.name, body.intent or body.name, body.steps_json, body.required_inputs_json
    )
    row = proposals.promote(tx, new)
    answer = {"message": "Tactic proposed", "tactic": tactic(row, tx.company)}
    return json_reply(answer, 201)


def withdraw(tx: Tx, call: Call[None]) -> Reply:
    row = proposals.withdraw(tx, call.path["id"])
    shape = tactic(row, tx.company) | {"deletedAt": iso_ms(tx.now_ms)}
    return json_reply({"message": "Tactic deleted", "tactic": shape})


# -- help ----------------------------------------------------------------------------------


def configuration(rx: Rx, call: Call[None]) -> Reply:
    """GET /llms/agent-configuration: how to connect an agent, as JSON or plain text."""
    provider = call.query.get("provider") or None
    text = agent_help.text(call.base_url, provider)
    if call.query.get("format") == "txt":
        return TextReply(200, text.encode())
    return json_reply({"provider": provider, "providers": agent_help.PROVIDERS, "text": text})


_KEYED: Final[dict[str, Any]] = {"keyed": "required", "tags": ("legacy",)}
_TAGS: Final = ("legacy",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/templates", templates, "Pipelines to start from", query=("limit", "cursor"),
               tags=_TAGS),
    write_route(
        "DELETE", "/templates/{id}", "pipeline.forget", delete_template, "Remove a template",
        target="pipeline:{id}", **_KEYED,
    ),
    read_route("/playbooks", playbooks, "List playbooks", query=("limit", "cursor"), tags=_TAGS),
    write_route(
        "POST", "/playbooks", "pipeline.record", put_playbook,
        "Record a playbook, or change it by name",
        body=PlaybookBody, status=201, also=(200,), target="pipeline:new", **_KEYED,
    ),
    write_route(
        "DELETE", "/playbooks/{id}", "pipeline.forget", delete_playbook, "Remove a playbook",
        target="pipeline:{id}", **_KEYED,
    ),
    read_route(
        "/tactics", tactics, "Skills: proposed, active, retired",
        query=("status", "limit", "cursor"), tags=_TAGS,
    ),
    write_route(
        "DELETE", "/tactics/{id}", "skill.withdraw", withdraw, "Withdraw a proposed skill",
        target="capability:{id}", **_KEYED,
    ),
    write_route(
        "POST", "/skills/promote", "skill.promote", promote, "Propose a skill",
        body=PromoteBody, status=201, target="capability:new", **_KEYED,
    ),
    read_route(
        "/llms/agent-configuration", configuration, "How to connect an agent",
        query=("provider", "format"), tags=_TAGS,
    ),
)  # fmt: skip
