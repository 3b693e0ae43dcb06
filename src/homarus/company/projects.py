"""Projects and their policies, and what a project remembers."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid, NotFound
from homarus.store.paging import ABOVE_ALL, newest
from homarus.store.port import Row, Rx, Tx

STATUSES: Final = ("active", "paused", "killed", "completed")
MAX_GOAL: Final = 10_000
MAX_MEMORY: Final = 100_000
MAX_TAGS: Final = 50
POLICIES: Final = (
    "require_approval_for_done",
    "require_review_before_done",
    "comment_required_for_review",
    "block_status_changes_with_pending_approval",
    "only_lead_can_change_status",
)
_COLUMNS: Final = (
    "id, no, company, customer, goal, status, lead_agent, "
    + ", ".join(POLICIES)
    + ", max_active_agents, created_ms, updated_ms, deleted_ms"
)


class Project(msgspec.Struct, frozen=True, gc=False):
    """A row of `project`. `max_active_agents` None: no cap."""

    id: str
    no: int
    company: str
    customer: str | None
    goal: str
    status: str
    lead_agent: str | None
    require_approval_for_done: bool
    require_review_before_done: bool
    comment_required_for_review: bool
    block_status_changes_with_pending_approval: bool
    only_lead_can_change_status: bool
    max_active_agents: int | None
    created_ms: int
    updated_ms: int
    deleted_ms: int | None


class Memory(msgspec.Struct, frozen=True, gc=False):
    id: str
    company: str
    project: str
    content: str
    tags: tuple[str, ...]
    agent: str | None
    created_ms: int


def _project(row: Row) -> Project:
    return Project(*row[:7], *(bool(v) for v in row[7:12]), *row[12:])


def by_id(rx: Rx, company: str, project: str) -> Project | None:
    row = rx.one(
        f"select {_COLUMNS} from project where id=? and company=? and deleted_ms is null",  # noqa: S608
        (project, company),
    )
    return None if row is None else _project(row)


def goals(rx: Rx, company: str, wanted: set[str]) -> dict[str, str]:
    """The goals of those of these ids that are there, in one query."""
    if not wanted:
        return {}
    rows = rx.all(
        "select id, goal from project where company=? and deleted_ms is null "  # noqa: S608
        f"and id in ({','.join('?' * len(wanted))})",
        (company, *sorted(wanted)),
    )
    return {row[0]: row[1] for row in rows}


def by_goal(rx: Rx, company: str, goal: str) -> Project | None:
    """The newest one of exactly this goal."""
    row = rx.one(
        f"select {_COLUMNS} from project where company=? and goal=? and deleted_ms is null "  # noqa: S608
        "order by no desc limit 1",
        (company, goal),
    )
    return None if row is None else _project(row)


def need(rx: Rx, company: str, project: str) -> Project:
    """Raises `project.unknown`."""
    row = by_id(rx, company, project)
    if row is None:
        raise NotFound(
            "project.unknown",
            f"no project {project[:80]!r} in this company",
            "See `homarus project list`.",
        )
    return row


def listed(
    rx: Rx, company: str, *, limit: int, status: str | None = None, before: int | None = None
) -> list[Project]:
    """Newest first; `before` is the `no` of the last one seen."""
    select = f"select {_COLUMNS} from project where company=? and deleted_ms is null"  # noqa: S608
    rows = newest(rx, select, (company,), {"status=?": status or None}, limit=limit, before=before)
    return [_project(row) for row in rows]


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if "goal" in values and not 0 < len(values["goal"].strip()) <= MAX_GOAL:
        raise Invalid("project.goal", "a project needs a goal", f"1 to {MAX_GOAL} characters.")
    if values.get("status", "active") not in STATUSES:
        raise Invalid("project.status", "unknown status", f"One of {list(STATUSES)}.")
    cap = values.get("max_active_agents")
    if cap is not None and not 1 <= cap <= 100_000:
        raise Invalid("project.cap", "maxActiveAgents is out of range", "1 to 100000.")
    return {k: int(v) if isinstance(v, bool) else v for k, v in values.items()}


def create(tx: Tx, values: dict[str, Any]) -> Project:
    """`values` by column name (goal required; customer and lead already resolved)."""
    if not values.get("goal"):
        raise Invalid("project.goal", "a project needs a goal", "Give `goal`.")
    values = _checked(values)
    project = tx.new_id()
    values |= {
        "id": project,
        "no": tx.number("project"),
        "company": tx.company,
        "created_ms": tx.now_ms,
        "updated_ms": tx.now_ms,
    }
    marks = ",".join("?" * len(values))
    tx.run(
        f"insert into project({', '.join(values)}) values({marks})",
        tuple(values.values()),
    )
    tx.emit("project_created", project, {"goal": values["goal"][:200]})
    return need(tx, tx.company, project)


def update(tx: Tx, project: str, values: dict[str, Any]) -> Project:
    """Raises `project.unknown`, `project.nothing`."""
    need(tx, tx.company, project)
    if not values:
        raise Invalid("project.nothing", "nothing to change", "Give at least one field.")
    values = _checked(values) | {"updated_ms": tx.now_ms}
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update project set {sets} where id=?", (*values.values(), project))  # noqa: S608
    tx.emit("project_updated", project, {"fields": sorted(values)})
    return need(tx, tx.company, project)


def delete(tx: Tx, project: str) -> Project:
    """Soft. The caller closes the project's lanes."""
    row = need(tx, tx.company, project)
    tx.run("update project set deleted_ms=?, status='killed' where id=?", (tx.now_ms, project))
    tx.emit("project_deleted", project)
    return msgspec.structs.replace(row, deleted_ms=tx.now_ms, status="killed")


def remember(
    tx: Tx, project: str, content: str, tags: tuple[str, ...], agent: str | None
) -> Memory:
    """Add a line to a project's memory. Raises `project.memory`."""
    if not 0 < len(content.strip()) <= MAX_MEMORY or len(tags) > MAX_TAGS:
        raise Invalid(
            "project.memory", "the memory is empty or too long", f"1 to {MAX_MEMORY} characters."
        )
    memory = Memory(tx.new_id(), tx.company, project, content, tags, agent, tx.now_ms)
    tx.run(
        "insert into project_memory(id, company, project, content, tags, agent, created_ms) "
        "values(?,?,?,?,?,?,?)",
        (memory.id, tx.company, project, content, json.dumps(tags), agent, tx.now_ms),
    )
    tx.emit("project_memory_added", project, {"memory": memory.id})
    return memory


def memories(rx: Rx, project: str, *, limit: int, before: str | None = None) -> list[Memory]:
    """Newest first; `before` is the id of the last one seen. One that is gone ends the list."""
    rows = rx.all(
        "select id, company, project, content, tags, agent, created_ms from project_memory "
        "where project=? and (created_ms, id)<(?,?) order by created_ms desc, id desc limit ?",
        (project, *_place(rx, before), limit),
    )
    return [_memory(row) for row in rows]


def _place(rx: Rx, memory_id: str | None) -> tuple[int, str]:
    """Where a line stands in its list; None: before all of them."""
    if memory_id is None:
        return ABOVE_ALL, ""
    row = rx.one("select created_ms from project_memory where id=?", (memory_id,))
    return (0 if row is None else row[0]), memory_id


def memory(rx: Rx, memory_id: str) -> Memory | None:
    row = rx.one(
        "select id, company, project, content, tags, agent, created_ms from project_memory "
        "where id=?",
        (memory_id,),
    )
    return None if row is None else _memory(row)


def _memory(row: Row) -> Memory:
    memory, company, project, content, tags, agent, at_ms = row
    return Memory(memory, company, project, content, tuple(json.loads(tags)), agent, at_ms)


def customer_of(rx: Rx, company: str, project: str) -> str | None:
    """For whom a project is or was: of a removed one too, whose results keep their scope."""
    row = rx.one("select customer from project where id=? and company=?", (project, company))
    return None if row is None else row[0]
