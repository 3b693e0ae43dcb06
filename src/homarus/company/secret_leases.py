"""Leases of secrets: who may have one, and their rows. What ends one: `flows/lending.py`.

A lease says that somebody was given a secret, by which access token, for which task, until when. It
is open until it is given back or over. To release it does not unsay the secret: who must be sure
changes the secret afterwards.
"""

from typing import Final

import msgspec

from homarus.base.errors import Conflict, HomarusError, Invalid, NotFound, Refused
from homarus.store.port import Row, Rx, Tx

DEFAULT_MS: Final = 600_000
LEAST_S: Final = 1
MOST_S: Final = 3_600
"""Of one grant or renewal."""
LIFE_MS: Final = 24 * 3_600_000
"""No renewal reaches further than this from the start: after a day the secret is asked for anew."""
MAX_OPEN: Final = 1_000
"""Open leases of a company."""
MAX_REASON: Final = 500
RULE: Final = "lease"

RESOURCE: Final = "resource"
INTEGRATION: Final = "integration"

END_REASONS: Final = {
    "released": "its holder, or an operator, gave it back",
    "expired": "its time ran out",
    "task_over": "the task ended, or its claim was lost",
    "session_over": "the session ended",
    "agent_gone": "the agent was removed",
    "withdrawn": "the resource or integration was disabled, archived or removed",
    "token_revoked": "the access token was revoked or expired",
}

COLUMNS: Final = (
    "id, no, company, kind, subject, agent, session, task, task_token, credential, is_exclusive, "
    "version, key_version, reason, created_ms, expires_ms, ended_ms, end_reason"
)


class SecretLease(msgspec.Struct, frozen=True, gc=False):
    """A row of `secret_lease`. `credential`: id of the access token; times in Unix ms."""

    id: str
    no: int
    company: str
    kind: str
    subject: str
    agent: str | None
    session: str | None
    task: str | None
    task_token: int | None
    credential: str
    is_exclusive: bool
    version: int
    key_version: int
    reason: str | None
    created_ms: int
    expires_ms: int
    ended_ms: int | None
    end_reason: str | None


class Work(msgspec.Struct, frozen=True):
    """The task that a caller names: its project, that project's customer, its fence, and whether
    the caller holds it in progress now."""

    id: str
    project: str
    customer: str | None
    token: int
    held: bool


class Asked(msgspec.Struct, frozen=True):
    """Facts of one request for a secret. `agent` is who asks, as the kernel resolved it (None: a
    runtime or operator by itself); `named_work`, `named_session`: whether one was named at all;
    `session`: the named one is the agent's and live."""

    scope_type: str
    scope: str | None
    agent: str | None
    named_work: bool = False
    work: Work | None = None
    named_session: bool = False
    session: bool = False


def refusal(asked: Asked) -> HomarusError | None:
    """Why this caller may not have it; None: it may (contract, 11, lease rule; 18: stricter)."""
    work = asked.work
    if asked.named_session and not asked.session:
        return Refused(
            "lease.session",
            "the session is not a live one of the calling agent",
            "Name one that is, or none.",
            rule=RULE,
        )
    if asked.named_work and work is None:
        return NotFound("task.unknown", "no such task in this company", "See `homarus task list`.")
    if work is not None and not work.held:
        return Refused(
            "lease.task_not_held",
            "the task is not in progress in the hands of the calling agent",
            "Claim it first; after a claim by another token, send its `leaseToken`.",
            rule=RULE,
        )
    if asked.scope_type == "company":
        return None
    if asked.scope_type == "agent":
        return None if asked.agent is not None and asked.agent == asked.scope else _not_its_agent()
    return _not_its_task(asked, work)


def _not_its_agent() -> HomarusError:
    return Refused(
        "lease.agent", "it is another agent's", "Only that agent gets it (`agentId`).", rule=RULE
    )


def _not_its_task(asked: Asked, work: Work | None) -> HomarusError | None:
    """A project's or customer's secret is for work on a task of it."""
    if work is None:
        return Refused(
            "lease.task_missing",
            f"a {asked.scope_type}'s secret is for work on a task of it",
            "Name the task that you hold (`taskId`).",
            rule=RULE,
        )
    of = work.project if asked.scope_type == "project" else work.customer
    if of == asked.scope:
        return None
    return Refused(
        "lease.task_foreign",
        f"the task is not of the {asked.scope_type} that the secret belongs to",
        "Name a task of it that you hold.",
        rule=RULE,
    )


def length_ms(seconds: int | None) -> int:
    """Raises `lease.length`."""
    if seconds is None:
        return DEFAULT_MS
    if not LEAST_S <= seconds <= MOST_S:
        raise Invalid(
            "lease.length",
            f"{seconds} seconds",
            f"{LEAST_S} to {MOST_S} seconds; a lease can be renewed.",
        )
    return seconds * 1_000


def held(wanted_exclusive: bool, others: list[SecretLease]) -> Conflict | None:
    """Why it must wait for open leases of others; None: it need not."""
    for other in others:
        if wanted_exclusive or other.is_exclusive:
            return Conflict(
                "lease.held",
                "somebody else holds it, and it is lent to one at a time",
                "Wait until that lease is released or runs out.",
                expiresMs=other.expires_ms,
            )
    return None


# -- rows ----------------------------------------------------------------------------------


def of_row(row: Row) -> SecretLease:
    """A row of COLUMNS."""
    values = list(row)
    values[10] = bool(values[10])
    return SecretLease(*values)


def need(rx: Rx, company: str, lease: str) -> SecretLease:
    """Open or ended. Raises `lease.unknown`."""
    row = rx.one(
        f"select {COLUMNS} from secret_lease where id=? and company=?",  # noqa: S608
        (lease, company),
    )
    if row is None:
        raise NotFound("lease.unknown", f"no lease {lease[:80]!r}", "See GET /leases.")
    return of_row(row)


def open_of(rx: Rx, subject: str) -> list[SecretLease]:
    """Oldest first, at most MAX_OPEN."""
    rows = rx.all(
        f"select {COLUMNS} from secret_lease where subject=? and ended_ms is null "  # noqa: S608
        "order by no limit ?",
        (subject, MAX_OPEN),
    )
    return [of_row(row) for row in rows]


def count_open(rx: Rx, company: str) -> int:
    row = rx.one(
        "select count(*) from secret_lease where company=? and ended_ms is null", (company,)
    )
    return 0 if row is None else int(row[0])


def insert(tx: Tx, lease: SecretLease) -> None:
    tx.run(
        f"insert into secret_lease({COLUMNS}) values(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,null,null)",
        (
            lease.id, lease.no, lease.company, lease.kind, lease.subject, lease.agent,
            lease.session, lease.task, lease.task_token, lease.credential,
            int(lease.is_exclusive), lease.version, lease.key_version, lease.reason,
            lease.created_ms, lease.expires_ms,
        ),
    )  # fmt: skip


def extend(tx: Tx, lease: SecretLease, length_ms: int) -> SecretLease:
    """Never beyond LIFE_MS of its start, never shorter than it was."""
    until = min(tx.now_ms + length_ms, lease.created_ms + LIFE_MS)
    until = max(until, lease.expires_ms)
    tx.run(
        "update secret_lease set expires_ms=? where id=? and ended_ms is null", (until, lease.id)
    )
    return msgspec.structs.replace(lease, expires_ms=until)


def end(tx: Tx, lease: SecretLease, reason: str) -> SecretLease:
    """To end an ended one again changes nothing. Emits `secret_lease_ended`."""
    changed = tx.run(
        "update secret_lease set ended_ms=?, end_reason=? where id=? and ended_ms is null",
        (tx.now_ms, reason, lease.id),
    )
    if not changed:
        return lease
    tx.emit("secret_lease_ended", lease.id, {"subject": lease.subject, "reason": reason})
    return msgspec.structs.replace(lease, ended_ms=tx.now_ms, end_reason=reason)
