"""Scoped resources (control-plane contract, 11): under `/resources`, and the same under a project
or a customer, where the scope is fixed."""

from collections.abc import Callable
from typing import Any, Final

from homarus.base.errors import Invalid, NotFound
from homarus.company import agents, customers, note_rows, projects, resources
from homarus.company.resources import Filter, Resource
from homarus.control_plane import shapes_resources as shapes
from homarus.control_plane.resource_bodies import ReadyBody, ResourceBody, prepare
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import scoping
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("resources",)
_QUERY: Final = (
    "resourceType", "provider", "name", "displayName", "search", "q", "status", "isShared",
    "path", "pathPrefix", "tag", "limit", "cursor",
)  # fmt: skip

_TRUE: Final = ("true", "1", "yes")
_FALSE: Final = ("false", "0", "no")


def scope_of(rx: Rx, company: str, body: ResourceBody) -> tuple[str, str | None]:
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
    return kind, _place(rx, company, kind, ref.lower())


def _place(rx: Rx, company: str, kind: str, ref: str) -> str:
    """A project's or customer's id. Raises `project.unknown`, `customer.unknown`."""
    if kind == "project":
        return projects.need(rx, company, ref).id
    return customers.need(rx, company, ref).id


def _reply(row: Resource, status: int = 200) -> Reply:
    return json_reply({"resource": shapes.resource(row)}, status)


def _flag(text: str | None) -> bool | None:
    if text is None or text.lower() not in _TRUE + _FALSE:
        return None
    return text.lower() in _TRUE


def _chosen(query: Any, scopes: tuple[str, ...], scope_type: str | None) -> Filter:
    path, prefix, tag = query.get("path"), query.get("pathPrefix"), query.get("tag")
    return Filter(
        scopes=scopes,
        scope_type=scope_type,
        type=query.get("resourceType") or None,
        provider=query.get("provider") or None,
        name=query.get("name") or None,
        display_name=query.get("displayName") or None,
        search=query.get("search") or query.get("q") or None,
        status=query.get("status") or None,
        is_shared=_flag(query.get("isShared")),
        path=None if path is None else resources.folder(path),
        prefix=resources.folder(prefix) if prefix else None,
        tag=tag.lstrip("#").lower() if tag else None,
    )


def _list(rx: Rx, call: Call[None], chosen: Filter) -> Reply:
    rows, after = resources.page(rx, call.company, chosen, limit=call.limit(), before=call.cursor())
    tree = resources.folders(rx, call.company, chosen.scopes if chosen.scope_type else ())
    return json_reply(
        {
            "resources": [shapes.resource(row) for row in rows],
            "folders": [shapes.folder(*pair) for pair in tree],
            "nextCursor": None if after is None else str(after),
        }
    )


def listed(rx: Rx, call: Call[None]) -> Reply:
    query = call.query
    scopes = (query.get(name) for name in ("customerId", "projectId", "agentId", "scopeId"))
    refs = tuple(ref.lower() for ref in scopes if ref)
    return _list(rx, call, _chosen(query, refs, query.get("scopeType") or None))


def create(tx: Tx, call: Call[ReadyBody]) -> Reply:
    kind, scope = scope_of(tx, call.company, call.body.fields)
    scoping.check_writer(tx, kind, scope)
    return _reply(resources.create(tx, kind, scope, call.body.change), 201)


def read(rx: Rx, call: Call[None]) -> Reply:
    """With what its text says of itself."""
    row = resources.need(rx, call.company, call.id())
    links = note_rows.links_of(rx, call.company, row.id)
    shape = {
        **shapes.resource(row),
        "tags": note_rows.tags_of(rx, row.id),
        "links": [shapes.link(link) for link in links],
    }
    return json_reply({"resource": shape})


def change(tx: Tx, call: Call[ReadyBody]) -> Reply:
    return _change(tx, call, _own(tx, call, call.id()))


def delete(tx: Tx, call: Call[None]) -> Reply:
    return _reply(resources.delete(tx, _own(tx, call, call.id()).id))


def _own(tx: Tx, call: Call[Any], ref: str) -> Resource:
    """A resource that this caller may write. Raises `resource.unknown`, `resource.not_yours`."""
    row = resources.need(tx, call.company, ref)
    scoping.check_writer(tx, row.scope_type, row.scope)
    return row


def _change(tx: Tx, call: Call[ReadyBody], row: Resource) -> Reply:
    fields = call.body.fields
    named = (fields.scope_type, fields.scope_id, fields.agent_id, fields.project_id,
             fields.customer_id)  # fmt: skip
    if any(named) and scope_of(tx, call.company, fields) != (row.scope_type, row.scope):
        raise Invalid(
            "resource.scope_fixed",
            "a resource keeps its scope",
            "Create another one in that scope, and delete this one.",
        )
    return _reply(resources.update(tx, row.id, call.body.change))


# -- under a project or a customer ---------------------------------------------------------


def _under(kind: str, name: str) -> tuple[Callable[..., Reply], ...]:
    """The same handlers with a fixed scope: list, create, read, change, delete."""

    def place(rx: Rx, call: Call[Any]) -> str:
        return _place(rx, call.company, kind, call.id(name))

    def here(rx: Rx, call: Call[Any]) -> Resource:
        scope = place(rx, call)
        row = resources.need(rx, call.company, call.id("rid"))
        if (row.scope_type, row.scope) != (kind, scope):
            raise NotFound(
                "resource.unknown",
                f"no resource {row.id} of this {kind}",
                "See GET /resources.",
            )
        return row

    def list_here(rx: Rx, call: Call[None]) -> Reply:
        return _list(rx, call, _chosen(call.query, (place(rx, call),), kind))

    def create_here(tx: Tx, call: Call[ReadyBody]) -> Reply:
        return _reply(resources.create(tx, kind, place(tx, call), call.body.change), 201)

    def read_here(rx: Rx, call: Call[None]) -> Reply:
        return _reply(here(rx, call))

    def change_here(tx: Tx, call: Call[ReadyBody]) -> Reply:
        return _change(tx, call, here(tx, call))

    def delete_here(tx: Tx, call: Call[None]) -> Reply:
        return _reply(resources.delete(tx, here(tx, call).id))

    return list_here, create_here, read_here, change_here, delete_here


def _routes(kind: str, name: str, keyed: str) -> tuple[Route, ...]:
    list_here, create_here, read_here, change_here, delete_here = _under(kind, name)
    base, one = f"/{kind}s/{{{name}}}/resources", f"/{kind}s/{{{name}}}/resources/{{rid}}"
    body: dict[str, Any] = {"body": ResourceBody, "prepare": prepare, "tags": _TAGS}
    return (
        read_route(
            base, list_here, f"List a {kind}'s resources, newest first, with their folders",
            query=_QUERY, tags=_TAGS,
        ),
        write_route(
            "POST", base, "resource.create", create_here, f"Create a resource of a {kind}",
            keyed=keyed, status=201, target="resource:", **body,
        ),
        read_route(one, read_here, f"One resource of a {kind}", tags=_TAGS),
        write_route(
            "PATCH", one, "resource.update", change_here, f"Change a resource of a {kind}",
            target="resource:{rid}", **body,
        ),
        write_route(
            "DELETE", one, "resource.delete", delete_here, f"Remove a resource of a {kind}",
            target="resource:{rid}", tags=_TAGS,
        ),
    )  # fmt: skip


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/resources", listed, "List resources, newest first, with their folders",
        query=("customerId", "projectId", "agentId", "scopeType", "scopeId", *_QUERY),
        tags=_TAGS,
    ),
    write_route(
        "POST", "/resources", "resource.create", create, "Create a resource",
        body=ResourceBody, prepare=prepare, status=201, target="resource:", tags=_TAGS,
    ),
    read_route(
        "/resources/{id}", read, "One resource, with the tags and links of its text", tags=_TAGS
    ),
    write_route(
        "PATCH", "/resources/{id}", "resource.update", change, "Change a resource",
        body=ResourceBody, prepare=prepare, target="resource:{id}", tags=_TAGS,
    ),
    write_route(
        "DELETE", "/resources/{id}", "resource.delete", delete, "Remove a resource",
        target="resource:{id}", tags=_TAGS,
    ),
    *_routes("project", "pid", keyed="accepted"),
    *_routes("customer", "cid", keyed="required"),
)  # fmt: skip
