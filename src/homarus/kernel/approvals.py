"""Approvals: questions that only a person or a governed role may answer, as rows.

An approval is bound to what was asked: capability, target and the SHA-256 of the arguments. It
opens `pending`; MOVES says what may become of it. What an answer means to tasks is in
`flows/approving.py`.
"""

from enum import StrEnum
from typing import Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Conflict, Internal, Invalid, NotFound
from homarus.base.ids import is_uuid, numbered
from homarus.kernel import settings
from homarus.kernel.actor_names import actor_name
from homarus.store.port import Row, Rx, Tx

HOUR_MS: Final = 3_600_000
HOURS_MOST: Final = 168
PAYLOAD_BYTES: Final = 32
MAX_WHAT: Final = 4_000
MAX_TEXT: Final = 2_000
MAX_TASKS: Final = 50
MAX_PENDING: Final = 200
"""Open questions of one agent; a further one is refused until some are answered."""

KINDS: Final = ("act", "task_done", "custom")
RISKS: Final = ("low", "medium", "high")
SCOPES: Final = ("once", "task", "hours")


class Status(StrEnum):
    PENDING = "pending"  # the sweeper expires it
    APPROVED = "approved"  # used by the act it permits; the sweeper expires it
    REJECTED = "rejected"  # final; the same act may be asked for again after `expires_ms`
    EXPIRED = "expired"  # final
    VOIDED = "voided"  # final: what was asked for has changed
    CANCELLED = "cancelled"  # final
    USED = "used"  # final


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

_FIELDS: Final = (
    "id, company, no, kind, capability, target, payload, what, requester, credential, agent, task, "
    "project, reason, confidence, cost, risk, scope, hours, status, expires_ms, decided_by, "
    "decided_ms, note, uses, created_ms, updated_ms"
)


class Approval(msgspec.Struct, frozen=True, gc=False):
    """A row of `approval`. `requester` as `Actor.key`; `credential`: id of the token that asked;
    `cost` in millionths of the currency unit; times in Unix ms.

    `expires_ms`: while pending, when it can no longer be decided; when approved, when it can no
    longer be used; when rejected, until when the same act is refused without being asked again.
    """

    id: str
    company: str
    no: int
    kind: str
    capability: str
    target: str
    payload: bytes
    what: str
    requester: str
    credential: str
    agent: str | None
    task: str | None
    project: str | None
    reason: str
    confidence: float | None
    cost: int | None
    risk: str
    scope: str
    hours: int | None
    status: Status
    expires_ms: int
    decided_by: str | None
    decided_ms: int | None
    note: str | None
    uses: int
    created_ms: int
    updated_ms: int

    @property
    def number(self) -> str:
        return f"A-{self.no}"

    def open(self, now_ms: int) -> bool:
        """Whether it can still be decided: until `expires_ms`, exclusive."""
        return self.status is S.PENDING and now_ms < self.expires_ms


def _approval(row: Row) -> Approval:
    values = list(row)
    values[6] = bytes(values[6])
    values[19] = Status(values[19])
    return Approval(*values)


# -- reading -------------------------------------------------------------------------------


def by_id(rx: Rx, company: str, approval: str) -> Approval | None:
    row = rx.one(f"select {_FIELDS} from approval where id=? and company=?", (approval, company))  # noqa: S608
    return None if row is None else _approval(row)


def find(rx: Rx, company: str, ref: str) -> Approval | None:
    """By id in any case or by number (`A-7`)."""
    if is_uuid(ref.lower()):
        return by_id(rx, company, ref.lower())
    no = numbered(ref, "A")
    if no is None:
        return None
    row = rx.one(f"select {_FIELDS} from approval where company=? and no=?", (company, no))  # noqa: S608
    return None if row is None else _approval(row)


def need(rx: Rx, company: str, ref: str) -> Approval:
    """As `find`. Raises `approval.unknown`."""
    found = find(rx, company, ref)
    if found is None:
        raise NotFound(
            "approval.unknown",
            f"no approval {ref[:80]!r} in this company",
            "List them: `homarus approval list`.",
        )
    return found


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    status: str | None = None,
    project: str | None = None,
    task: str | None = None,
    agent: str | None = None,
) -> list[Approval]:
    """Newest first; `before` is the `no` of the last one seen."""
    where, params = ["company=?", "no<?"], [company, before if before is not None else 2**62]
    for column, value in (("status", status), ("project", project), ("agent", agent)):
        if value is not None:
            where.append(f"{column}=?")
            params.append(value)
    if task is not None:
        where.append("id in (select approval from approval_task where task=?)")
        params.append(task)
    rows = rx.all(
        f"select {_FIELDS} from approval where {' and '.join(where)} order by no desc limit ?",  # noqa: S608
        (*params, limit),
    )
    return [_approval(row) for row in rows]


def tasks_of(rx: Rx, approval: str) -> list[str]:
    rows = rx.all("select task from approval_task where approval=? order by task", (approval,))
    return [str(row[0]) for row in rows]


def tasks_of_all(rx: Rx, approvals: list[str]) -> dict[str, list[str]]:
    """The same of many, in one query; those without a task are left out."""
    if not approvals:
        return {}
    rows = rx.all(
        "select approval, task from approval_task "  # noqa: S608
        f"where approval in ({','.join('?' * len(approvals))}) order by approval, task",
        tuple(approvals),
    )
    found: dict[str, list[str]] = {}
    for approval, task in rows:
        found.setdefault(approval, []).append(task)
    return found


def pending_for(rx: Rx, task: str) -> list[Approval]:
    """What of a task waits for an answer, oldest first."""
    fields = ", ".join(f"a.{name}" for name in _FIELDS.split(", "))
    rows = rx.all(
        f"select {fields} from approval_task t join approval a on a.id=t.approval "  # noqa: S608
        "where t.task=? and a.status='pending' order by a.no limit ?",
        (task, MAX_PENDING),
    )
    return [_approval(row) for row in rows]


class Summary(msgspec.Struct, frozen=True):
    total: int
    pending: int
    latest_pending: str | None


def summaries(rx: Rx, tasks: list[str]) -> dict[str, Summary]:
    """What approvals each of `tasks` has; tasks without any are left out."""
    if not tasks:
        return {}
    marks = ",".join("?" * len(tasks))
    rows = rx.all(
        "select t.task, count(*), sum(case when a.status='pending' then 1 else 0 end), "  # noqa: S608
        "max(case when a.status='pending' then a.id end) from approval_task t "
        f"join approval a on a.id=t.approval where t.task in ({marks}) group by t.task",
        tuple(tasks),
    )
    return {row[0]: Summary(int(row[1]), int(row[2]), row[3]) for row in rows}


# -- rules ---------------------------------------------------------------------------------


class Ask(msgspec.Struct, frozen=True, gc=False):
    """An act that needs an approval."""

    capability: str
    target: str
    payload: bytes
    agent: str
    task: str | None


def permits(row: Approval, ask: Ask, now_ms: int) -> bool:
    """Whether an approved row covers the act: once, this very payload; task, this task; hours, the
    same capability and target until its time is up."""
    if row.status is not S.APPROVED or now_ms >= row.expires_ms:
        return False
    match row.scope:
        case "once":
            return row.target == ask.target and row.payload == ask.payload
        case "task":
            return ask.task is not None and row.task == ask.task
        case _:
            return row.target == ask.target


def same(row: Approval, ask: Ask) -> bool:
    """Whether a row asks for this very act."""
    return row.target == ask.target and row.payload == ask.payload and row.task == ask.task


def standing(rx: Rx, company: str, ask: Ask) -> Approval | None:
    """What the rows say of an act: the approval that permits it, else the rejection of it that
    still holds, else the question that is open, else the one whose time ran out; None: nothing."""
    rows = [
        _approval(row)
        for row in rx.all(
            f"select {_FIELDS} from approval where company=? and agent=? and capability=? "  # noqa: S608
            "and status in ('approved', 'pending', 'rejected', 'expired') and kind='act' "
            "and (target=? or task=?) "
            "order by case status when 'approved' then 0 when 'pending' then 1 else 2 end, "
            "no desc limit ?",
            (company, ask.agent, ask.capability, ask.target, ask.task, 2 * MAX_PENDING),
        )
    ]
    permitting = next((row for row in rows if permits(row, ask, rx.now_ms)), None)
    if permitting is not None:
        return permitting
    mine = sorted((row for row in rows if same(row, ask)), key=lambda row: row.no)
    return mine[-1] if mine else None


# -- writing -------------------------------------------------------------------------------


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
    `approval.scope|payload|kind|risk|expires|many`.
    """
    _check(tx, scope, hours, kind, risk, payload, expires_ms)
    for old in _open_like(tx, capability, target, task, agent):
        if old.payload == payload and old.kind == kind and old.open(tx.now_ms):
            return old
        if tx.now_ms >= old.expires_ms:
            move(tx, old, "expire")
        elif old.kind == kind == "act":
            move(tx, old, "void", note="what was asked for has changed")
    count = tx.one(
        "select count(*) from approval where company=? and status='pending' "
        "and coalesce(agent, '')=?",
        (tx.company, agent or ""),
    )
    if count is not None and count[0] >= MAX_PENDING:
        raise Conflict(
            "approval.many",
            f"{MAX_PENDING} approvals of this requester wait for an answer",
            "Answer or cancel some first: `homarus approval list --status pending`.",
        )
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
    tx.run(
        f"insert into approval({_FIELDS}) values({','.join('?' * 27)})",
        tuple(str(v) if isinstance(v, Status) else v for v in msgspec.structs.astuple(row)),
    )
    for one in dict.fromkeys(about):
        tx.run("insert into approval_task(approval, task) values(?,?)", (row.id, one))
    _notice(tx, row)
    tx.emit("approval_created", row.id, {"s": row.status.value})
    return row


def _check(
    tx: Tx, scope: str, hours: int | None, kind: str, risk: str, payload: bytes,
    expires_ms: int | None,
) -> None:  # fmt: skip
    if scope not in SCOPES or (scope == "hours") != (hours is not None):
        raise Invalid(
            "approval.scope", f"scope {scope[:20]!r} with hours {hours}",
            f"One of {', '.join(SCOPES)}; `hours` goes with scope hours alone.",
        )  # fmt: skip
    if hours is not None and not 1 <= hours <= HOURS_MOST:
        raise Invalid("approval.scope", f"{hours} hours", f"1 to {HOURS_MOST} hours.")
    if len(payload) != PAYLOAD_BYTES:
        raise Invalid(
            "approval.payload", f"a payload hash of {len(payload)} bytes", "Give SHA-256: 32 bytes."
        )
    if kind not in KINDS:
        raise Invalid("approval.kind", f"unknown kind {kind[:40]!r}", f"One of {', '.join(KINDS)}.")
    if risk not in RISKS:
        raise Invalid("approval.risk", f"unknown risk {risk[:20]!r}", f"One of {', '.join(RISKS)}.")
    if expires_ms is not None and expires_ms <= tx.now_ms:
        raise Invalid("approval.expires", "it would have expired already", "Give a later time.")


def _open_like(
    tx: Tx, capability: str, target: str, task: str | None, agent: str | None
) -> list[Approval]:
    rows = tx.all(
        f"select {_FIELDS} from approval where company=? and coalesce(agent, '')=? "  # noqa: S608
        "and capability=? and status='pending' and target=? and coalesce(task, '')=? "
        "order by no limit ?",
        (tx.company, agent or "", capability, target, task or "", MAX_PENDING),
    )
    return [_approval(row) for row in rows]


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
    who = who_decided(rx, row)
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


def who_decided(rx: Rx, row: Approval) -> str | None:
    """The name of who answered."""
    return actor_name(rx, row.decided_by) if row.decided_by else None


def use(tx: Tx, approval: str) -> None:
    """Use an approval for the act that this transaction does."""
    row = by_id(tx, tx.company, approval)
    if row is None:
        raise Internal("approval.race", "an approval vanished inside its own transaction")
    move(tx, row, "use" if row.scope == "once" else "use_again")


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with an approval whose time is up."""
    rows = rx.all(
        "select distinct company from approval where status in ('pending', 'approved') "
        "and expires_ms<=? and (status='pending' or kind='act') limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]


def overdue(rx: Rx, company: str, limit: int) -> list[Approval]:
    """Those of one company, by time."""
    rows = rx.all(
        f"select {_FIELDS} from approval where company=? and status in ('pending', 'approved') "  # noqa: S608
        "and expires_ms<=? and (status='pending' or kind='act') order by expires_ms limit ?",
        (company, rx.now_ms, limit),
    )
    return [_approval(row) for row in rows]


def payload_of(arguments: bytes | None) -> bytes:
    """What stands for an act without arguments: 32 zero bytes."""
    return bytes(PAYLOAD_BYTES) if arguments is None else arguments
