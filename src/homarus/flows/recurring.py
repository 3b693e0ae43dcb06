"""A job's task comes into being: the one road for a hand and for the clock.

What is spawned stays what its definition says: project (and so the customer), agent, proof and
approval, and it names the definition (control-plane contract, 6.8).
"""

from typing import Any, Final

from homarus.base.errors import Conflict
from homarus.flows import creating
from homarus.jobs import service
from homarus.jobs.model import Job
from homarus.store.port import Tx

TASK_KIND: Final = "recurrent"


def spawn(tx: Tx, job: Job) -> tuple[Job, creating.Claim]:
    """One task of the job, now, as the gates let it in; `(the job, its task)`.

    A paused job may be run by hand. Raises `job.no_project`, `project.*`, `agent.unknown`,
    `task.*`.
    """
    project, task_type = check_spawns(job)
    made = creating.create(
        tx,
        creating.NewTask(
            project=project,
            type=task_type,
            spec=_spec(job),
            allow_underspecified=True,
            priority=job.priority,
            kind=TASK_KIND,
            agent=job.agent,
            proof_required=job.proof_required,
            approval_required=job.approval_required,
            proof_types=tuple(job.proof_types),
            recurring=job.id,
        ),
    )
    return service.ran(tx, job, made.task.id), made


def spawns(job: Job) -> bool:
    """Whether it says what to spawn."""
    return job.project is not None and job.task_type is not None


def check_spawns(job: Job) -> tuple[str, str]:
    """Project and task type. Raises `job.no_project`."""
    if job.project is None or job.task_type is None:
        raise Conflict(
            "job.no_project",
            f"{job.number} names no project or no task type, so there is nothing to spawn",
            "Give `targetProjectId` and `taskType` first.",
        )
    return job.project, job.task_type


def _spec(job: Job) -> dict[str, Any]:
    """The payload is the task's input; without a title of its own it bears the job's name."""
    return {"title": job.name} | job.payload
