"""An agent leaves the company: nothing that waited for it alone is lost."""

from typing import Final

from homarus.base.errors import Conflict
from homarus.company import agents
from homarus.conversations import turns
from homarus.flows import by_hand, job_agents, turn_ends
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import WAITING

MAX_GIVEN_UP: Final = 50
"""Waiting tasks that one unit takes from an agent."""


def dismiss(tx: Tx, ref: str) -> agents.Agent:
    """Remove an agent (soft). Its waiting tasks are for anybody that fits them again; its jobs are
    paused; its running turns end: no unit of theirs would be let in any more, and whoever asked
    would wait.

    Raises `agent.unknown`, `agent.busy` while it holds work or more than `MAX_GIVEN_UP` tasks wait.
    """
    agent = agents.need(tx, tx.company, ref)
    waiting = sql.listed(
        tx, tx.company, states=tuple(WAITING), agent=agent.id, limit=MAX_GIVEN_UP + 1
    )
    if len(waiting) > MAX_GIVEN_UP:
        raise Conflict(
            "agent.busy",
            f"more than {MAX_GIVEN_UP} tasks are assigned to {agent.name}",
            "Assign them to others first: `homarus task assign T-… AGENT`.",
        )
    for task, _ in waiting:
        after = by_hand.reassign(tx, task, agent=None, member=None)
        service.emit(tx, "task_updated", after)
    for turn in turns.running_of(tx, tx.company, agent.id):
        turn_ends.abort(tx, turn)
    job_agents.dismiss(tx, agent.id)
    return agents.delete(tx, agent.id)
