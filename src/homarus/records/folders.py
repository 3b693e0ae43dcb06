"""Folders of artifacts: a tree of names, each with a scope that all below it share.

A folder's path follows from its parents, so a move changes one row, whatever lies below. `height`
(levels of folders below) is kept along the way up, so depth is bounded without reading a subtree.
A folder whose parents are gone is gone: nothing new gets into a tree that is being removed
(`emptying.py` takes out what it held).
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.records import rules
from homarus.store.paging import newest, when
from homarus.store.port import Row, Rx, Tx

MAX_DEPTH: Final = 16
MAX_METADATA_BYTES: Final = 16_384

_COLUMNS: Final = (
    "id, no, company, parent, project, customer, agent, kind, name, height, metadata, created_by, "
    "created_ms, updated_ms, deleted_ms"
)
_UP: Final = "select parent, name, height, deleted_ms from artifact_folder where id=? and company=?"
_EQUAL: Final = frozenset({"id", "parent", "project", "customer", "agent"})


class Scope(msgspec.Struct, frozen=True):
    """Whose something is; None leaves it open. A project's customer is named with it."""

    project: str | None = None
    customer: str | None = None
    agent: str | None = None


class Folder(msgspec.Struct, frozen=True, gc=False):
    """A row of `artifact_folder`; times in Unix ms."""

    id: str
    no: int
    company: str
    parent: str | None
    project: str | None
    customer: str | None
    agent: str | None
    kind: str | None
    name: str
    height: int
    metadata: dict[str, Any]
    created_by: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None

    @property
    def number(self) -> str:
        return f"F-{self.no}"

    @property
    def scope(self) -> Scope:
        return Scope(self.project, self.customer, self.agent)


class FolderChange(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. `parent` None makes it a root."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    parent: str | msgspec.UnsetType | None = msgspec.UNSET
    kind: str | msgspec.UnsetType | None = msgspec.UNSET
    metadata: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def _folder(row: Row) -> Folder:
    values = list(row)
    values[10] = json.loads(values[10])
    return Folder(*values)


# -- reading -------------------------------------------------------------------------------


def need(rx: Rx, company: str, ref: str) -> Folder:
    """By id or number (`F-3`); one below a removed folder is removed. Raises `folder.unknown`."""
    row = None
    if is_uuid(ref.lower()):
        row = rx.one(
            f"select {_COLUMNS} from artifact_folder where company=? and id=?",  # noqa: S608
            (company, ref.lower()),
        )
    elif (no := numbered(ref, "F")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from artifact_folder where company=? and no=? "  # noqa: S608
            "and deleted_ms is null",
            (company, no),
        )
    if row is None:
        raise _unknown(ref)
    found = _folder(row)
    names(rx, company, found.id)
    return found


def _unknown(ref: str) -> NotFound:
    return NotFound("folder.unknown", f"no folder {ref[:80]!r} in this company", "GET /folders.")


def names(rx: Rx, company: str, folder: str) -> list[tuple[str, str]]:
    """`(id, name)` of a folder and of those above it, itself first. Raises `folder.unknown`."""
    found: list[tuple[str, str]] = []
    above: str | None = folder
    while above is not None:
        row = rx.one(_UP, (above, company))
        if row is None or row[3] is not None or len(found) >= MAX_DEPTH:
            raise _unknown(folder)
        found.append((above, row[1]))
        above = row[0]
    return found


def paths(rx: Rx, company: str, folders: Iterable[str | None]) -> dict[str | None, str]:
    """Path of each folder, as names joined by `/`; what is being removed has none.

    One statement a level, not one a folder: for lists.
    """
    wanted = {folder for folder in folders if folder is not None}
    known: dict[str, tuple[str | None, str]] = {}
    level = wanted
    for _ in range(MAX_DEPTH):
        if not level:
            break
        marks = ",".join("?" * len(level))
        rows = rx.all(
            f"select id, parent, name from artifact_folder where id in ({marks}) "  # noqa: S608
            "and company=? and deleted_ms is null",
            (*sorted(level), company),
        )
        known |= {row[0]: (row[1], row[2]) for row in rows}
        level = {row[1] for row in rows if row[1] is not None and row[1] not in known}
    found: dict[str | None, str] = {}
    for folder in wanted:
        parts: list[str] = []
        above: str | None = folder
        while above is not None and above in known:
            above, name = known[above]
            parts.append(name)
        if above is None:
            found[folder] = "/".join(reversed(parts))
    return found


def listed(
    rx: Rx,
    company: str,
    filters: Mapping[str, str],
    *,
    limit: int,
    before: int | None = None,
    roots: bool = False,
    search: str = "",
) -> list[Folder]:
    """Newest first; `filters` by columns of `_EQUAL`; `before`: the `no` of the last one seen."""
    if not filters.keys() <= _EQUAL:
        raise AssertionError(f"folders are not listed by {sorted(filters.keys() - _EQUAL)}")
    select = f"select {_COLUMNS} from artifact_folder where company=? and deleted_ms is null"  # noqa: S608
    conditions: dict[str, Any] = {
        **when("parent is null", roots),
        **{f"{column}=?": value for column, value in filters.items()},
        "search like ? escape '!'": rules.containing(search) if search else None,
    }
    rows = newest(rx, select, (company,), conditions, limit=limit, before=before)
    return [_folder(row) for row in rows]


# -- scope ---------------------------------------------------------------------------------


def within(folder: Folder, scope: Scope) -> Scope:
    """`scope` of what is put into a folder, with what the folder says of whose it is.

    An agent's folder may hold what another agent made. Raises `folder.scope`.
    """
    for field in ("project", "customer"):
        if getattr(folder, field) not in (None, getattr(scope, field)) and getattr(scope, field):
            raise Invalid(
                "folder.scope",
                f"{folder.number} belongs to another {field}",
                f"Choose a folder of the same {field}, or one that belongs to none.",
            )
    return Scope(
        scope.project or folder.project,
        scope.customer or folder.customer,
        scope.agent or folder.agent,
    )


# -- writing -------------------------------------------------------------------------------


def create(
    tx: Tx,
    name: str,
    parent: str | None,
    scope: Scope,
    *,
    kind: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Folder:
    """A folder below `parent` (id), in its scope or a narrower one. Emits `folder_created`.

    Raises `folder.unknown`, `folder.scope`, `folder.depth`, `folder.exists` (details: `folder`).
    """
    values = _checked({"name": name, "kind": kind, "metadata": dict(metadata or {})})
    if parent is not None:
        above = need(tx, tx.company, parent)
        parent = above.id
        if scope.agent and above.agent not in (None, scope.agent):
            raise Invalid("folder.scope", f"{above.number} is another agent's", "Choose another.")
        scope = within(above, scope)
        _room(len(names(tx, tx.company, parent)), 0)
    place = _place(tx.company, parent, scope)
    _free(tx, place, values["name"])
    folder = tx.new_id()
    tx.run(
        f"insert into artifact_folder({_COLUMNS}, place, search) values({','.join('?' * 17)})",
        (
            folder, tx.number("folder"), tx.company, parent, scope.project, scope.customer,
            scope.agent, values["kind"], values["name"], 0, values["metadata"], tx.actor.key,
            tx.now_ms, tx.now_ms, None, place, values["search"],
        ),
    )  # fmt: skip
    _keep_heights(tx, parent)
    tx.emit("folder_created", folder, {"name": values["name"], "parent": parent})
    return need(tx, tx.company, folder)


def update(tx: Tx, ref: str, change: FolderChange) -> Folder:
    """Rename, move (within its scope), annotate. Emits `folder_updated`.

    Raises `folder.unknown`, `folder.nothing`, `folder.cycle`, `folder.scope`, `folder.depth`,
    `folder.exists`.
    """
    row = need(tx, tx.company, ref)
    values = _checked(
        {
            field: getattr(change, field)
            for field in change.__struct_fields__
            if getattr(change, field) is not msgspec.UNSET
        }
    )
    if not values:
        raise Invalid("folder.nothing", "nothing to change", "Give at least one field.")
    parent, name = values.get("parent", row.parent), values.get("name", row.name)
    if parent is not None and parent != row.parent:
        parent = values["parent"] = _new_parent(tx, row, parent)
    place = _place(tx.company, parent, row.scope)
    if (parent, name) != (row.parent, row.name):
        _free(tx, place, name)
    fields = sorted(values.keys() - {"search"})
    values |= {"place": place, "updated_ms": tx.now_ms}
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update artifact_folder set {sets} where id=?", (*values.values(), row.id))  # noqa: S608
    if parent != row.parent:
        _keep_heights(tx, row.parent)
        _keep_heights(tx, parent)
    tx.emit("folder_updated", row.id, {"fields": fields})
    return need(tx, tx.company, row.id)


def remove(tx: Tx, ref: str) -> Folder:
    """Take a folder out of the tree, and with it all below; `emptying` removes what it held.

    Emits `folder_deleted`. Raises `folder.unknown`.
    """
    row = need(tx, tx.company, ref)
    mark_removed(tx, row.id)
    _keep_heights(tx, row.parent)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)


def mark_removed(tx: Tx, folder: str) -> None:
    tx.run(
        "update artifact_folder set deleted_ms=?, updated_ms=?, emptying=1 where id=?",
        (tx.now_ms, tx.now_ms, folder),
    )
    tx.emit("folder_deleted", folder)


def _new_parent(tx: Tx, row: Folder, ref: str) -> str:
    """The id of the folder that `row` may move into."""
    above = need(tx, tx.company, ref)
    chain = names(tx, tx.company, above.id)
    if row.id in (folder for folder, _ in chain):
        raise Invalid(
            "folder.cycle",
            f"{row.number} cannot move into itself or into what lies in it",
            "Choose a folder outside of it.",
        )
    for field in Scope.__struct_fields__:
        if getattr(above, field) not in (None, getattr(row, field)):
            raise Invalid(
                "folder.scope",
                f"{above.number} belongs to another {field}; a move changes nothing of whose it is",
                f"Choose a folder of the same {field}, or one that belongs to none.",
            )
    _room(len(chain), row.height)
    return above.id


def _room(depth: int, height: int) -> None:
    if depth + 1 + height > MAX_DEPTH:
        raise Invalid("folder.depth", "folders nest too deeply", f"At most {MAX_DEPTH} levels.")


def _place(company: str, parent: str | None, scope: Scope) -> str:
    """Where a name is unique: in its parent; roots, among those of the same scope."""
    if parent is not None:
        return parent
    return "/".join((company, scope.project or "", scope.customer or "", scope.agent or ""))


def _free(tx: Tx, place: str, name: str) -> None:
    row = tx.one(
        "select id, no from artifact_folder where place=? and name=? and deleted_ms is null",
        (place, name),
    )
    if row is not None:
        raise Conflict(
            "folder.exists",
            f"there is a folder {name[:80]!r} already, F-{row[1]}",
            "Use `existingFolder`, or choose another name.",
            folder=row[0],
        )


def _keep_heights(tx: Tx, folder: str | None) -> None:
    """Heights of a folder and of those above it, after a change of what lies below it."""
    for _ in range(MAX_DEPTH):
        if folder is None:
            return
        row = tx.one(_UP, (folder, tx.company))
        top = tx.one(
            "select max(height) from artifact_folder where parent=? and deleted_ms is null",
            (folder,),
        )
        height = 0 if top is None or top[0] is None else top[0] + 1
        if row is None or row[2] == height:
            return
        tx.run("update artifact_folder set height=? where id=?", (height, folder))
        folder = row[0]


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Column values. Raises `folder.name`, `folder.kind`, `folder.metadata`."""
    if "name" in values:
        name = rules.name_of(unicodedata.normalize("NFC", values["name"]))
        if name is None:
            raise Invalid(
                "folder.name",
                f"{values['name'][:60]!r} is not a plain name",
                "Send a name without slashes or control characters, that no system reserves.",
            )
        values |= {"name": name, "search": name.lower()}
    if values.get("kind") is not None:
        values["kind"] = rules.word(values["kind"], "kind", "folder")
    if "metadata" in values:
        text = json.dumps(values["metadata"])
        if len(text) > MAX_METADATA_BYTES:
            raise Invalid(
                "folder.metadata", "metadataJson is too large", f"At most {MAX_METADATA_BYTES}."
            )
        values["metadata"] = text
    return values
