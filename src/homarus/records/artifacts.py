"""Artifacts: what work produced. A row names a content that is on disk already, or a reference.

Where it lies (`folders.py`), what it was before (`versions.py`) and the bytes in use (`quota.py`)
change in the unit that changes the row.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.base.redact import redact_tokens
from homarus.records import folders, quota, rules, versions
from homarus.records.artifact_fields import ArtifactChange, Content, NewArtifact, checked
from homarus.records.folders import Scope
from homarus.records.versions import Version
from homarus.store.paging import newest, when
from homarus.store.port import Row, Rx, Tx

MAX_OF_TASK: Final = 1_000
MAX_SEARCHED: Final = 10_000
"""Rows that one page of a search looks at; its cursor goes on from there."""

_COLUMNS: Final = (
    "id, no, company, project, task, customer, agent, title, kind, class, importance, "
    "content_type, filename, sha256, size_bytes, stored, storage_url, source_kind, source_ref, "
    "created_by, visibility, is_canonical, metadata, retention_policy, created_ms, updated_ms, "
    "deleted_ms, folder, promoted_ms, version"
)
_LISTED: Final = _COLUMNS.replace(" metadata,", " '{}',")
"""Of a list's rows without what may be large; see also `texts`."""


class Artifact(msgspec.Struct, frozen=True, gc=False):
    """A row of `artifact`. `stored`: the content is under `blobs/`; `version` counts its contents;
    `promoted_ms`: since when it is canonical; times in Unix ms."""

    id: str
    no: int
    company: str
    project: str | None
    task: str | None
    customer: str | None
    agent: str | None
    title: str | None
    kind: str
    artifact_class: str
    importance: str
    content_type: str
    filename: str | None
    sha256: str | None
    size_bytes: int
    stored: bool
    storage_url: str | None
    source_kind: str | None
    source_ref: str | None
    created_by: str
    visibility: str
    is_canonical: bool
    metadata: dict[str, Any]
    retention_policy: str | None
    created_ms: int
    updated_ms: int
    deleted_ms: int | None
    folder: str | None
    promoted_ms: int | None
    version: int

    @property
    def number(self) -> str:
        return f"A-{self.no}"

    @property
    def scope(self) -> Scope:
        return Scope(self.project, self.customer, self.agent)


def _artifact(row: Row) -> Artifact:
    values = list(row)
    values[15], values[21] = bool(values[15]), bool(values[21])
    values[22] = json.loads(values[22])
    return Artifact(*values)


def by_id(rx: Rx, company: str, artifact: str) -> Artifact | None:
    row = rx.one(
        f"select {_COLUMNS} from artifact where id=? and company=? and deleted_ms is null",  # noqa: S608
        (artifact, company),
    )
    return None if row is None else _artifact(row)


def need(rx: Rx, company: str, ref: str) -> Artifact:
    """By id or number (`A-12`). Raises `artifact.unknown`."""
    found = None
    if is_uuid(ref.lower()):
        found = by_id(rx, company, ref.lower())
    elif (no := numbered(ref, "A")) is not None:
        row = rx.one(
            f"select {_COLUMNS} from artifact where company=? and no=? and deleted_ms is null",  # noqa: S608
            (company, no),
        )
        found = None if row is None else _artifact(row)
    if found is None:
        raise NotFound(
            "artifact.unknown",
            f"no artifact {ref[:80]!r} in this company",
            "List them: `homarus artifact list`.",
        )
    return found


_EQUAL: Final = {
    "project": "project",
    "task": "task",
    "customer": "customer",
    "agent": "agent",
    "kind": "kind",
    "artifact_class": "class",
    "importance": "importance",
    "content_type": "content_type",
    "is_canonical": "is_canonical",
    "sha256": "sha256",
    "folder": "folder",
}


def listed(
    rx: Rx,
    company: str,
    filters: Mapping[str, Any],
    *,
    limit: int,
    before: int | None = None,
    search: str | None = None,
    since_ms: int | None = None,
    until_ms: int | None = None,
    loose: bool = False,
    floor: int = 0,
) -> list[Artifact]:
    """Newest first, without metadata; `filters` by the keys of `_EQUAL`; `before`: the `no` of the
    last one seen, `floor` the least; `loose`: only those in no folder; from `since_ms` until before
    `until_ms`."""
    found = (
        "exists(select 1 from artifact_text t where t.artifact=artifact.id "
        "and t.search like ? escape '!')"
    )
    select = f"select {_LISTED} from artifact where company=? and deleted_ms is null and no>=?"  # noqa: S608
    conditions: dict[str, Any] = {
        **{f"{_EQUAL[key]}=?": value for key, value in filters.items()},
        "created_ms>=?": since_ms,
        "created_ms<?": until_ms,
        **when("folder is null", loose),
        found: rules.containing(search) if search else None,
    }
    rows = newest(rx, select, (company, floor), conditions, limit=limit, before=before)
    return [_artifact(row) for row in rows]


def search_floor(rx: Rx, company: str, before: int | None) -> int:
    """The least `no` that a page of a search looks at; 0: it looks at all that are left."""
    if before is None:
        row = rx.one("select max(no) from artifact where company=?", (company,))
        before = 1 if row is None or row[0] is None else row[0] + 1
    return max(0, before - MAX_SEARCHED)


def texts(rx: Rx, artifact: str) -> tuple[str | None, str]:
    """`(how the content begins, what a search looks in)`."""
    row = rx.one("select preview, search from artifact_text where artifact=?", (artifact,))
    return (None, "") if row is None else (row[0], row[1])


def contents(rx: Rx, company: str, ref: str) -> list[str]:
    """SHA-256 of all that is stored of an artifact, earlier versions included."""
    row = need(rx, company, ref)
    now = [row.sha256] if row.stored and row.sha256 is not None else []
    return now + [version.sha256 for version in versions.of(rx, row.id)]


def of_task(rx: Rx, task: str) -> list[tuple[str, str]]:
    """`(kind, id)` of a task's artifacts, oldest first: evidence for `artifact:kind` items."""
    rows = rx.all(
        "select kind, id from artifact where task=? and deleted_ms is null order by no limit ?",
        (task, MAX_OF_TASK),
    )
    return [(row[0], row[1]) for row in rows]


# -- writing -------------------------------------------------------------------------------


def create(tx: Tx, new: NewArtifact) -> Artifact:
    """Record an artifact. A `stored` one's content is on disk by now. Emits `artifact_created`.

    In a folder it belongs to whom the folder does. Raises `artifact.quota`, `folder.unknown`,
    `folder.scope` and `artifact.<field>`.
    """
    values = checked(msgspec.structs.asdict(new))
    new = msgspec.structs.replace(new, **values)
    scope, folder = Scope(new.project, new.customer, new.agent), new.folder
    if folder is not None:
        into = folders.need(tx, tx.company, folder)
        scope, folder = folders.within(into, scope), into.id
    if new.stored:
        quota.use(tx, new.size_bytes)
    artifact = tx.new_id()
    tx.run(
        f"insert into artifact({_COLUMNS}) values({','.join('?' * 30)})",
        (
            artifact, tx.number("artifact"), tx.company, scope.project, new.task, scope.customer,
            scope.agent, new.title, new.kind, new.artifact_class,
            new.importance or rules.importance_of(new.artifact_class), new.content_type,
            new.filename, new.sha256, new.size_bytes, int(new.stored), new.storage_url,
            new.source_kind, new.source_ref, tx.actor.key, new.visibility, int(new.is_canonical),
            json.dumps(new.metadata), new.retention_policy, tx.now_ms, tx.now_ms, None, folder,
            tx.now_ms if new.is_canonical else None, 1,
        ),
    )  # fmt: skip
    row = need(tx, tx.company, artifact)
    _keep_texts(tx, row, new.preview)
    tx.emit("artifact_created", artifact, {"kind": new.kind, "task": new.task})
    return row


def _keep_texts(tx: Tx, row: Artifact, preview: str | None) -> None:
    """Its begin, as it is shown, and what it is found by. A live token in it helps only a thief."""
    shown = None if preview is None else redact_tokens(preview)
    search = rules.search_text(row.title, row.filename, row.kind, shown)
    tx.run(
        "insert into artifact_text(artifact, preview, search) values(?,?,?) on conflict(artifact) "
        "do update set preview=excluded.preview, search=excluded.search",
        (row.id, shown, search),
    )


def update(tx: Tx, ref: str, change: ArtifactChange) -> Artifact:
    """Emits `artifact_updated`. A title that was the file's name stays it. `importance` None: as
    its class has it. Raises `artifact.unknown`, `artifact.nothing`, `folder.*`, `artifact.<field>`.
    """
    row = need(tx, tx.company, ref)
    values = checked(
        {
            field: getattr(change, field)
            for field in change.__struct_fields__
            if getattr(change, field) is not msgspec.UNSET
        }
    )
    if not values:
        raise Invalid("artifact.nothing", "nothing to change", "Give at least one field.")
    fields = sorted(values)
    _settle(tx, row, values)
    sets = ", ".join(f"{_COLUMN.get(field, field)}=?" for field in values)
    tx.run(f"update artifact set {sets} where id=?", (*values.values(), row.id))  # noqa: S608
    row = need(tx, tx.company, row.id)
    _keep_texts(tx, row, texts(tx, row.id)[0])
    tx.emit("artifact_updated", row.id, {"fields": fields, "task": row.task})
    return row


_COLUMN: Final = {"artifact_class": "class"}


def _settle(tx: Tx, row: Artifact, values: dict[str, Any]) -> None:
    """What follows from a change, and the values as columns have them."""
    if values.get("folder") is not None:
        into = folders.need(tx, tx.company, values["folder"])
        scope = folders.within(into, row.scope)
        values |= msgspec.structs.asdict(scope) | {"folder": into.id}
    if "importance" in values and values["importance"] is None:
        values["importance"] = rules.importance_of(values.get("artifact_class", row.artifact_class))
    if "filename" in values and row.title == row.filename:
        values.setdefault("title", values["filename"])
    if "is_canonical" in values:
        now = values["is_canonical"]
        values["promoted_ms"] = (row.promoted_ms or tx.now_ms) if now else None
        values["is_canonical"] = int(now)
    if "metadata" in values:
        values["metadata"] = json.dumps(values["metadata"])
    values["updated_ms"] = tx.now_ms


def replace(tx: Tx, ref: str, content: Content) -> Artifact:
    """Give an artifact another content; the one before is kept as a version. The same content
    again changes nothing. Emits `artifact_replaced`.

    Raises `artifact.unknown`, `artifact.reference`, `artifact.quota`.
    """
    row = need(tx, tx.company, ref)
    if not row.stored or row.sha256 is None:
        raise Conflict(
            "artifact.reference",
            f"{row.number} is a reference; its content is kept elsewhere",
            "See its `storageUrl`, or upload the file as an artifact of its own.",
        )
    given = checked(msgspec.structs.asdict(content))
    name, kind = given["filename"], given["content_type"]
    if (content.sha256, name, kind) == (row.sha256, row.filename, row.content_type):
        return row
    freed = versions.keep(
        tx,
        Version(
            row.id, row.version, tx.company, row.filename, row.content_type, row.sha256,
            row.size_bytes, tx.actor.key, tx.now_ms,
        ),
    )  # fmt: skip
    quota.use(tx, content.size_bytes - freed)
    title = name if row.title == row.filename else row.title
    tx.run(
        "update artifact set sha256=?, size_bytes=?, content_type=?, filename=?, title=?, "
        "version=version+1, updated_ms=? where id=?",
        (content.sha256, content.size_bytes, kind, name, title, tx.now_ms, row.id),
    )
    row = need(tx, tx.company, row.id)
    _keep_texts(tx, row, content.preview)
    tx.emit("artifact_replaced", row.id, {"version": row.version, "task": row.task})
    return row


def delete(tx: Tx, artifact: str) -> Artifact:
    """Soft; frees its share of the quota. Emits `artifact_deleted`. Raises `artifact.unknown`.

    The content goes when no other artifact has it: at once by `purge`, else by the sweep.
    """
    row = need(tx, tx.company, artifact)
    take_away(tx, row)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms)


def take_away(tx: Tx, row: Artifact) -> list[str]:
    """Remove a live row as `delete` does; the SHA-256 of what it had stored."""
    tx.run(
        "update artifact set deleted_ms=?, updated_ms=? where id=?", (tx.now_ms, tx.now_ms, row.id)
    )
    tx.run("delete from artifact_text where artifact=?", (row.id,))
    before = versions.forget(tx, row.id) if row.version > 1 else []
    tx.emit("artifact_deleted", row.id, {"kind": row.kind, "task": row.task})
    if not row.stored or row.sha256 is None:
        return []
    quota.use(tx, -row.size_bytes - sum(version.size_bytes for version in before))
    return [row.sha256, *(version.sha256 for version in before)]


def referred(rx: Rx, contents: list[str]) -> set[str]:
    """Which of these SHA-256 some artifact has, or had in a version kept, of any company."""
    found: set[str] = set()
    for start in range(0, len(contents), 500):
        part = contents[start : start + 500]
        marks = ",".join("?" * len(part))
        rows = rx.all(
            "select distinct sha256 from artifact where stored=1 and deleted_ms is null "  # noqa: S608
            f"and sha256 in ({marks})",
            part,
        )
        found.update(row[0] for row in rows)
        found |= versions.referred(rx, part)
    return found
