"""Scoped resources (control-plane contract, 11). Secrets are sealed before the unit sees them."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.company import agents, customers, projects, resources
from homarus.company.resources import Filter, Resource, ResourceChange
from homarus.control_plane import shapes_resources as shapes
from homarus.control_plane.route import Call, Route, Sealer, json_reply, read_route, write_route
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("resources",)
MAX_SECRET_BYTES: Final = 65_536

_TRUE: Final = ("true", "1", "yes")
_FALSE: Final = ("false", "0", "no")


class ResourceBody(msgspec.Struct, rename="camel"):
    """What a client sets. `secretText` (alias `secretJson`) is kept sealed and never shown again;
    null takes it away. `configJson` is an alias of `configText`."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    resource_type: str | msgspec.UnsetType = msgspec.UNSET
    provider: str | msgspec.UnsetType = msgspec.UNSET
    scope_type: str | None = None
    scope_id: str | None = None
    agent_id: str | None = None
    project_id: str | None = None
    customer_id: str | None = None
    config_text: str | msgspec.UnsetType | None = msgspec.UNSET
    config_json: Any = msgspec.UNSET
    secret_text: str | msgspec.UnsetType | None = msgspec.UNSET
    secret_json: Any = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    path: str | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    ownership: str | msgspec.UnsetType = msgspec.UNSET
    is_shared: bool | msgspec.UnsetType = msgspec.UNSET


class SealedBody(msgspec.Struct, frozen=True):
    """A `ResourceBody` after `seal`: its secret, if it had one, is unreadable from here on."""

    fields: ResourceBody
    secret: bytes | msgspec.UnsetType | None


def _text(value: Any) -> Any:
    """Text as it is, other JSON as its text; UNSET and null as they are."""
    if value is None or value is msgspec.UNSET or isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def seal(call: Call[ResourceBody], sealer: Sealer) -> Call[SealedBody]:
    """The call without its clear secret. Raises `resource.secret` when that is too long."""
    body = call.body
    clear = _text(body.secret_json if body.secret_text is msgspec.UNSET else body.secret_text)
    body.secret_text = body.secret_json = msgspec.UNSET
    secret: bytes | msgspec.UnsetType | None = msgspec.UNSET
    if clear is None or clear == "":
        secret = None
    elif clear is not msgspec.UNSET:
        raw = str(clear).encode()
        if len(raw) > MAX_SECRET_BYTES:
            raise Invalid(
                "resource.secret", "the secret is too long", f"At most {MAX_SECRET_BYTES} bytes."
            )
        secret = sealer.seal(raw, about(call.company))
    return Call(
        call.company,
        call.token,
        call.path,
        call.query,
        SealedBody(body, secret),
        b"",
        call.base_url,
    )


def about(company: str) -> bytes:
    """What a resource's secret is sealed for: it opens in its own company only."""
    return f"resource:{company}".encode()


def _change(body: SealedBody) -> ResourceChange:
    fields = body.fields
    config = fields.config_json if fields.config_text is msgspec.UNSET else fields.config_text
    return ResourceChange(
        provider=fields.provider,
        type=fields.resource_type,
        name=fields.name,
        display_name=fields.display_name,
        path=fields.path,
        config=_text(config),
        secret_sealed=body.secret,
        status=fields.status,
        is_shared=fields.is_shared,
        ownership=fields.ownership,
    )


def _scope(rx: Rx, company: str, body: ResourceBody) -> tuple[str, str | None]:
    """`scopeType` + `scopeId`, else the one id that is named, else the company.

    Raises `resource.scope`, `agent.unknown`, `project.unknown`, `customer.unknown`.
    """
    named = {
        "agent": body.agent_id,
        "project": body.project_id,
        "customer": body.customer_id,
    }
    kind = body.scope_type or next((name for name, ref in named.items() if ref), "company")
    ref = body.scope_id or named.get(kind)
    if kind == "company":
        return kind, None
    if not ref or kind not in named:
        raise Invalid(
            "resource.scope",
            f"the scope {kind[:40]!r} is unknown or names nothing",
            f"scopeType: one of {list(resources.SCOPES)}, with `scopeId`.",
        )
    if kind == "agent":
        return kind, agents.need(rx, company, ref).id
    if kind == "project":
        return kind, projects.need(rx, company, ref).id
    return kind, customers.need(rx, company, ref).id


def _reply(row: Resource, status: int = 200) -> Reply:
    return json_reply({"resource": shapes.resource(row)}, status)


def _flag(text: str | None) -> bool | None:
    if text is None or text.lower() not in _TRUE + _FALSE:
        return None
    return text.lower() in _TRUE


def listed(rx: Rx, call: Call[None]) -> Reply:
    query, limit = call.query, call.limit()
    scopes = (query.get(name) for name in ("customerId", "projectId", "agentId", "scopeId"))
    path, prefix = query.get("path"), query.get("pathPrefix")
    chosen = Filter(
        scopes=tuple(ref.lower() for ref in scopes if ref),
        scope_type=query.get("scopeType") or None,
        type=query.get("resourceType") or None,
        provider=query.get("provider") or None,
        name=query.get("name") or None,
        display_name=query.get("displayName") or None,
        search=query.get("search") or query.get("q") or None,
        status=query.get("status") or None,
        is_shared=_flag(query.get("isShared")),
        path=None if path is None else resources.folder(path),
        prefix=resources.folder(prefix) if prefix else None,
    )
    rows = resources.listed(rx, call.company, chosen, limit=limit + 1, before=call.cursor())
    more = len(rows) > limit
    rows = rows[:limit]
    return json_reply(
        {
            "resources": [shapes.resource(row) for row in rows],
            "folders": [shapes.folder(*pair) for pair in resources.folders(rx, call.company)],
            "nextCursor": str(rows[-1].no) if more else None,
        }
    )


def create(tx: Tx, call: Call[SealedBody]) -> Reply:
    kind, scope = _scope(tx, call.company, call.body.fields)
    return _reply(resources.create(tx, kind, scope, _change(call.body)), 201)


def read(rx: Rx, call: Call[None]) -> Reply:
    return _reply(resources.need(rx, call.company, call.id()))


def change(tx: Tx, call: Call[SealedBody]) -> Reply:
    return _reply(resources.update(tx, call.id(), _change(call.body)))


def delete(tx: Tx, call: Call[None]) -> Reply:
    return _reply(resources.delete(tx, call.id()))


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/resources", listed, "List resources, newest first, with their folders",
        query=(
            "customerId", "projectId", "agentId", "scopeType", "scopeId", "resourceType",
            "provider", "name", "displayName", "search", "q", "status", "isShared", "path",
            "pathPrefix", "limit", "cursor",
        ),
        tags=_TAGS,
    ),
    write_route(
        "POST", "/resources", "resource.create", create, "Create a resource",
        body=ResourceBody, prepare=seal, status=201, target="resource:", tags=_TAGS,
    ),
    read_route("/resources/{id}", read, "One resource", tags=_TAGS),
    write_route(
        "PATCH", "/resources/{id}", "resource.update", change, "Change a resource",
        body=ResourceBody, prepare=seal, target="resource:{id}", tags=_TAGS,
    ),
    write_route(
        "DELETE", "/resources/{id}", "resource.delete", delete, "Remove a resource",
        target="resource:{id}", tags=_TAGS,
    ),
)  # fmt: skip
