"""Routes of registered capabilities."""

from operator import attrgetter
from typing import Any

import msgspec

from homarus.base.action import Effect
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.kernel import declared, registry, skills
from homarus.kernel import search as find
from homarus.kernel.argv import Template
from homarus.kernel.limits import Limits
from homarus.kernel.registrable import COMMAND, EFFECTS, SKILL, NewCapability
from homarus.kernel.registry import Capability
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
        "keywords": row.keywords,
        "risk": row.risk,
        "owner": row.owner,
        "input": None if row.input is None else msgspec.Raw(row.input.encode()),
        "targets": row.targets,
        "quota": row.quota,
        "approval": row.approval,
        "mirror": row.mirror,
        "quarantined": row.quarantined,
        "sha256": None if row.sha256 is None else row.sha256.hex(),
        "source": row.source,
        "createdAt": iso_ms(row.created_ms),
        "updatedAt": iso_ms(row.updated_ms),
    }


class CapabilityBody(msgspec.Struct, rename="camel", frozen=True):
    """`argv` and `slots` as `homarus.kernel.argv` reads them; `limits` by the runner's names;
    the rest as in `kernel.registry.NewCapability`."""

    id: str
    title: str
    argv: list[str] = []
    description: str = ""
    slots: dict[str, Any] = {}
    trusted: bool = False
    grants: tuple[str, ...] | None = None
    limits: dict[str, int] = {}
    restartable: bool = False
    kind: str = COMMAND
    effect: str | None = None
    keywords: tuple[str, ...] = ()
    risk: str = "medium"
    owner: str | None = None
    input: dict[str, Any] | None = None
    targets: tuple[str, ...] = ()
    quota: str | None = None
    approval: bool = False
    mirror: str | None = None


def listed(rx: Rx, call: Call[None]) -> Reply:
    after = call.query.get("cursor", "")
    rows = registry.listed(rx, call.company, limit=call.limit(), after=after)
    more = behind(rows, call.limit(), attrgetter("id"))
    return json_reply({"capabilities": [shape(row) for row in rows]} | more)


def show(rx: Rx, call: Call[None]) -> Reply:
    """GET /capabilities/{id}: a skill with its text."""
    row = registry.need(rx, call.company, call.path["id"])
    text = {} if row.content is None else {"text": row.content}
    return json_reply({"capability": shape(row) | text})


def register(tx: Tx, call: Call[CapabilityBody]) -> Reply:
    body = call.body
    if body.kind == COMMAND:
        Template.parse(body.argv, body.slots)
    Limits.from_json(body.limits)
    if body.kind == SKILL:
        raise Invalid("capability.kind", "a skill is registered with its text and files",
                      "POST /skills, or `homarus capability add-skill DIR`.")  # fmt: skip
    fields = {name: getattr(body, name) for name in body.__struct_fields__}
    fields |= {"argv": tuple(body.argv), "effect": _effect(body.effect)}
    row = registry.register(tx, NewCapability(**fields))
    return json_reply({"message": "Capability registered", "capability": shape(row)}, 201)


def _effect(word: str | None) -> Effect | None:
    if word is None:
        return None
    effect = EFFECTS.get(word)
    if effect is None:
        raise Invalid("capability.effect", f"there is no effect {word[:40]!r}",
                      f"One of {', '.join(EFFECTS)}.")  # fmt: skip
    return effect


def search(rx: Rx, call: Call[None]) -> Reply:
    """GET /capability-search?intent=…: best first; an empty list is a miss."""
    intent = call.query.get("intent", "").strip()
    if not intent:
        raise Invalid("capability.intent", "nothing is asked for", "Say it: `?intent=…`.")
    hits = find.search(rx, call.company, intent, limit=call.limit())
    rows = {hit.id: registry.need(rx, call.company, hit.id) for hit in hits}
    return json_reply(
        {
            "hits": [
                {
                    "id": hit.id,
                    "title": rows[hit.id].title,
                    "kind": rows[hit.id].kind,
                    "score": hit.score,
                    "matched": hit.matched,
                }
                for hit in hits
            ]
        }
    )


def disable(tx: Tx, call: Call[None]) -> Reply:
    row = registry.disable(tx, call.path["id"])
    return json_reply({"message": "Capability disabled", "capability": shape(row)})


class SkillBody(msgspec.Struct, rename="camel", frozen=True):
    """`text` of SKILL.md; `files` of the whole folder with their hashes."""

    text: str
    files: list[skills.SkillFile]


def add_skill(tx: Tx, call: Call[SkillBody]) -> Reply:
    """POST /skills: quarantined until a change grants it."""
    row = skills.add(tx, call.body.text, call.body.files)
    return json_reply({"message": "Skill registered", "capability": shape(row)}, 201)


class DocumentBody(msgspec.Struct, frozen=True):
    """The text of a capabilities.yaml."""

    text: str


def validate(rx: Rx, call: Call[DocumentBody]) -> Reply:
    """POST /capability-document/validate: everything that is wrong, or how many it declares."""
    found = declared.problems(rx, call.company, call.body.text)
    entries = declared.parse(call.body.text).entries
    shown = [
        {"line": p.line, "column": p.column, "message": p.message, "expected": p.expected,
         "text": p.told(declared.FILE)}
        for p in found[: declared.MAX_PROBLEMS]
    ]  # fmt: skip
    return json_reply(
        {"valid": not found, "count": len(found), "problems": shown,
         "capabilities": [entry.new.id for entry in entries] if not found else []}
    )  # fmt: skip


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
    read_route(
        "/capability-search", search, "Find capabilities for an intent",
        query=("intent", "limit"), tags=("capabilities",),
    ),
    read_route("/capabilities/{id}", show, "Show a capability", tags=("capabilities",)),
    write_route(
        "POST", "/capabilities", "capability.register", register, "Register a capability",
        body=CapabilityBody, status=201, target="capability:new", tags=("capabilities",),
    ),
    write_route(
        "POST", "/skills", "capability.register", add_skill, "Register a skill's folder",
        body=SkillBody, status=201, target="capability:new", tags=("capabilities",),
    ),
    Route(
        method="POST", path="/capability-document/validate", capability="read", kind="read",
        handler=validate, summary="Check a capabilities.yaml", body=DocumentBody, keyed="ignored",
        tags=("capabilities",),
    ),
    _disable_route("DELETE", "/capabilities/{id}"),
    _disable_route("POST", "/capabilities/{id}/disable"),
)  # fmt: skip
