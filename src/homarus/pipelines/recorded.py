"""Recorded pipelines: kept here, run elsewhere (`recorded_runs.py`: what was reported of that).

The original stores pipelines and never runs one (control-plane contract, 7). What this company runs
itself is a governed text (`service.py`); a record never takes its place, no gate reads a record,
and none makes a task. Playbooks and templates are records of another kind.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Incomplete, Invalid, NotFound
from homarus.store.paging import newest
from homarus.store.port import Row, Rx, Tx

PIPELINE: Final = "pipeline"
PLAYBOOK: Final = "playbook"
TEMPLATE: Final = "template"
KINDS: Final = (PIPELINE, PLAYBOOK, TEMPLATE)

MANUAL: Final = "manual"
TRIGGERS: Final = ("cron", "event", MANUAL)
DRAFT: Final = "draft"
ACTIVE: Final = "active"
RETIRED: Final = "retired"
STATUSES: Final = (DRAFT, ACTIVE, "paused", RETIRED)


MAX_RECORDS: Final = 1_000
"""Of each kind."""
MAX_NAME: Final = 300
MAX_PURPOSE: Final = 10_000
MAX_DOC: Final = 100_000
MAX_STEPS: Final = 200
MAX_WORD: Final = 300
MAX_TEXT: Final = 10_000
MAX_JSON: Final = 65_536
MAX_CHOSEN: Final = 100
MAX_CONTEXT_CHARS: Final = 200_000
MAX_PAGE_BYTES: Final = 8_388_608
"""A page of records ends here, however many were asked for; its cursor goes on."""

CHUNK: Final = 50

_JSON: Final = ("trigger_config", "steps", "context_resources", "context_tags", "extra")
_COLUMNS: Final = (
    "id, no, company, kind, name, purpose, doc, trigger_kind, trigger_config, steps, runtime_ref, "
    "project, customer, agent, status, context_query, context_resources, context_tags, "
    "context_max_chars, extra, last_run_ms, last_run_status, runs, created_by, created_ms, "
    "updated_ms, deleted_ms"
)


class Step(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """`agent_ref`: id or name, not resolved: it may run elsewhere. `gate`: what must hold first."""

    name: str
    agent_ref: str | None = None
    task_type: str | None = None
    description: str | None = None
    gate: str | None = None


class Record(msgspec.Struct, frozen=True, gc=False):
    """A row of `recorded_pipeline`. `extra`: a playbook's or template's own fields."""

    id: str
    no: int
    company: str
    kind: str
    name: str
    purpose: str | None
    doc: str | None
    trigger: str
    trigger_config: dict[str, Any]
    steps: list[Step]
    runtime_ref: str | None
    project: str | None
    customer: str | None
    agent: str | None
    status: str
    context_query: str | None
    context_resources: list[str]
    context_tags: list[str]
    context_max_chars: int | None
    extra: dict[str, Any]
    last_run_ms: int | None
    last_run_status: str | None
    runs: int
    created_by: str
    created_ms: int
    updated_ms: int
    deleted_ms: int | None

    @property
    def size(self) -> int:
        """About how many bytes it is on the wire."""
        steps = sum(len(step.name) + len(step.description or "") for step in self.steps)
        return 1_000 + len(self.doc or "") + len(self.purpose or "") + 2 * steps


class Change(msgspec.Struct, frozen=True):
    """What a caller sets; UNSET leaves it. Project, customer and agent: ids the caller checked."""

    name: str | msgspec.UnsetType = msgspec.UNSET
    purpose: str | msgspec.UnsetType | None = msgspec.UNSET
    doc: str | msgspec.UnsetType | None = msgspec.UNSET
    trigger_kind: str | msgspec.UnsetType = msgspec.UNSET
    trigger_config: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    steps: list[Step] | msgspec.UnsetType = msgspec.UNSET
    runtime_ref: str | msgspec.UnsetType | None = msgspec.UNSET
    project: str | msgspec.UnsetType | None = msgspec.UNSET
    customer: str | msgspec.UnsetType | None = msgspec.UNSET
    agent: str | msgspec.UnsetType | None = msgspec.UNSET
    status: str | msgspec.UnsetType = msgspec.UNSET
    context_query: str | msgspec.UnsetType | None = msgspec.UNSET
    context_resources: list[str] | msgspec.UnsetType = msgspec.UNSET
    context_tags: list[str] | msgspec.UnsetType = msgspec.UNSET
    context_max_chars: int | msgspec.UnsetType | None = msgspec.UNSET
    extra: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


_steps: Final = msgspec.json.Decoder(list[Step]).decode


def _record(row: Row) -> Record:
    values = list(row)
    values[8], values[9] = json.loads(row[8]), _steps(row[9])
    values[16], values[17], values[19] = (json.loads(row[i]) for i in (16, 17, 19))
    return Record(*values)


# -- reading -------------------------------------------------------------------------------


def find(rx: Rx, company: str, ref: str, kinds: tuple[str, ...] = KINDS) -> Record | None:
    """A live one by id."""
    row = rx.one(
        f"select {_COLUMNS} from recorded_pipeline where id=? and company=? and deleted_ms is null",  # noqa: S608
        (ref.lower(), company),
    )
    found = None if row is None else _record(row)
    return found if found is not None and found.kind in kinds else None


def need(rx: Rx, company: str, ref: str, kinds: tuple[str, ...] = (PIPELINE,)) -> Record:
    """Raises `pipeline.unknown`, `playbook.unknown`, `template.unknown`."""
    found = find(rx, company, ref, kinds)
    if found is None:
        kind = kinds[0]
        raise NotFound(f"{kind}.unknown", f"no {kind} {ref[:80]!r}", f"See GET /{kind}s.")
    return found


def named(rx: Rx, company: str, kind: str, name: str) -> Record | None:
    row = rx.one(
        f"select {_COLUMNS} from recorded_pipeline "  # noqa: S608
        "where company=? and kind=? and name=? and deleted_ms is null",
        (company, kind, name),
    )
    return None if row is None else _record(row)


def listed(
    rx: Rx,
    company: str,
    kind: str,
    *,
    limit: int,
    before: int | None = None,
    name: str | None = None,
    status: str | None = None,
    project: str | None = None,
) -> list[Record]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = (
        f"select {_COLUMNS} from recorded_pipeline "  # noqa: S608
        "where company=? and kind=? and deleted_ms is null"
    )
    filters = {"name=?": name or None, "status=?": status or None, "project=?": project or None}
    rows = newest(rx, select, (company, kind), filters, limit=limit, before=before)
    return [_record(row) for row in rows]


def page(
    rx: Rx, company: str, kind: str, *, limit: int, before: int | None, **filters: str | None
) -> tuple[list[Record], int | None]:
    """At most `limit` records and about MAX_PAGE_BYTES; and where the next page goes on (`before`),
    None: there is none."""
    found: list[Record] = []
    size, more = 0, True
    while more and len(found) <= limit and size <= MAX_PAGE_BYTES:
        wanted = min(CHUNK, limit + 1 - len(found))
        part = listed(rx, company, kind, limit=wanted, before=before, **filters)
        found += part
        size += sum(row.size for row in part)
        more = len(part) == wanted
        before = part[-1].no if part else before
    if len(found) > limit:
        return found[:limit], found[limit].no + 1
    return found, before if more else None


# -- rules ---------------------------------------------------------------------------------


def wrong(field: str, what: str, remedy: str) -> Invalid:
    return Invalid(f"pipeline.{field}", what, remedy)


def check(change: Change) -> dict[str, Any]:
    """Column values of a change, JSON as text. Raises `pipeline.*`."""
    values = {
        field: getattr(change, field)
        for field in change.__struct_fields__
        if getattr(change, field) is not msgspec.UNSET
    }
    if not 0 < len(values.get("name", "x").strip()) <= MAX_NAME:
        raise wrong("name", "a name is needed", f"1 to {MAX_NAME} characters.")
    for field, most in (
        ("purpose", MAX_PURPOSE),
        ("doc", MAX_DOC),
        ("runtime_ref", MAX_WORD),
        ("context_query", MAX_WORD),
    ):
        if len(values.get(field) or "") > most:
            raise wrong(field, f"the {field} is too long", f"At most {most} characters.")
    if values.get("trigger_kind", MANUAL) not in TRIGGERS:
        raise wrong("trigger", "unknown trigger", f"One of {', '.join(TRIGGERS)}.")
    if values.get("status", DRAFT) not in STATUSES:
        raise wrong("status", "unknown status", f"One of {', '.join(STATUSES)}.")
    chars = values.get("context_max_chars")
    if chars is not None and not 1 <= chars <= MAX_CONTEXT_CHARS:
        raise wrong("context", "contextMaxChars is out of range", f"1 to {MAX_CONTEXT_CHARS}.")
    for field in ("context_resources", "context_tags"):
        items = values.get(field, [])
        if len(items) > MAX_CHOSEN or any(len(item) > MAX_WORD for item in items):
            raise wrong("context", "too much is chosen for the context", f"{MAX_CHOSEN} at most.")
    _check_steps(values.get("steps", []))
    for field in _JSON:
        if field in values:
            values[field] = msgspec.json.encode(values[field]).decode()
            if len(values[field].encode()) > MAX_JSON:
                raise wrong(field, f"the {field} take too much", f"At most {MAX_JSON} bytes.")
    return values


def _check_steps(steps: list[Step]) -> None:
    if len(steps) > MAX_STEPS:
        raise wrong("steps", f"there are {len(steps)} steps", f"At most {MAX_STEPS}.")
    for n, step in enumerate(steps, 1):
        words = (step.agent_ref, step.task_type, step.gate)
        fits = 0 < len(step.name.strip()) <= MAX_WORD and len(step.description or "") <= MAX_TEXT
        if not fits or any(len(word or "") > MAX_WORD for word in words):
            raise wrong("steps", f"step {n} has no name, or a field is too long",
                         f"A name; words of at most {MAX_WORD} characters.")  # fmt: skip


def lacks(purpose: str | None, doc: str | None, steps: list[Step]) -> list[str]:
    """What an active pipeline needs and this one has not, by the wire's names."""
    have = {"purpose": purpose, "docMarkdown": doc}
    missing = [name for name, text in have.items() if not (text or "").strip()]
    return missing + ([] if steps else ["steps"])


def _may_be_active(record: Record) -> None:
    missing = lacks(record.purpose, record.doc, record.steps)
    if record.kind == PIPELINE and record.status == ACTIVE and missing:
        raise Incomplete(
            "pipeline.not_ready",
            f"an active pipeline needs {', '.join(missing)}",
            "Give them with the status, or keep it as `draft`.",
            missingFields=missing,
        )


# -- writing -------------------------------------------------------------------------------


def create(tx: Tx, kind: str, change: Change, status: str) -> Record:
    """`status`: where the change names none. Raises `pipeline.*`, `pipeline.not_ready` (422)."""
    values = {"trigger_kind": MANUAL, "status": status} | check(change)
    if "name" not in values:
        raise wrong("name", "a name is needed", "Give `name`.")
    row = tx.one(
        "select count(*) from recorded_pipeline where company=? and kind=? and deleted_ms is null",
        (tx.company, kind),
    )
    if row is not None and row[0] >= MAX_RECORDS:
        raise Conflict("pipeline.many", f"there are {MAX_RECORDS} {kind}s", "Remove one.")
    record = tx.new_id()
    values |= {
        "id": record,
        "no": tx.number("record"),
        "company": tx.company,
        "kind": kind,
        "created_by": tx.actor.key,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    tx.run(
        f"insert into recorded_pipeline({', '.join(values)}) values({','.join('?' * len(values))})",
        tuple(values.values()),
    )
    tx.emit(f"{kind}_recorded", record, {"name": values["name"], "status": values["status"]})
    made = need(tx, tx.company, record, (kind,))
    _may_be_active(made)
    return made


def update(tx: Tx, before: Record, change: Change) -> Record:
    """Raises `pipeline.nothing`, `pipeline.exists`, `pipeline.*`, `pipeline.not_ready` (422)."""
    values = check(change)
    if not values:
        raise wrong("nothing", "nothing to change", "Give at least one field.")
    name = values.get("name", before.name)
    if name != before.name and named(tx, tx.company, before.kind, name) is not None:
        raise Conflict(
            "pipeline.exists", f"there is a {before.kind} {name[:80]!r}", "Choose another name."
        )
    fields = sorted(values)
    values["updated_ms"] = tx.now_ms
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update recorded_pipeline set {sets} where id=?", (*values.values(), before.id))  # noqa: S608
    tx.emit(f"{before.kind}_recorded", before.id, {"fields": fields})
    after = need(tx, tx.company, before.id, (before.kind,))
    _may_be_active(after)
    return after


def delete(tx: Tx, before: Record) -> Record:
    """Soft; its runs stay."""
    tx.run("update recorded_pipeline set deleted_ms=? where id=?", (tx.now_ms, before.id))
    tx.emit(f"{before.kind}_forgotten", before.id, {"name": before.name})
    return msgspec.structs.replace(before, deleted_ms=tx.now_ms)
