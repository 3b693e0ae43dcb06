"""Real work out of a conversation: a task that the turn makes and its agent claims (design, 6).

Where the person who asked is an operator, it is made at once. Else an approval is asked for first;
its target is the turn, so that one answer holds for all that the turn then does.
"""

from typing import Final

from homarus.base.errors import Conflict, Invalid, Refused
from homarus.company import agents, projects
from homarus.conversations import turns
from homarus.conversations.turns import Turn
from homarus.flows import creating, reporting
from homarus.kernel import approval_queries, approvals, registry
from homarus.kernel.approval_rows import Status
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import State

KIND: Final = "chat_work"
ASKED: Final = "task.create"
MAX_WHAT: Final = 1_000


def held(rx: Rx, company: str, task: str, agent: str) -> bool:
    """Whether this agent has the task in hand."""
    row = tasks.by_id(rx, company, task)
    return row is not None and row.state is State.IN_PROGRESS and row.agent == agent


def held_by_turn(rx: Rx, turn: Turn) -> str | None:
    """The real task of a turn, while its agent holds it."""
    row = rx.one("select work from turn where id=?", (turn.id,))
    work = None if row is None else row[0]
    return work if work is not None and held(rx, turn.company, work, turn.agent) else None


def make(tx: Tx, turn: str, token: int, title: str, why: str, capability: str) -> str:
    """The task of the turn, for its agent, in the newest active project; its id. It is bound to
    `capability` where that is a registered one, so that its claim covers it.

    Raises `turn.lost`, `project.unknown`, and what a create raises.
    """
    row = turns.held(tx, turn, token)
    if row.work is not None:
        return row.work
    found = projects.listed(tx, tx.company, limit=1, status="active")
    if not found:
        raise Invalid(
            "project.unknown", "real work belongs to a project, and there is no active one",
            "Create one: `homarus project create GOAL`.",
        )  # fmt: skip
    registered = registry.by_id(tx, tx.company, capability)
    spec = {"title": title, "description": f"{row.text[:2_000]}\n\n{why}"}
    new = creating.NewTask(
        project=found[0].id, type=KIND, spec=spec, allow_underspecified=True, agent=row.agent,
        capability=None if registered is None else registered.id,
    )  # fmt: skip
    made = creating.create(tx, new)
    tx.run("update turn set work=? where id=?", (made.task.id, row.id))
    return made.task.id


def ask(tx: Tx, turn: str, token: int, call: str, payload: bytes, what: str) -> str | None:
    """Ask whether this turn may do real work; the approval's id. None: it was asked and answered no
    (or no longer holds)."""
    row = turns.held(tx, turn, token)
    before = tx.one("select approval from tool_call where id=? and turn=?", (call, turn))
    known = (
        None
        if before is None or before[0] is None
        else approval_queries.find(tx, tx.company, before[0])
    )
    if known is not None and known.status is not Status.PENDING:
        return None
    if known is not None:
        return known.id
    agent = agents.need(tx, tx.company, row.agent)
    try:
        made = approvals.request(
            tx, capability=ASKED, target=f"turn:{row.id}", payload=payload, task=None,
            agent=agent.id, project=None, reason="",
            what=f"{agent.name}, asked by {row.asked_by}, wants to do real work: "
            f"{what}"[:MAX_WHAT],
            risk="medium", cost=None,
        )  # fmt: skip
    except Conflict:
        return None
    return made.id


def approved(rx: Rx, company: str, approval: str | None) -> bool:
    """Whether a person said yes to what `ask` asked."""
    row = None if approval is None else approval_queries.find(rx, company, approval)
    return row is not None and row.capability == ASKED and row.status in (
        Status.APPROVED, Status.USED
    )  # fmt: skip


def answered_no(rx: Rx, company: str, approval: str) -> Refused | None:
    """What the model is told when a question was answered, and not with yes."""
    row = approval_queries.find(rx, company, approval)
    if row is None or row.status in (Status.PENDING, Status.APPROVED, Status.USED):
        return None
    word = "rejected" if row.status is Status.REJECTED else "expired"
    return Refused(
        f"approval.{word}",
        f"{row.number} was {row.status.value}: {row.note or 'no reason given'}",
        "Do it differently, or say that it was not done.",
        rule="approval",
    )


def report(tx: Tx, task: str, state: str, text: str) -> None:
    """What became of the turn's task, by its agent. Raises as a result does."""
    reporting.result(
        tx, reporting.ResultRequest(task, state, comment=text[:2_000], output={"text": text})
    )
