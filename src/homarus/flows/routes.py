"""What the route levels demand (contract, 7, RDP): the reverse brief of L2; audit, implementation
and acceptance by three identities of L3; governance assets in the main space before done (gate 7).

A company of level `observe` is asked for none of it.
"""

from typing import Any, Final

from homarus.base.action import ActorKind, Proof
from homarus.base.errors import Conflict, Invalid, Refused
from homarus.flows import accepting, done, gating, parking, reporting, standing
from homarus.flows.going import refuse_parts
from homarus.kernel import rdp
from homarus.kernel.rdp import ACCEPTANCE, AUDIT, Brief
from homarus.store.port import Tx
from homarus.tasks import service, sql
from homarus.tasks.model import State, Task

MAX_TEXT: Final = 20_000
TEXTS: Final = ("goal", "scope", "plan", "risks", "acceptance")
DECISIONS: Final = ("confirm", "amend", "reject")
REJECTED: Final = "gate-6: its reverse brief was rejected"


# -- L2: the reverse brief -----------------------------------------------------------------


def write_brief(tx: Tx, ref: str, texts: dict[str, str]) -> Brief:
    """By the holder. A new brief takes the place of the one before, and of its confirmation.

    Raises `brief.missing`, `brief.too_long`, `brief.not_holder`, `brief.level`.
    """
    task, spec = sql.with_spec(tx, tx.company, sql.need(tx, tx.company, ref).id)
    missing = [name for name in TEXTS if not (texts.get(name) or "").strip()]
    if missing:
        raise Invalid(
            "brief.missing", f"the brief lacks {', '.join(missing)}", f"Give all of {TEXTS}.",
            missingFields=missing,
        )  # fmt: skip
    if any(len(texts[name]) > MAX_TEXT for name in TEXTS):
        raise Invalid("brief.too_long", "a text is too long", f"At most {MAX_TEXT} characters.")
    if spec.level != 2:
        raise Conflict(
            "brief.level", f"{task.number} is on level L{spec.level}", "Only L2 needs a brief."
        )
    if task.state is not State.IN_PROGRESS or task.agent != tx.actor.id:
        raise Conflict(
            "brief.not_holder",
            f"{task.number} is {task.state.value}, and not in your hands",
            "Claim it first.",
        )
    before = rdp.brief(tx, task.id)
    rdp.add_brief(tx, task.id, 1 if before is None else before.n + 1, texts)
    service.emit(tx, "brief_written", task, brief=1 if before is None else before.n + 1)
    return _brief(tx, task)


def _brief(tx: Tx, task: Task) -> Brief:
    row = rdp.brief(tx, task.id)
    if row is None:
        raise Conflict(
            "brief.none", f"{task.number} has no reverse brief", "Its holder writes it first."
        )
    return row


def decide_brief(tx: Tx, ref: str, decision: str, note: str | None) -> Brief:
    """By the requester or an operator, never by the author.

    Raises `brief.decision`, `brief.none`, `brief.decided`, `brief.own`, `brief.not_requester`.
    """
    if decision not in DECISIONS:
        raise Invalid(
            "brief.decision", f"no decision {decision[:40]!r}", f"One of {list(DECISIONS)}."
        )
    if note is not None and len(note) > MAX_TEXT:
        raise Invalid("brief.too_long", "the note is too long", f"At most {MAX_TEXT} characters.")
    task = sql.need(tx, tx.company, ref)
    row = _brief(tx, task)
    _may_decide(tx, task, row)
    if not rdp.decide_brief(tx, row, decision, note):
        raise Conflict(
            "brief.decided", f"it was decided before: {row.decision}", "A new brief opens it again."
        )
    more: dict[str, Any] = {"decision": decision} | ({"c": note} if note else {})
    service.emit(tx, "brief_decided", task, **more)
    if decision == "reject" and task.state is State.IN_PROGRESS:
        reason = REJECTED if not note else f"{REJECTED}: {note[:500]}"
        after = service.leave(
            tx, task, State.BLOCKED, keep_agent=False, reason=reason, retries=task.retries
        )
        parking.let_go(tx, task)
        service.emit(tx, "task_updated", after)
    elif task.agent is not None:
        sql.notify(tx, task.agent, "brief_decided", task.id, f"{task.number}: brief {decision}")
    return _brief(tx, task)


def _may_decide(tx: Tx, task: Task, row: Brief) -> None:
    """The token that wrote it counts as its author too, whomever it speaks for."""
    actor = tx.actor
    if row.author == actor.key or row.credential == actor.credential:
        raise Refused(
            "brief.own",
            "nobody confirms a brief of their own",
            "The requester or an operator decides.",
            rule="gate-6",
        )
    if actor.kind is not ActorKind.OPERATOR and rdp.requester(tx, task.id) != actor.key:
        raise Refused(
            "brief.not_requester",
            f"{actor.name or actor.id} did not ask for {task.number}",
            "The requester or an operator decides.",
            rule="gate-6",
        )


# -- L3: audit and acceptance --------------------------------------------------------------


def audit(tx: Tx, ref: str, outcome: str, note: str | None) -> Task:
    """Before anybody implements it. `pass` lets the task into the queue, `reject` blocks it; either
    may be given again while nobody has claimed it.

    Raises `audit.outcome`, `route.level`, `route.state`, `route.two_parts`.
    """
    task = _of_level_3(tx, ref, outcome, ("pass", "reject"), "audit")
    if task.state not in (State.INBOX, State.BLOCKED, State.QUEUED):
        raise Conflict(
            "route.state", f"{task.number} is {task.state.value}", "An audit comes before the work."
        )
    _in_person(tx)
    refuse_parts(tx, task, AUDIT)
    rdp.add_part(tx, task.id, AUDIT, tx.actor.key, outcome, note)
    service.emit(tx, "task_audited", task, outcome=outcome, **({"c": note} if note else {}))
    if outcome == "pass":
        if gating.by_gate(task) and not _still_held(tx, task):
            task = service.leave(tx, task, State.QUEUED, keep_agent=True, retries=task.retries)
    else:
        reason = f"gate-4: the audit rejected it: {(note or 'no reason given')[:500]}"
        task = service.leave(
            tx, task, State.BLOCKED, keep_agent=True, reason=reason, retries=task.retries
        )
    service.emit(tx, "task_updated", task)
    return task


def _still_held(tx: Tx, task: Task) -> bool:
    """Whether another gate than the audit holds it."""
    return tx.one("select 1 from gate_waiting where task=?", (task.id,)) is not None


def accept(tx: Tx, ref: str, outcome: str, note: str | None) -> Task:
    """Of finished work, by a third identity: `accept` makes it done, `return` queues it again.

    Raises `acceptance.outcome`, `acceptance.reason`, `route.level`, `route.state`,
    `route.two_parts`, `task.dod_unmet`, `gate-7.not_written_back`.
    """
    task = _of_level_3(tx, ref, outcome, ("accept", "return"), "acceptance")
    if task.state is not State.REVIEW:
        raise Conflict(
            "route.state",
            f"{task.number} is {task.state.value}",
            "Its implementer reports done first.",
        )
    if outcome == "return" and not (note or "").strip():
        raise Invalid("acceptance.reason", "work is returned with a reason", "Give `note`.")
    _in_person(tx)
    refuse_parts(tx, task, ACCEPTANCE)
    _person_where_wanted(tx, task, outcome)
    if outcome == "accept":
        done.require(tx, task, tx.actor, reviewing=True)
        reporting.written_back(tx, task)
    rdp.add_part(tx, task.id, ACCEPTANCE, tx.actor.key, outcome, note)
    service.emit(tx, "task_accepted", task, outcome=outcome, **({"c": note} if note else {}))
    to = State.DONE if outcome == "accept" else State.QUEUED
    after = service.leave(
        tx, task, to, keep_agent=to is State.DONE, reason=None if to is State.DONE else note,
        retries=task.retries,
    )  # fmt: skip
    accepting.judged(tx, task, accepted=to is State.DONE)
    if to is State.DONE:
        reporting.finished(tx, after)
    service.emit(tx, "task_done" if to is State.DONE else "task_inbox", after)
    return after


def _in_person(tx: Tx) -> None:
    """A token that speaks for many agents is one identity: it neither audits nor accepts."""
    if tx.actor.proof is Proof.ASSERTED:
        raise Refused(
            "route.asserted",
            f"{tx.actor.name or tx.actor.id} was named by a token that is not its own",
            "An agent audits and accepts with its own token: `homarus token create --kind agent`.",
            rule="gate-4",
        )


def _person_where_wanted(tx: Tx, task: Task, outcome: str) -> None:
    found = standing.need(tx, tx.company, task.id)
    wanted = found.approval_required or found.project_approval
    if outcome == "accept" and wanted and tx.actor.kind is not ActorKind.OPERATOR:
        raise Refused(
            "route.person",
            f"a person accepts {task.number}: its task or project says so",
            "Ask an operator.",
            rule="gate-4",
        )


def _of_level_3(tx: Tx, ref: str, outcome: str, outcomes: tuple[str, ...], what: str) -> Task:
    if outcome not in outcomes:
        raise Invalid(f"{what}.outcome", f"no outcome {outcome[:40]!r}", f"One of {outcomes}.")
    task, spec = sql.with_spec(tx, tx.company, sql.need(tx, tx.company, ref).id)
    if spec.level != 3:
        raise Conflict(
            "route.level",
            f"{task.number} is on level L{spec.level}",
            "Only L3 has an audit and an acceptance.",
        )
    return task
