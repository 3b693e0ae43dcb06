"""Artifacts: what work produced. A row names a content that is on disk already, or a reference."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound, TooLarge
from homarus.base.ids import is_uuid, numbered
from homarus.records import rules
from homarus.store.port import Row, Rx, Tx

QUOTA_BYTES: Final = 1_073_741_824
"""1 GiB a company unless its own row says otherwise (control-plane contract, 10)."""
MAX_METADATA_BYTES: Final = 65_536
MAX_TEXT: Final = 2_000
MAX_OF_TASK: Final = 1_000

_COLUMNS: Final = (
    "id, no, company, project, task, customer, agent, title, kind, class, importance, "
    "content_type, filename, sha256, size_bytes, stored, storage_url, source_kind, source_ref, "
    "created_by, visibility, is_canonical, metadata, retention_policy, created_ms, updated_ms, "
    "deleted_ms"
)
_USE: Final = (
    "insert into artifact_usage(company, bytes) values(?,?) "
    "on conflict(company) do update set bytes=artifact_usage.bytes+excluded.bytes"
)


class Artifact(msgspec.Struct, frozen=True, gc=False):
    """A row of `artifact`. `stored`: the content is under `blobs/`; times in Unix ms."""

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

    @property
    def number(self) -> str:
        return f"A-{self.no}"


class NewArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded; links are ids that exist in the company. See `create`."""

    kind: str
    content_type: str
    project: str | None = None
    task: str | None = None
    customer: str | None = None
    agent: str | None = None
    title: str | None = None
    artifact_class: str = "working_file"
    importance: str | None = None
    filename: str | None = None
    sha256: str | None = None
    size_bytes: int = 0
    stored: bool = False
    storage_url: str | None = None
    source_kind: str | None = None
    source_ref: str | None = None
    visibility: str = "private"
    is_canonical: bool = False
    metadata: dict[str, Any] = {}
    retention_policy: str | None = None


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
) -> list[Artifact]:
    """Newest first; `filters` by the keys of `_EQUAL`; `before`: the `no` of the last one seen."""
    where = ["company=?", "deleted_ms is null", "no<?"]
    params: list[Any] = [company, before if before is not None else 2**62]
    for key, value in filters.items():
        where.append(f"{_EQUAL[key]}=?")
        params.append(value)
    if since_ms is not None:
        where.append("created_ms>=?")
        params.append(since_ms)
    if until_ms is not None:
        where.append("created_ms<?")
        params.append(until_ms)
    if search:
        where.append("(lower(coalesce(title, '')) like ? escape '!' or "
                     "lower(coalesce(filename, '')) like ? escape '!')")  # fmt: skip
        text = search.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
        params += [f"%{text}%", f"%{text}%"]
    rows = rx.all(
        f"select {_COLUMNS} from artifact where {' and '.join(where)} order by no desc limit ?",  # noqa: S608
        (*params, limit),
    )
    return [_artifact(row) for row in rows]


def of_task(rx: Rx, task: str) -> list[tuple[str, str]]:
    """`(kind, id)` of a task's artifacts, oldest first: evidence for `artifact:kind` items."""
    rows = rx.all(
        "select kind, id from artifact where task=? and deleted_ms is null order by no limit ?",
        (task, MAX_OF_TASK),
    )
    return [(row[0], row[1]) for row in rows]


def _checked(new: NewArtifact) -> NewArtifact:
    """Raises `artifact.*`, naming the field."""
    for field in ("title", "storage_url", "source_kind", "source_ref", "retention_policy"):
        value = getattr(new, field)
        if value is not None and len(value) > MAX_TEXT:
            raise Invalid(f"artifact.{field}", f"{field} is too long", f"At most {MAX_TEXT}.")
    if len(msgspec.json.encode(new.metadata)) > MAX_METADATA_BYTES:
        raise Invalid(
            "artifact.metadata", "metadataJson is too large", f"At most {MAX_METADATA_BYTES} bytes."
        )
    if not 0 <= new.size_bytes < 2**53:
        raise Invalid("artifact.size", "sizeBytes is out of range", "Send the size in bytes.")
    return msgspec.structs.replace(
        new,
        kind=rules.word(new.kind, "kind"),
        content_type=rules.content_type(new.content_type),
        artifact_class=rules.one_of(new.artifact_class, rules.CLASSES, "artifact.class"),
        importance=rules.importance_of(new.importance, new.artifact_class),
        visibility=rules.one_of(new.visibility, rules.VISIBILITIES, "artifact.visibility"),
        filename=None if new.filename is None else rules.file_name(new.filename),
        sha256=None if new.sha256 is None else rules.checksum(new.sha256),
    )


def usage(rx: Rx, company: str) -> tuple[int, int]:
    """`(bytes stored, bytes allowed)` of a company."""
    row = rx.one("select bytes, quota_bytes from artifact_usage where company=?", (company,))
    return (0, QUOTA_BYTES) if row is None else (row[0], QUOTA_BYTES if row[1] is None else row[1])


def set_quota(tx: Tx, quota_bytes: int) -> None:
    """How many bytes this company's stored artifacts may have."""
    tx.run(
        "insert into artifact_usage(company, quota_bytes) values(?,?) "
        "on conflict(company) do update set quota_bytes=excluded.quota_bytes",
        (tx.company, quota_bytes),
    )


def check_quota(rx: Rx, company: str, size: int) -> None:
    """Raises `artifact.quota` when `size` more bytes do not fit."""
    used, quota = usage(rx, company)
    if used + size > quota:
        raise TooLarge(
            "artifact.quota",
            f"{size} more bytes do not fit: {used} of {quota} bytes are in use",
            "Delete artifacts that are not needed, or ask an owner for more room.",
            used_bytes=used,
            quota_bytes=quota,
        )


def create(tx: Tx, new: NewArtifact) -> Artifact:
    """Record an artifact. A `stored` one's content is on disk by now. Emits `artifact_created`.

    Raises `artifact.quota` and `artifact.<field>`.
    """
    new = _checked(new)
    if new.stored:
        check_quota(tx, tx.company, new.size_bytes)
        tx.run(_USE, (tx.company, new.size_bytes))
    artifact = tx.new_id()
    tx.run(
        f"insert into artifact({_COLUMNS}) values({','.join('?' * 27)})",
        (
            artifact, tx.number("artifact"), tx.company, new.project, new.task, new.customer,
            new.agent, new.title, new.kind, new.artifact_class, new.importance, new.content_type,
            new.filename, new.sha256, new.size_bytes, int(new.stored), new.storage_url,
            new.source_kind, new.source_ref, tx.actor.key, new.visibility, int(new.is_canonical),
            json.dumps(new.metadata), new.retention_policy, tx.now_ms, tx.now_ms, None,
        ),
    )  # fmt: skip
    tx.emit("artifact_created", artifact, {"kind": new.kind, "task": new.task})
    return need(tx, tx.company, artifact)


def delete(tx: Tx, artifact: str) -> Artifact:
    """Soft; frees its share of the quota. Emits `artifact_deleted`. Raises `artifact.unknown`.

    The content goes when no other artifact has it: at once by `purge`, else by the sweep.
    """
    row = need(tx, tx.company, artifact)
    tx.run(
        "update artifact set deleted_ms=?, updated_ms=? where id=?", (tx.now_ms,) * 2 + (row.id,)
    )
    if row.stored:
        tx.run(_USE, (tx.company, -row.size_bytes))
    tx.emit("artifact_deleted", row.id, {"kind": row.kind, "task": row.task})
    return row


def referred(rx: Rx, contents: list[str]) -> set[str]:
    """Which of these SHA-256 are the content of some artifact, of any company."""
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
    return found
