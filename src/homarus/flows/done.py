"""The Definition of Done at the moment somebody says done (design, 6).

Free text is met by the result itself and recorded as asserted; typed items need evidence rows:
`artifact:KIND` a live artifact of the task, `check:CAPABILITY` a run that succeeded for it,
`review:ROLE` a result by a reviewer of that role who is not its agent.
"""

from homarus.base.action import Actor
from homarus.base.errors import Conflict
from homarus.records import artifacts
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import Task


def require(tx: Tx, task: Task, actor: Actor, *, reviewing: bool, reviews: bool = True) -> None:
    """Record what meets each open item, once all are met. `reviews` False: reviews are still to
    come (level L3). Raises `task.dod_unmet` with what is missing."""
    items = sql.done_items(tx, task.id)
    if not items:
        return
    found = dict(artifacts.of_task(tx, task.id))
    missing, met = [], []
    for item in items:
        if item.evidence is not None or (item.kind == "review" and not reviews):
            continue
        if item.kind == "text":
            evidence: str | None = "asserted"
        elif item.kind == "artifact":
            evidence = found.get(item.value)
        elif item.kind == "review":
            evidence = actor.id if reviewing and actor.role == item.value else None
        else:
            evidence = None
        if evidence is None:
            missing.append(f"{item.kind}:{item.value}")
        else:
            met.append((item.kind, item.value, evidence))
    if missing:
        raise Conflict(
            "task.dod_unmet",
            f"{task.number} is not done: {', '.join(missing)} missing",
            "Provide the evidence (upload the artifact, run the check, ask for the review), "
            "then report done again.",
            missing=missing,
        )
    for kind, value, evidence in met:
        sql.meet(tx, task.id, kind, value, evidence)
