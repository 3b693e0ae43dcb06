"""Scoped resources: what a company, customer, project or agent knows and may use (contract, 11).

The secret of a resource arrives here sealed and leaves this module only through a lease; reads say
no more than whether there is one.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.store.port import Row, Rx, Tx

SCOPES: Final = ("company", "customer", "project", "agent")
OWNERSHIPS: Final = ("managed", "local-runtime")
MAX_NAME: Final = 300
MAX_PATH: Final = 1_000
MAX_CONFIG: Final = 500_000
MAX_FOLDERS: Final = 1_000

_COLUMNS: Final = (
    "id, no, company, scope_type, scope, provider, type, name, display_name, path, config, "
    "case when secret_sealed is null then 0 else 1 end, status, is_shared, ownership, "
    "last_used_ms, last_failure_ms, last_failure_reason, created_ms, updated_ms, deleted_ms"
)


class Resource(msgspec.Struct, frozen=True, gc=False):
    """A row of `resource`; of its secret only whether there is one. `scope` None: the company."""

    id: str
    no: int
    company: str
    scope_type: str
    scope: str | None
    provider: str
    type: str
    name: str
    display_name: str | None
    path: str
    config: str | None
    secret_configured: bool
    status: str
    is_shared: bool
    ownership: str
    last_used_ms: int | None
    last_failure_ms: int | None
    last_failure_reason: str | None
    created_ms: int
    updated_ms: int
    deleted_ms: int | None


class Filter(msgspec.Struct, frozen=True):
    """What to list; None leaves a field open. `scopes`: any of these scope ids; `search` looks in
    names and text; `prefix`: a folder and all below it."""

    scopes: tuple[str, ...] = ()
    scope_type: str | None = None
    type: str | None = None
    provider: str | None = None
    name: str | None = None
    display_name: str | None = None
    search: str | None = None
    status: str | None = None
    is_shared: bool | None = None
    path: str | None = None
    prefix: str | None = None


class ResourceChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `secret_sealed` None takes the secret away."""

    provider: str | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    path: str | msgspec.UnsetType | None = msgspec.UNSET
    config: str | msgspec.UnsetType | None = msgspec.UNSET
    secret_sealed: bytes | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    is_shared: bool | msgspec.UnsetType = msgspec.UNSET
    ownership: str | msgspec.UnsetType = msgspec.UNSET


def _resource(row: Row) -> Resource:
    values = list(row)
    values[11], values[13] = bool(values[11]), bool(values[13])
    return Resource(*values)


def need(rx: Rx, company: str, resource: str) -> Resource:
    """Raises `resource.unknown`."""
    row = rx.one(
        f"select {_COLUMNS} from resource where id=? and company=? and deleted_ms is null",  # noqa: S608
        (resource, company),
    )
    if row is None:
        raise NotFound(
            "resource.unknown",
            f"no resource {resource[:80]!r} in this company",
            "See GET /resources.",
        )
    return _resource(row)


def like(text: str) -> str:
    """A LIKE pattern's literal part, for `escape '\\'`."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _where(chosen: Filter) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    params: list[Any] = []
    for column in ("scope_type", "type", "provider", "name", "display_name", "status", "path"):
        value = getattr(chosen, column)
        if value is not None:
            where.append(f"{column}=?")
            params.append(value)
    if chosen.is_shared is not None:
        where.append("is_shared=?")
        params.append(int(chosen.is_shared))
    if chosen.scopes:
        where.append(f"scope in ({','.join('?' * len(chosen.scopes))})")
        params += chosen.scopes
    if chosen.prefix is not None:
        where.append("(path=? or path like ? escape '\\')")
        params += [chosen.prefix, like(chosen.prefix) + "/%"]
    if chosen.search is not None:
        pattern = f"%{like(chosen.search.lower())}%"
        columns = ("name", "coalesce(display_name,'')", "coalesce(config,'')")
        where.append("(" + " or ".join(f"lower({c}) like ? escape '\\'" for c in columns) + ")")
        params += [pattern] * len(columns)
    return where, params


def listed(
    rx: Rx, company: str, chosen: Filter, *, limit: int, before: int | None = None
) -> list[Resource]:
    """Newest first; `before` is the `no` of the last one seen."""
    where, params = _where(chosen)
    extra = "".join(f" and {condition}" for condition in where)
    rows = rx.all(
        f"select {_COLUMNS} from resource where company=? and deleted_ms is null and no<?{extra} "  # noqa: S608
        "order by no desc limit ?",
        (company, before if before is not None else 2**62, *params, limit),
    )
    return [_resource(row) for row in rows]


def folders(rx: Rx, company: str) -> list[tuple[str, int]]:
    """`(folder path, resources directly in it)` with all parents, sorted; at most 1,000 in use."""
    rows = rx.all(
        "select path, count(*) from resource where company=? and deleted_ms is null "
        "and path<>'' group by path order by path limit ?",
        (company, MAX_FOLDERS),
    )
    found: dict[str, int] = {}
    for path, count in rows:
        parts = str(path).split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join(parts[:depth]), 0)
        found[path] = found.get(path, 0) + count
    return sorted(found.items())


def folder(text: str | None) -> str:
    """A folder path in its normal form: no empty parts or outer slashes. Raises `resource.path`."""
    parts = [part.strip() for part in (text or "").split("/")]
    path = "/".join(part for part in parts if part)
    if len(path) > MAX_PATH or ".." in parts:
        raise Invalid("resource.path", "unusable path", f"At most {MAX_PATH} characters, no `..`.")
    return path


def _checked(change: ResourceChange) -> dict[str, Any]:
    """Column values of a change. Raises `resource.*`."""
    values = {
        field: getattr(change, field)
        for field in change.__struct_fields__
        if getattr(change, field) is not msgspec.UNSET
    }
    for field in ("provider", "type", "name", "status"):
        text = values.get(field, "x")
        if not 0 < len(text.strip()) <= MAX_NAME:
            raise Invalid(f"resource.{field}", f"unusable {field}", f"1 to {MAX_NAME} characters.")
    if len(values.get("display_name") or "") > MAX_NAME:
        raise Invalid("resource.name", "displayName is too long", f"At most {MAX_NAME}.")
    if len(values.get("config") or "") > MAX_CONFIG:
        raise Invalid("resource.config", "the text is too long", f"At most {MAX_CONFIG}.")
    if values.get("ownership", "managed") not in OWNERSHIPS:
        raise Invalid("resource.ownership", "unknown ownership", f"One of {list(OWNERSHIPS)}.")
    if "path" in values:
        values["path"] = folder(values["path"])
    if "is_shared" in values:
        values["is_shared"] = int(values["is_shared"])
    return values


def create(tx: Tx, scope_type: str, scope: str | None, change: ResourceChange) -> Resource:
    """A resource in a scope that the caller has checked (None with `company`).

    Raises `resource.scope`, `resource.missing`, `resource.*`. Emits `resource_created`.
    """
    if scope_type not in SCOPES or (scope is None) != (scope_type == "company"):
        raise Invalid("resource.scope", "unusable scope", f"scopeType: one of {list(SCOPES)}.")
    values = _checked(change)
    missing = [field for field in ("name", "type", "provider") if field not in values]
    if missing:
        raise Invalid(
            "resource.missing",
            f"missing: {', '.join(missing)}",
            "Give `name`, `resourceType` and `provider`.",
            missingFields=missing,
        )
    resource = tx.new_id()
    values = {"status": "active", "ownership": "managed"} | values
    values |= {
        "id": resource,
        "no": tx.number("resource"),
        "company": tx.company,
        "scope_type": scope_type,
        "scope": scope,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    tx.run(
        f"insert into resource({', '.join(values)}) values({','.join('?' * len(values))})",
        tuple(values.values()),
    )
    tx.emit("resource_created", resource, {"scope_type": scope_type})
    return need(tx, tx.company, resource)


def update(tx: Tx, resource: str, change: ResourceChange) -> Resource:
    """Raises `resource.unknown`, `resource.nothing`, `resource.*`. Emits `resource_updated`."""
    need(tx, tx.company, resource)
    values = _checked(change)
    if not values:
        raise Invalid("resource.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values)
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update resource set {sets} where id=?", (*values.values(), resource))  # noqa: S608
    tx.emit("resource_updated", resource, {"fields": fields})
    return need(tx, tx.company, resource)


def delete(tx: Tx, resource: str) -> Resource:
    """Soft; its secret is forgotten at once. Raises `resource.unknown`."""
    row = need(tx, tx.company, resource)
    tx.run("update resource set deleted_ms=?, secret_sealed=null where id=?", (tx.now_ms, resource))
    tx.emit("resource_deleted", resource)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms, secret_configured=False)
