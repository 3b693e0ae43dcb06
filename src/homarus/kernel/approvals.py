"""Approvals: questions that only a person or a governed role may answer, as rows.

Here they are asked, answered and used. One opens `pending`; MOVES says what may become of it. The
row is in `approval_rows.py`, what it covers in `approval_rules.py`, reading in
`approval_queries.py`; what an answer means to tasks is in `flows/approving.py`.
"""

from typing import Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Internal, Invalid
from homarus.kernel import approval_queries, approval_rules, settings
from homarus.kernel.approval_rows import FIELDS, Approval, Status
from homarus.store.port import Rx, Tx

HOUR_MS: Final = 3_600_000
MAX_WHAT: Final = 4_000
MAX_TEXT: Final = 2_000
MAX_TASKS: Final = 50

S = Status
MOVES: Final[dict[tuple[Status, str], Status]] = {
    (S.PENDING, "approve"): S.APPROVED,
    (S.PENDING, "reject"): S.REJECTED,
    (S.PENDING, "expire"): S.EXPIRED,
    (S.PENDING, "void"): S.VOIDED,
    (S.PENDING, "cancel"): S.CANCELLED,
    (S.APPROVED, "use"): S.USED,
    (S.APPROVED, "use_again"): S.APPROVED,
    (S.APPROVED, "expire"): S.EXPIRED,
}
"""(status, move) -> status. What is not here is refused."""


def request(
    tx: Tx,
    *,
    capability: str,
    target: str,
    payload: bytes,
    task: str | None,
    agent: str | None,
    reason: str,
    scope: str = "once",
    expires_ms: int | None = None,
    hours: int | None = None,
    kind: str = "act",
    what: str = "",
    risk: str = "medium",
    cost: int | None = None,
    project: str | None = None,
    tasks: tuple[str, ...] = (),
    confidence: float | None = None,
) -> Approval:
    """Ask. The same question that is still open is answered by its own row; an open one of the same
    capability, target, task and agent with another payload is voided.

    `tasks`: all tasks it is about; by default `task`. Emits `approval_created`. Raises
    `approval.scope|payload|kind|risk|expires|many|tasks`.
    """
    approval_rules.check(
        scope=scope, hours=hours, kind=kind, risk=risk, payload=payload, expires_ms=expires_ms,
        now_ms=tx.now_ms,
    )  # fmt: skip
    alike = approval_queries.pending_like(
        tx, tx.company, capability=capability, target=target, task=task, agent=agent
    )
    same = _still_open(tx, alike, kind, payload)
    if same is not None:
        return same
    _need_room(tx, agent)
    if expires_ms is None:
        expires_ms = tx.now_ms + 1000 * int(settings.value(tx, tx.company, "approval.s"))
    about = tasks or ((task,) if task is not None else ())
    if len(about) > MAX_TASKS:
        raise Invalid("approval.tasks", "too many tasks in one approval", f"At most {MAX_TASKS}.")
    row = Approval(
        id=tx.new_id(),
        company=tx.company,
        no=tx.number("approval"),
        kind=kind,
        capability=capability,
        target=target,
        payload=payload,
        what=(what or f"{capability} on {target}")[:MAX_WHAT],
        requester=tx.actor.key,
        credential=tx.action.credential,
        agent=agent,
        task=task,
        project=project,
        reason=reason[:MAX_TEXT],
        confidence=confidence,
        cost=cost,
        risk=risk,
        scope=scope,
        hours=hours,
        status=S.PENDING,
        expires_ms=expires_ms,
        decided_by=None,
        decided_ms=None,
        note=None,
        uses=0,
        created_ms=tx.now_ms,
        updated_ms=tx.now_ms,
    )
    _insert(tx, row, about)
    _notice(tx, row)
    tx.emit("approval_created", row.id, {"s": row.status.value})
    return row


def _still_open(tx: Tx, alike: list[Approval], kind: str, payload: bytes) -> Approval | None:
    """The one that asks the very same. Those before it are closed: their time is up, or what was
    asked for has changed."""
    for old in alike:
        if old.payload == payload and old.kind == kind and old.open(tx.now_ms):
            return old
        if tx.now_ms >= old.expires_ms:
            move(tx, old, "expire")
        elif old.kind == kind == "act":
            move(tx, old, "void", note="what was asked for has changed")
    return None


def _need_room(tx: Tx, agent: str | None) -> None:
    count = tx.one(
        "select count(*) from approval where company=? and status='pending' "
        "and coalesce(agent, '')=?",
        (tx.company, agent or ""),
    )
    if count is not None and count[0] >= approval_rules.MAX_PENDING:
        raise Conflict(
            "approval.many",
            f"{approval_rules.MAX_PENDING} approvals of this requester wait for an answer",
            "Answer or cancel some first: `homarus approval list --status pending`.",
        )


def _insert(tx: Tx, row: Approval, about: tuple[str, ...]) -> None:
    """The row, and the tasks that it is about."""
    tx.run(
        f"insert into approval({FIELDS}) values({','.join('?' * 27)})",
        tuple(str(v) if isinstance(v, Status) else v for v in msgspec.structs.astuple(row)),
    )
    for one in dict.fromkeys(about):
        tx.run("insert into approval_task(approval, task) values(?,?)", (row.id, one))


def _notice(tx: Tx, row: Approval) -> None:
    """The intent to tell the outside, where the company wants that."""
    url = str(settings.value(tx, tx.company, "approval.webhook"))
    if url:
        tx.run(
            "insert into notice(id, company, approval, url, state, next_ms, created_ms) "
            "values(?,?,?,?,'pending',?,?)",
            (tx.new_id(), tx.company, row.id, url, tx.now_ms, tx.now_ms),
        )


def move(tx: Tx, row: Approval, how: str, *, note: str | None = None) -> Approval:
    """One of MOVES, by conditional update. Raises `approval.decided`, `approval.over`."""
    after = MOVES.get((row.status, how))
    deciding = how in ("approve", "reject", "cancel")
    if after is None:
        raise decided(row, tx)
    if deciding and not row.open(tx.now_ms):
        raise Conflict(
            "approval.over",
            f"{row.number} expired at {iso_ms(row.expires_ms)}",
            "It is asked for again when the act is tried again.",
            approval=row.id,
        )
    until = row.expires_ms
    if how == "approve":
        span = row.hours * HOUR_MS if row.hours else row.expires_ms - row.created_ms
        until = tx.now_ms + span
    by, at = (tx.actor.key, tx.now_ms) if deciding else (row.decided_by, row.decided_ms)
    kept = row.note if note is None else note[:MAX_TEXT]
    uses = row.uses + (1 if how in ("use", "use_again") else 0)
    changed = tx.run(
        "update approval set status=?, expires_ms=?, decided_by=?, decided_ms=?, note=?, uses=?, "
        "updated_ms=? where id=? and status=? and uses=?",
        (after.value, until, by, at, kept, uses, tx.now_ms, row.id, row.status.value, row.uses),
    )
    if not changed:
        raise Internal("approval.race", f"{row.number} changed inside its own transaction")
    tx.emit("approval_updated", row.id, {"s": after.value, "how": how})
    return msgspec.structs.replace(
        row, status=after, expires_ms=until, decided_by=by, decided_ms=at, note=kept, uses=uses,
        updated_ms=tx.now_ms,
    )  # fmt: skip


def decided(row: Approval, rx: Rx) -> Conflict:
    """The error of whoever comes second: by whom, and when."""
    who = approval_queries.who_decided(rx, row)
    when = "" if row.decided_ms is None else f" at {iso_ms(row.decided_ms)}"
    by = "" if who is None else f" by {who}"
    return Conflict(
        "approval.decided",
        f"{row.number} was {row.status.value}{by}{when}",
        "Nothing to do; an answer is never changed.",
        approval=row.id,
        status=row.status.value,
        decidedBy=row.decided_by,
        decidedAt=None if row.decided_ms is None else iso_ms(row.decided_ms),
    )


def use(tx: Tx, approval: str) -> None:
    """Use an approval for the act that this transaction does."""
    row = approval_queries.by_id(tx, tx.company, approval)
    if row is None:
        raise Internal("approval.race", "an approval vanished inside its own transaction")
    move(tx, row, "use" if row.scope == "once" else "use_again")
