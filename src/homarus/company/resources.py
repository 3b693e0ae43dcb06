"""Scoped resources: what a company, customer, project or agent knows and may use (contract, 11).

The secret of a resource arrives here sealed and leaves only through a lease (`flows/lending.py`);
reads say no more than whether there is one. Versions, tags and links of texts: `note_rows.py`.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.company import note_rows, secrets
from homarus.company.notes import Text, title_key
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

SCOPES: Final = ("company", "customer", "project", "agent")
OWNERSHIPS: Final = ("managed", "local-runtime")
MAX_NAME: Final = 300
MAX_PATH: Final = 1_000
MAX_DEPTH: Final = 32
MAX_CONFIG: Final = 500_000
MAX_FOLDERS: Final = 1_000
MAX_PAGE_CHARS: Final = 4_000_000
"""Characters of text in one page of a list; a page ends early rather than pass it."""
FEW: Final = 2_000
"""What is below a folder is looked up there while it is no more than this; else it is picked from
the newest of all."""
ACTIVE: Final = "active"

_COLUMNS: Final = (
    "id, no, company, scope_type, scope, provider, type, name, display_name, path, "
    "substr(config, 1, cast(? as integer)), "
    "case when secret_sealed is null then 0 else 1 end, status, is_shared, ownership, "
    "last_used_ms, last_failure_ms, last_failure_reason, created_ms, updated_ms, deleted_ms, "
    "is_exclusive, secret_version, text_version, coalesce(length(config), 0)"
)


class Resource(msgspec.Struct, frozen=True, gc=False):
    """A row of `resource`; of its secret only whether there is one. `scope` None: the company.

    `config` may be cut where the reader asked for that; `config_chars` is its whole length.
    `is_exclusive`: one lease at a time. `secret_version` and `text_version` count from 1.
    """

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
    is_exclusive: bool
    secret_version: int
    text_version: int
    config_chars: int


class Filter(msgspec.Struct, frozen=True):
    """What to list; None leaves a field open. `scopes`: any of these scope ids, and with
    `and_company` the company's own too; `search` looks in names and text; `prefix`: a folder and
    all below it."""

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
    tag: str | None = None
    and_company: bool = False


class ResourceChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `secret_sealed` None takes the secret away."""

    provider: str | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    display_name: str | msgspec.UnsetType | None = msgspec.UNSET
    path: str | msgspec.UnsetType | None = msgspec.UNSET
    config: Text | msgspec.UnsetType | None = msgspec.UNSET
    secret_sealed: bytes | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    is_shared: bool | msgspec.UnsetType = msgspec.UNSET
    is_exclusive: bool | msgspec.UnsetType = msgspec.UNSET
    ownership: str | msgspec.UnsetType = msgspec.UNSET


def _resource(row: Row) -> Resource:
    values = list(row)
    values[11], values[13], values[21] = bool(values[11]), bool(values[13]), bool(values[21])
    return Resource(*values)


def by_id(rx: Rx, company: str, resource: str, *, text_chars: int = MAX_CONFIG) -> Resource | None:
    """With its text, cut at `text_chars`."""
    row = rx.one(
        f"select {_COLUMNS} from resource where id=? and company=? and deleted_ms is null",  # noqa: S608
        (text_chars, resource, company),
    )
    return None if row is None else _resource(row)


def need(rx: Rx, company: str, resource: str) -> Resource:
    """Raises `resource.unknown`."""
    row = by_id(rx, company, resource)
    if row is None:
        raise NotFound(
            "resource.unknown",
            f"no resource {resource[:80]!r} in this company",
            "See GET /resources.",
        )
    return row


def like(text: str) -> str:
    """A LIKE pattern's literal part, for `escape '\\'`."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _where(rx: Rx, company: str, chosen: Filter) -> tuple[str, list[Any]]:
    """More conditions, each with its "and", and their parameters."""
    where: list[str] = []
    params: list[Any] = []
    # What is in a scope is found by the scope's own index, whatever else is asked of it.
    plain = "" if not chosen.scopes or chosen.and_company else "||''"
    for column in ("scope_type", "type", "provider", "name", "display_name", "status", "path"):
        value = getattr(chosen, column)
        if value is not None:
            where.append(f"{column}{plain}=?")
            params.append(value)
    if chosen.is_shared is not None:
        where.append("is_shared=1" if chosen.is_shared else "is_shared=0")
    scopes = []
    if chosen.scopes:
        scopes.append(f"scope in ({','.join('?' * len(chosen.scopes))})")
        params += chosen.scopes
    if chosen.and_company:
        # Few are shared: they are found by their own index, not among all of the company's.
        column = "scope_type||''" if chosen.is_shared else "scope_type"
        scopes.append(f"{column}='company'")
    if scopes:
        where.append(f"({' or '.join(scopes)})")
    if chosen.prefix is not None:
        below, its = _below(rx, company, chosen.prefix)
        where.append(below)
        params += its
    if chosen.search is not None:
        pattern = f"%{like(chosen.search.lower())}%"
        columns = ("name", "coalesce(display_name,'')", "coalesce(config,'')")
        where.append("(" + " or ".join(f"lower({c}) like ? escape '\\'" for c in columns) + ")")
        params += [pattern] * len(columns)
    if chosen.tag is not None:
        where.append("id in (select t.resource from resource_tag t where t.company=? and t.tag=?)")
        params += [company, chosen.tag]
    return "".join(f" and {condition}" for condition in where), params


def _below(rx: Rx, company: str, prefix: str) -> tuple[str, list[Any]]:
    """The condition of being in this folder or below it, and its parameters."""
    inside, its = "({0}path=? or {0}path like ? escape '\\')", [prefix, like(prefix) + "/%"]
    within = inside.format("f.")
    held = rx.one(
        f"select coalesce(sum(f.n), 0) from resource_folder f where f.company=? and {within}",  # noqa: S608
        (company, *its),
    )
    if held is not None and held[0] > FEW:
        return inside.format(""), list(its)
    return (
        "id in (select r.id from resource_folder f join resource r on r.company=f.company "  # noqa: S608
        f"and r.path=f.path and r.deleted_ms is null where f.company=? and {within})",
        [company, *its],
    )


def listed(
    rx: Rx,
    company: str,
    chosen: Filter,
    *,
    limit: int,
    before: int | None = None,
    text_chars: int = MAX_CONFIG,
) -> list[Resource]:
    """Newest first; `before` is the `no` of the last one seen. Texts are cut at `text_chars`."""
    where, params = _where(rx, company, chosen)
    select = f"select {_COLUMNS} from resource where company=? and deleted_ms is null{where}"  # noqa: S608
    rows = newest(rx, select, (text_chars, company, *params), limit=limit, before=before)
    return [_resource(row) for row in rows]


def page(
    rx: Rx, company: str, chosen: Filter, *, limit: int, before: int | None = None
) -> tuple[list[Resource], int | None]:
    """At most `limit` of them with whole texts, no more than MAX_PAGE_CHARS in all (but one at
    least), and the `before` of the next page (None: it was the last)."""
    where, params = _where(rx, company, chosen)
    select = (
        "select no, coalesce(length(config), 0) from resource "  # noqa: S608
        f"where company=? and deleted_ms is null{where}"
    )
    sizes = newest(rx, select, (company, *params), limit=limit + 1, before=before)
    count = chars = 0
    for _, size in sizes[:limit]:
        chars += size
        if count and chars > MAX_PAGE_CHARS:
            break
        count += 1
    rows = listed(rx, company, chosen, limit=count, before=before) if count else []
    return rows, rows[-1].no if count < len(sizes) else None


def folders(rx: Rx, company: str, scopes: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    """`(folder path, resources directly in it)` with all parents, sorted; at most 1,000 in use.

    `scopes`: of these scope ids only; none: of the whole company.
    """
    only = f" and scope in ({','.join('?' * len(scopes))})" if scopes else ""
    rows = rx.all(
        f"select path, sum(n) from resource_folder where company=?{only} "  # noqa: S608
        "group by path order by path limit ?",
        (company, *scopes, MAX_FOLDERS),
    )
    found: dict[str, int] = {}
    for path, count in rows:
        parts = str(path).split("/")
        for depth in range(1, len(parts)):
            found.setdefault("/".join(parts[:depth]), 0)
        found[path] = found.get(path, 0) + int(count)
    return sorted(found.items())


def _put_into(tx: Tx, path: str, scope: str | None) -> None:
    """One resource more directly in a folder."""
    if path:
        tx.run(
            "insert into resource_folder(company, path, scope, n) values(?,?,?,1) "
            "on conflict(company, path, scope) do update set n=resource_folder.n+1",
            (tx.company, path, scope or ""),
        )


def _take_out(tx: Tx, path: str, scope: str | None) -> None:
    """The inverse; the last one takes the folder with it."""
    place = (tx.company, path, scope or "")
    where = "where company=? and path=? and scope=?"
    if path and not tx.run(f"delete from resource_folder {where} and n=1", place):  # noqa: S608
        tx.run(f"update resource_folder set n=n-1 {where}", place)  # noqa: S608


def folder(text: str | None) -> str:
    """A folder path in its normal form: no empty parts or outer slashes. Raises `resource.path`."""
    parts = [part.strip() for part in (text or "").split("/")]
    path = "/".join(part for part in parts if part)
    if len(path) > MAX_PATH or ".." in parts or path.count("/") >= MAX_DEPTH:
        raise Invalid(
            "resource.path",
            "unusable path",
            f"At most {MAX_PATH} characters and {MAX_DEPTH} folders deep, no `..`.",
        )
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
    text = values.get("config")
    if text is not None:
        if len(text.text) > MAX_CONFIG:
            raise Invalid("resource.config", "the text is too long", f"At most {MAX_CONFIG}.")
        values["config"] = text.text
    if values.get("ownership", "managed") not in OWNERSHIPS:
        raise Invalid("resource.ownership", "unknown ownership", f"One of {list(OWNERSHIPS)}.")
    if "path" in values:
        values["path"] = folder(values["path"])
    for field in ("is_shared", "is_exclusive"):
        if field in values:
            values[field] = int(values[field])
    if "name" in values:
        values["name_key"] = title_key(values["name"])
    if "display_name" in values:
        shown = values["display_name"]
        values["display_key"] = title_key(shown) if shown else None
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
    values = {"status": ACTIVE, "ownership": "managed"} | values
    values |= {
        "id": resource,
        "no": tx.number("resource"),
        "company": tx.company,
        "scope_type": scope_type,
        "scope": scope,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
        "secret_version": int(values.get("secret_sealed") is not None),
        "text_version": int(values.get("config") is not None),
    }
    tx.run(
        f"insert into resource({', '.join(values)}) values({','.join('?' * len(values))})",
        tuple(values.values()),
    )
    _put_into(tx, values.get("path", ""), scope)
    if isinstance(change.config, Text):
        note_rows.keep(tx, resource, 1, values["name"], values["config"])
        note_rows.write(tx, resource, change.config.facets)
    tx.emit("resource_created", resource, {"scope_type": scope_type})
    return need(tx, tx.company, resource)


def update(tx: Tx, resource: str, change: ResourceChange) -> Resource:
    """A new text or name of a note is a new version; a new secret puts the old one aside, sealed.

    Raises `resource.unknown`, `resource.nothing`, `resource.*`. Emits `resource_updated`.
    """
    before = need(tx, tx.company, resource)
    values = _checked(change)
    if not values:
        raise Invalid("resource.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values.keys() - {"name_key", "display_key"})
    name, config = values.get("name", before.name), values.get("config", before.config)
    if config is not None and (name, config) != (before.name, before.config):
        values["text_version"] = before.text_version + 1
        note_rows.keep(tx, resource, before.text_version + 1, name, config)
    if "config" in values:
        note_rows.write(tx, resource, change.config.facets if change.config else None)
    if "secret_sealed" in values:
        values["secret_version"] = _put_aside(tx, before, values["secret_sealed"])
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update resource set {sets} where id=?", (*values.values(), resource))  # noqa: S608
    if values.get("path", before.path) != before.path:
        _take_out(tx, before.path, before.scope)
        _put_into(tx, values["path"], before.scope)
    tx.emit("resource_updated", resource, {"fields": fields})
    return need(tx, tx.company, resource)


def _put_aside(tx: Tx, before: Resource, sealed: bytes | None) -> int:
    """The version that the secret has from now on. One that is taken away is forgotten with all
    before it; one that is replaced is kept, sealed."""
    if sealed is None:
        secrets.forget(tx, before.id)
        return before.secret_version
    if before.secret_configured:
        row = tx.one("select secret_sealed from resource where id=?", (before.id,))
        if row is not None:
            secrets.keep(tx, before.id, before.secret_version, bytes(row[0]))
    return before.secret_version + 1


def restore_secret(tx: Tx, resource: str, version: int) -> Resource:
    """A replaced secret is in force again, as a new version.

    Raises `resource.unknown`, `resource.version_unknown`. Emits `resource_updated`.
    """
    need(tx, tx.company, resource)
    kept = secrets.sealed_former(tx, resource, version)
    if kept is None:
        raise NotFound(
            "resource.version_unknown",
            f"no secret of version {version} is kept",
            "See `formerSecrets` of GET /resources/{id}/access-log.",
        )
    return update(tx, resource, ResourceChange(secret_sealed=kept))


def delete(tx: Tx, resource: str) -> Resource:
    """Soft; its secrets are forgotten at once. Raises `resource.unknown`."""
    row = need(tx, tx.company, resource)
    tx.run("update resource set deleted_ms=?, secret_sealed=null where id=?", (tx.now_ms, resource))
    _take_out(tx, row.path, row.scope)
    secrets.forget(tx, resource)
    note_rows.write(tx, resource, None)
    tx.emit("resource_deleted", resource)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms, secret_configured=False)


def sealed(rx: Rx, resource: str) -> bytes | None:
    """The secret as it is kept, for whoever may open it."""
    row = rx.one("select secret_sealed from resource where id=?", (resource,))
    return None if row is None or row[0] is None else bytes(row[0])


def used(tx: Tx, resource: str) -> None:
    tx.run("update resource set last_used_ms=? where id=?", (tx.now_ms, resource))
