"""Secrets are lent: who gets one, for how long, and what ends it (control-plane contract, 4.6, 11).

    lend_resource, lend_integration -> Lent     the row, its lease, the secret still sealed
    renew, release
    settle                                      end leases that are over (the maintenance worker)

Whether an open lease is over is a question to the store, never a flag that something must remember
to set: the task it was lent for, its claim, the session, the agent, the resource, the access token
are looked at when the lease is used, listed or stands in somebody's way (`_OVER`). So a crash
between a cause and its effect loses nothing. Every attempt is kept (`company/secrets.py`), the
refused ones beside the receipt of the failure.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from homarus.base.action import ActorKind, Consequence, Refuse, Verdict
from homarus.base.errors import Conflict, HomarusError, Refused
from homarus.base.ids import is_uuid
from homarus.company import integrations, projects, resources, secret_leases, secrets, sessions
from homarus.company.integrations import Integration
from homarus.company.resources import Resource
from homarus.company.secret_leases import Asked, SecretLease, Work
from homarus.company.secrets import Wish
from homarus.flows import mirror_secrets
from homarus.kernel.facts import AgentFacts
from homarus.store.paging import newest
from homarus.store.port import Rx, Tx
from homarus.tasks import sql as tasks
from homarus.tasks.model import State

CAPABILITIES: Final = frozenset({"resource.lease", "integration.lease"})

_OVER: Final = (
    "case when l.expires_ms<=? then 'expired' "
    "when l.task is not null and (t.id is null or t.state<>'in_progress' or t.agent<>l.agent "
    "or t.token<>l.task_token or t.lease_until_ms<=?) then 'task_over' "
    "when l.session is not null and (s.id is null or s.ended_ms is not null) then 'session_over' "
    "when l.agent is not null and (a.id is null or a.deleted_ms is not null) then 'agent_gone' "
    "when l.kind='resource' and (r.id is null or r.deleted_ms is not null "
    "or r.status<>'active') then 'withdrawn' "
    "when l.kind='integration' and (i.id is null or i.status<>'active') then 'withdrawn' "
    "when k.id is null or k.revoked_ms is not null or k.expires_ms<=? then 'token_revoked' end"
)
"""Which of `secret_leases.END_REASONS` has come true; null: none. Parameters: now, three times."""

_FROM: Final = (
    "from secret_lease l left join task t on t.id=l.task "
    "left join agent_session s on s.id=l.session left join agent a on a.id=l.agent "
    "left join resource r on r.id=l.subject "
    "left join agent_integration i on i.id=l.subject left join token k on k.id=l.credential "
)
_COLUMNS: Final = ", ".join(f"l.{column}" for column in secret_leases.COLUMNS.split(", "))


class Ask(msgspec.Struct, frozen=True):
    """A request for a secret. `agent` as the caller named it (who it is, the kernel found out);
    `task` id or number; `lease_token` its fence, for a claim by another access token."""

    agent: str | None = None
    session: str | None = None
    task: str | None = None
    lease_token: int | None = None
    reason: str | None = None
    seconds: int | None = None


class Lent(msgspec.Struct, frozen=True):
    """What was lent. `sealed`: the secret as it is kept, to be opened after the commit."""

    row: Resource | Integration
    lease: SecretLease
    sealed: bytes | None


class Thing(msgspec.Struct, frozen=True):
    """What both kinds have in common when they are lent."""

    kind: str
    id: str
    scope_type: str
    scope: str | None
    is_exclusive: bool
    version: int


# -- lending -------------------------------------------------------------------------------


def lend_resource(tx: Tx, resource: str, ask: Ask) -> Lent:
    """Raises `resource.unknown`, `resource.inactive`, `task.unknown`, `lease.*`.

    Emits `secret_lent`.
    """
    row = resources.need(tx, tx.company, resource)
    thing = Thing(
        secret_leases.RESOURCE, row.id, row.scope_type, row.scope, row.is_exclusive,
        row.secret_version if row.secret_configured else 0,
    )  # fmt: skip
    if row.status != resources.ACTIVE:
        raise _denied(
            Conflict(
                "resource.inactive",
                f"{row.name} is {row.status[:40]}",
                "Only the secret of an active resource is lent.",
            ),
            thing,
            ask,
        )
    if mirror_secrets.reserved(tx, tx.company, row.id):
        raise _denied(
            Conflict(
                "resource.of_a_mirror",
                f"a mirror writes with the secret of {row.name}",
                "It is the outbox worker's alone; use another resource.",
            ),
            thing,
            ask,
        )
    lease = _lend(tx, thing, ask)
    resources.used(tx, row.id)
    return Lent(row, lease, resources.sealed(tx, row.id))


def lend_integration(tx: Tx, agent: str, integration: str, ask: Ask) -> Lent:
    """Raises `integration.unknown`, `task.unknown`, `lease.*`. Emits `secret_lent`."""
    row = integrations.need(tx, tx.company, agent, integration)
    thing = Thing(
        secret_leases.INTEGRATION, row.id, "agent", agent, False,
        row.secret_version if row.secret_configured else 0,
    )  # fmt: skip
    lease = _lend(tx, thing, ask)
    integrations.used(tx, row.id)
    return Lent(row, lease, integrations.sealed(tx, row.id))


def _lend(tx: Tx, thing: Thing, ask: Ask) -> SecretLease:
    length_ms = secret_leases.length_ms(ask.seconds)
    caller: AgentFacts | None = tx.admitted.agent
    agent = None if caller is None else caller.id
    work = _work(tx, agent, ask)
    asked = Asked(
        scope_type=thing.scope_type,
        scope=thing.scope,
        agent=agent,
        named_work=ask.task is not None,
        work=work,
        named_session=ask.session is not None,
        session=_has_session(tx, agent, ask.session),
    )
    refused = secret_leases.refusal(asked)
    if refused is not None:
        raise _denied(refused, thing, ask)
    _settle(tx, _due(tx, "l.subject=?", thing.id, limit=secret_leases.MAX_OPEN))
    mine, others = _held(tx, thing, agent, ask.session, work)
    if mine is None:
        full = secret_leases.held(thing.is_exclusive, others) or _many(tx)
        if full is not None:
            raise _denied(full, thing, ask)
        mine = _new(tx, thing, agent, work, ask, length_ms)
    else:
        mine = secret_leases.extend(tx, mine, length_ms)
    tx.about(task=None if work is None else work.id)
    data = {"subject": thing.id, "kind": thing.kind, "agent": agent, "until": mine.expires_ms}
    tx.emit("secret_lent", mine.id, data)
    secrets.log(tx, thing.id, _wish(ask), lease=mine.id)
    return mine


def _work(tx: Tx, agent: str | None, ask: Ask) -> Work | None:
    """The named task, and whether this agent holds it now: by its fence where one is named, else by
    the access token that claimed it."""
    task = None if ask.task is None else tasks.find(tx, tx.company, ask.task)
    if task is None:
        return None
    project = projects.by_id(tx, tx.company, task.project)
    own = (
        task.token == ask.lease_token
        if ask.lease_token is not None
        else task.lease_proof == tx.actor.credential
    )
    until_ms = task.lease_until_ms
    held = (
        task.state is State.IN_PROGRESS
        and agent is not None
        and task.agent == agent
        and own
        and until_ms is not None
        and until_ms > tx.now_ms
    )
    customer = None if project is None else project.customer
    return Work(task.id, task.project, customer, task.token, held)


def _has_session(tx: Tx, agent: str | None, session: str | None) -> bool:
    if agent is None or session is None or not is_uuid(session.lower()):
        return False
    row = sessions.by_id(tx, tx.company, session.lower())
    return row is not None and row.agent == agent and row.ended_ms is None


def _held(
    tx: Tx, thing: Thing, agent: str | None, session: str | None, work: Work | None
) -> tuple[SecretLease | None, list[SecretLease]]:
    """The caller's own open lease for the same purpose, and those of others."""
    key = (
        tx.actor.credential,
        agent,
        None if session is None else session.lower(),
        None if work is None else work.id,
        None if work is None else work.token,
    )
    mine: SecretLease | None = None
    others = []
    for row in secret_leases.open_of(tx, thing.id):
        if (row.credential, row.agent, row.session, row.task, row.task_token) != key:
            others.append(row)
        elif row.version == thing.version:
            mine = row
        else:  # the secret has changed since
            secret_leases.end(tx, row, "released")
    return mine, others


def _many(tx: Tx) -> Conflict | None:
    if secret_leases.count_open(tx, tx.company) < secret_leases.MAX_OPEN:
        return None
    return Conflict(
        "lease.many",
        f"{secret_leases.MAX_OPEN} secrets are lent",
        "Release some: POST /leases/{id}/release.",
    )


def _new(
    tx: Tx, thing: Thing, agent: str | None, work: Work | None, ask: Ask, length_ms: int
) -> SecretLease:
    lease = SecretLease(
        id=tx.new_id(),
        no=tx.number("secret_lease"),
        company=tx.company,
        kind=thing.kind,
        subject=thing.id,
        agent=agent,
        session=None if ask.session is None else ask.session.lower(),
        task=None if work is None else work.id,
        task_token=None if work is None else work.token,
        credential=tx.actor.credential,
        is_exclusive=thing.is_exclusive,
        version=thing.version,
        key_version=secrets.KEY_VERSION,
        reason=None if ask.reason is None else ask.reason[: secret_leases.MAX_REASON],
        created_ms=tx.now_ms,
        expires_ms=tx.now_ms + length_ms,
        ended_ms=None,
        end_reason=None,
    )
    secret_leases.insert(tx, lease)
    return lease


# -- refused -------------------------------------------------------------------------------


def _wish(ask: Ask) -> Wish:
    return Wish(ask.agent, ask.session, ask.task, ask.reason)


def _denied(error: HomarusError, thing: Thing, ask: Ask) -> HomarusError:
    """The error, with its attempt as what stays of it."""
    data = {"code": error.code, "wish": _wish(ask)}
    error.consequences = (Consequence("secret.denied", thing.id, data),)
    return error


def on_denied(tx: Tx, consequence: Consequence) -> Mapping[str, Any] | None:
    data = consequence.data
    secrets.log(tx, consequence.subject, data["wish"], code=data["code"])
    return None


def refused(tx: Tx, verdict: Verdict) -> None:
    """The kernel itself refused somebody a secret (a token of too low a scope, STOP): it is an
    attempt like any other."""
    action = tx.action
    if not isinstance(verdict, Refuse) or action.capability not in CAPABILITIES:
        return
    kind, _, subject = action.target.partition(":")
    subject = subject.lower()
    if verdict.actor is None or not is_uuid(subject):
        return
    known = resources.by_id if kind == secret_leases.RESOURCE else integrations.by_id
    if known(tx, tx.company, subject) is not None:
        wish = Wish(agent=action.acting, task=action.task)
        secrets.log(tx, subject, wish, code=verdict.code)


# -- afterwards ----------------------------------------------------------------------------


def renew(tx: Tx, lease: str, seconds: int | None) -> SecretLease:
    """By the access token that has it. Raises `lease.unknown`, `lease.not_yours`, `lease.over`.

    Emits `secret_lease_renewed`.
    """
    length_ms = secret_leases.length_ms(seconds)
    row = secret_leases.need(tx, tx.company, lease)
    if row.credential != tx.actor.credential:
        raise _not_yours()
    over = row.end_reason or reason_over(tx, row.id)
    if over is None and row.created_ms + secret_leases.LIFE_MS <= row.expires_ms:
        over = "expired"
    if over is not None:
        raise Conflict(
            "lease.over",
            f"the lease is over: {secret_leases.END_REASONS[over]}",
            "Ask for the secret again where you still need it.",
            endReason=over,
        )
    after = secret_leases.extend(tx, row, length_ms)
    tx.emit("secret_lease_renewed", row.id, {"until": after.expires_ms})
    return after


def release(tx: Tx, lease: str) -> SecretLease:
    """By the access token that has it, or by an operator; to release an ended one changes nothing.

    Raises `lease.unknown`, `lease.not_yours`.
    """
    row = secret_leases.need(tx, tx.company, lease)
    if row.credential != tx.actor.credential and tx.actor.kind is not ActorKind.OPERATOR:
        raise _not_yours()
    return secret_leases.end(tx, row, reason_over(tx, row.id) or "released")


def _not_yours() -> Refused:
    return Refused(
        "lease.not_yours",
        "another access token holds this lease",
        "Its holder, or an operator, ends it.",
        rule="lease",
    )


def reason_over(rx: Rx, lease: str) -> str | None:
    """Why an open lease is over though nobody has ended it yet; None: it is not, or it is ended."""
    now = rx.now_ms
    row = rx.one(
        f"select {_OVER} {_FROM}where l.id=? and l.ended_ms is null",
        (now, now, now, lease),
    )
    return None if row is None else row[0]


def listed(
    rx: Rx,
    company: str,
    *,
    limit: int,
    before: int | None = None,
    credential: str | None = None,
    subject: str | None = None,
    agent: str | None = None,
    is_open: bool = False,
) -> list[tuple[SecretLease, str | None]]:
    """Newest first, each with why it is over (None: it is not); `before` is the `no` of the last
    one seen."""
    now = rx.now_ms
    select = f"select {_COLUMNS}, coalesce(l.end_reason, {_OVER}) {_FROM}where l.company=?"
    filters = {
        "l.credential=?": credential,
        "l.subject=?": subject,
        "l.agent=?": agent,
        f"l.ended_ms is null and {_OVER} is null": (now, now, now) if is_open else None,
    }
    rows = newest(
        rx, select, (now, now, now, company), filters, limit=limit, before=before, by="l.no"
    )
    return [(secret_leases.of_row(row[:-1]), row[-1]) for row in rows]


def due(rx: Rx, limit: int) -> list[str]:
    """Companies with an open lease that is over."""
    now = rx.now_ms
    rows = rx.all(
        f"select distinct l.company {_FROM}where l.ended_ms is null and {_OVER} is not null "
        "limit ?",
        (now, now, now, limit),
    )
    return [str(row[0]) for row in rows]


def settle(tx: Tx, limit: int) -> int:
    """End up to `limit` of this company's leases that are over; how many."""
    return _settle(tx, _due(tx, "l.company=?", tx.company, limit=limit))


def _due(tx: Tx, where: str, value: str, *, limit: int) -> list[tuple[str, str]]:
    now = tx.now_ms
    rows = tx.all(
        f"select l.id, {_OVER} {_FROM}where {where} and l.ended_ms is null "
        f"and {_OVER} is not null order by l.no limit ?",
        (now, now, now, value, now, now, now, limit),
    )
    return [(row[0], row[1]) for row in rows]


def _settle(tx: Tx, rows: list[tuple[str, str]]) -> int:
    for lease, reason in rows:
        secret_leases.end(tx, secret_leases.need(tx, tx.company, lease), reason)
    return len(rows)
