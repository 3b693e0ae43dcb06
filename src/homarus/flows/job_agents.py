"""Jobs of an agent that has left the company: they are paused, and nothing of theirs runs.

What an operator paused so is there to be given to somebody else or removed. A unit takes so many;
those that are left over are paused when their time comes.
"""

from typing import Final

from homarus.base.errors import Conflict
from homarus.company import agents
from homarus.jobs import runs, service
from homarus.jobs.model import Job, JobChange, Run
from homarus.store.port import Rx, Tx

GONE: Final = "job.agent_gone"
MAX_PAUSED: Final = 50


def is_gone(rx: Rx, job: Job) -> bool:
    """Whether the agent whose job it is has left."""
    return job.agent is not None and agents.by_id(rx, job.company, job.agent) is None


def check(rx: Rx, job: Job, agent: str | None) -> None:
    """Before it is to run. Raises `job.agent_gone`."""
    if agent is not None and agents.by_id(rx, job.company, agent) is None:
        raise Conflict(
            GONE, f"the agent of {job.full_name} has left the company",
            "Give the job to another agent (`agentId`), or remove it.",
        )  # fmt: skip


def dismiss(tx: Tx, agent: str) -> None:
    """Its jobs are paused, and what waits of them is skipped."""
    for job in service.active_of(tx, tx.company, agent, MAX_PAUSED):
        pause(tx, job)
    for run in runs.waiting_of(tx, tx.company, agent, MAX_PAUSED):
        skip(tx, run)


def pause(tx: Tx, job: Job) -> None:
    service.update(tx, job, JobChange(active=False))


def skip(tx: Tx, run: Run) -> None:
    runs.move(tx, run, "skip", due_ms=None, ended_ms=tx.now_ms, reason=GONE,
              error="its agent has left the company")  # fmt: skip
