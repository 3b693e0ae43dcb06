"""A task with all that decides over a report on it: one statement over task, spec and project."""

from typing import Final

import msgspec

from homarus.company import projects
from homarus.kernel.gates import ASSET_KINDS
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import TASK_COLUMNS, State, Task

_ASSETS: Final = ", ".join(f"'{kind}'" for kind in sorted(ASSET_KINDS))
_FIND: Final = (
    f"select {', '.join(f't.{c}' for c in TASK_COLUMNS.split(', '))}, "  # noqa: S608
    "s.approval_required, p.id, p.require_approval_for_done, p.require_review_before_done, "
    "p.comment_required_for_review, p.only_lead_can_change_status, p.lead_agent, "
    "p.max_active_agents, p.block_status_changes_with_pending_approval, "
    "exists(select 1 from task_done_item d where d.task=t.id), "
    "exists(select 1 from task_dependency d where d.blocker=t.id), s.route_level, s.kind, "
    "s.assets=1 or exists(select 1 from artifact a where a.task=t.id and a.deleted_ms is null "
    f"and a.kind in ({_ASSETS})) "
    "from task t join task_spec s on s.task=t.id "
    "left join project p on p.id=t.project and p.company=t.company and p.deleted_ms is null "
    "where t.company=? and t."
)
_COLUMNS: Final = TASK_COLUMNS.count(",") + 1


class Standing(msgspec.Struct, frozen=True, gc=False):
    """`approval_required`: of the task itself. `pending_blocks`: its project lets nothing move
    while an approval is open. `has_items`: it has a Definition of Done with typed
    items. `has_dependents`: tasks wait for it, or waited. `level`: of its route (0 to 3). `kind`:
    of the task. `has_assets`: it names governance assets, or has artifacts that are some."""

    task: Task
    approval_required: bool
    project_approval: bool
    project_review: bool
    comment_for_review: bool
    only_lead: bool
    lead: str | None
    cap: int | None
    pending_blocks: bool
    has_items: bool
    has_dependents: bool
    level: int
    kind: str
    has_assets: bool


def need(tx: Tx, company: str, ref: str) -> Standing:
    """By id or number. Raises `request.bad_id`, `task.unknown`, `project.unknown`."""
    at = sql.address(ref)
    column = "seq=?" if isinstance(at, int) else "id=?"
    row = None if at is None else tx.one(_FIND + column, (company, at))
    if row is None or row[4] == State.ARCHIVED:
        task = sql.need(tx, company, ref)
        raise AssertionError(f"task {task.id} has no spec")
    more = row[_COLUMNS:]
    if more[1] is None:
        project = projects.need(tx, company, row[3])
        raise AssertionError(f"project {project.id} is there and is not")
    return Standing(
        task=sql.task_of(row[:_COLUMNS]),
        approval_required=bool(more[0]),
        project_approval=bool(more[2]),
        project_review=bool(more[3]),
        comment_for_review=bool(more[4]),
        only_lead=bool(more[5]),
        lead=more[6],
        cap=more[7],
        pending_blocks=bool(more[8]),
        has_items=bool(more[9]),
        has_dependents=bool(more[10]),
        level=more[11],
        kind=more[12],
        has_assets=bool(more[13]),
    )
