"""Where runs reach: one row for each host of a run, before its first byte, and what became of it.

A secret leaves its sealed row here alone, on its way to a host that its resource names.
"""

import json
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.errors import Busy
from homarus.flows import mirror_secrets
from homarus.kernel import receipts, settings
from homarus.store.port import Rx, Tx

MAX_HOSTS: Final = 200
"""Hosts that one run may reach."""
HOSTS: Final = "egress.hosts"
OPEN: Final = "egress.open"


class Run(msgspec.Struct, frozen=True):
    """What reaches out: `id` of a call, a task's run or a tool call; `capability` as judged.
    `agent` "": the daemon itself looks at a server."""

    id: str
    company: str
    agent: str
    capability: str
    task: str | None = None
    trace: str | None = None


class Passed(msgspec.Struct, frozen=True):
    """What went through for one host; `secrets`: names of the handles whose value was added."""

    requests: int
    bytes_up: int
    bytes_down: int
    secrets: tuple[str, ...] = ()


def hosts(rx: Rx, company: str) -> tuple[str, ...]:
    """What the company lets its agents reach."""
    listed = settings.value(rx, company, HOSTS)
    return tuple(str(each) for each in listed)


def open_visit(tx: Tx, run: Run, host: str, port: int) -> str:
    """The intent, judged as `egress.open` of the run's agent; its id. Raises `egress.many`."""
    row = tx.one(
        "select count(*) from egress_visit where company=? and run=?", (tx.company, run.id)
    )
    if row is not None and row[0] >= MAX_HOSTS:
        raise Busy("egress.many", f"one run has reached {MAX_HOSTS} hosts", "Reach fewer.")
    visit = tx.new_id()
    tx.run(
        "insert into egress_visit(id, company, run, agent, task, capability, host, port, state, "
        "receipt_seq, opened_ms) values(?,?,?,?,?,?,?,?,'open',?,?)",
        (
            visit, tx.company, run.id, run.agent, run.task, run.capability, host, port,
            tx.head.receipt_seq + 1, tx.now_ms,
        ),
    )  # fmt: skip
    tx.about(task=run.task, trace=run.trace)
    tx.emit("egress_opened", visit, {"run": run.id, "host": host, "port": port})
    return visit


def close_visit(tx: Tx, visit: str, passed: Passed) -> bool:
    """The outcome; False: it was closed before."""
    return _close(tx, visit, "done", Outcome.DONE, passed)


def _close(tx: Tx, visit: str, state: str, outcome: Outcome, passed: Passed | None) -> bool:
    row = tx.one(
        "select receipt_seq, host, port, task, capability from egress_visit "
        "where id=? and company=? and state='open'",
        (visit, tx.company),
    )
    if row is None:
        return False
    values: dict[str, Any] = {"state": state, "closed_ms": tx.now_ms}
    reason = "the daemon ended before it did"
    if passed is not None:
        values |= {
            "requests": passed.requests, "bytes_up": passed.bytes_up,
            "bytes_down": passed.bytes_down, "secrets": json.dumps(passed.secrets),
        }  # fmt: skip
        reason = (
            f"{row[4]}: {passed.requests} requests, {passed.bytes_up} bytes out, "
            f"{passed.bytes_down} in"
        ) + (f", with {', '.join(passed.secrets)}" if passed.secrets else "")
    sets = ", ".join(f"{column}=?" for column in values)
    tx.run(f"update egress_visit set {sets} where id=?", (*values.values(), visit))  # noqa: S608
    receipts.write_outcome(
        tx, row[0], tx.actor, OPEN, target_of(row[1], row[2]), outcome,
        effect=Effect.LOCAL_WRITE, reason=reason, task=row[3],
    )  # fmt: skip
    tx.emit("egress_closed", visit, {"state": state})
    return True


def target_of(host: str, port: int) -> str:
    return f"host:[{host}]:{port}" if ":" in host else f"host:{host}:{port}"


def companies_open(rx: Rx, limit: int) -> list[str]:
    rows = rx.all("select distinct company from egress_visit where state='open' limit ?", (limit,))
    return [row[0] for row in rows]


def recover(tx: Tx, limit: int) -> int:
    """At a start: what a daemon that died left open has an unknown outcome; how many."""
    rows = tx.all(
        "select id from egress_visit where company=? and state='open' order by id limit ?",
        (tx.company, limit),
    )
    for (visit,) in rows:
        _close(tx, visit, "unknown", Outcome.UNKNOWN, None)
    return len(rows)


class Visit(msgspec.Struct, frozen=True):
    """A row, for whoever looks."""

    run: str
    host: str
    port: int
    state: str
    requests: int
    bytes_up: int
    bytes_down: int
    secrets: tuple[str, ...]


def of_run(rx: Rx, company: str, run: str) -> list[Visit]:
    rows = rx.all(
        "select run, host, port, state, requests, bytes_up, bytes_down, secrets from egress_visit "
        "where company=? and run=? order by opened_ms, id limit ?",
        (company, run, MAX_HOSTS),
    )
    return [Visit(*(*row[:7], tuple(json.loads(row[7])))) for row in rows]


# -- secrets -------------------------------------------------------------------------------


class Sealed(msgspec.Struct, frozen=True):
    """A secret as it is kept, and the hosts that it may be sent to."""

    value: bytes
    hosts: tuple[str, ...]


def secret(rx: Rx, company: str, agent: str, name: str) -> Sealed | None:
    """The secret of the active resource of this name that is the company's or the agent's own;
    None: there is none, or it is a mirror's. Its config names hosts: `{"hosts": ["a.example"]}`."""
    row = rx.one(
        "select secret_sealed, config, id from resource where company=? and name=? "
        "and deleted_ms is null and status='active' and secret_sealed is not null "
        "and (scope_type='company' or (scope_type='agent' and scope=?)) "
        "order by case scope_type when 'agent' then 0 else 1 end, no desc limit 1",
        (company, name, agent),
    )
    if row is None or mirror_secrets.reserved(rx, company, row[2]):
        return None
    return Sealed(bytes(row[0]), hosts_of(row[1]))


def hosts_of(config: str | None) -> tuple[str, ...]:
    """The hosts that a resource's configuration names for its secret."""
    try:
        found = json.loads(config or "{}")
        named = found.get("hosts", []) if isinstance(found, dict) else []
    except ValueError:
        named = []
    listed = named if isinstance(named, list) else [named]
    return tuple(str(each) for each in listed)


def sealed_for(company: str) -> bytes:
    """What a resource's secret is sealed for (`control_plane`: about)."""
    return f"resource:{company}".encode()
