"""Where work is due: companies that a worker should visit now."""

from typing import Final

from homarus.conversations import deliveries
from homarus.jobs import runs
from homarus.kernel import contexts
from homarus.store.port import Rx, Tx

NOTES_KEPT_MS: Final = 30 * 24 * 3_600_000
"""Used notes show in the trees of traces; after a day at most, expiry alone refuses them."""

RUNS_KEPT_MS: Final = 14 * 24 * 3_600_000
"""Ended runs of jobs."""

DELIVERIES_KEPT_MS: Final = 90 * 24 * 3_600_000
"""Longer than the runs that say what became of theirs. The messages stay in their threads."""


def leases(rx: Rx, limit: int) -> list[str]:
    """Companies with a lease that has run out."""
    rows = rx.all(
        "select distinct company from task where lease_until_ms is not null "
        "and lease_until_ms<=? limit ?",
        (rx.now_ms, limit),
    )
    return [str(row[0]) for row in rows]


def used_notes(rx: Rx, limit: int) -> list[str]:
    """Companies with routing notes that are kept no longer."""
    rows = rx.all(
        "select distinct company from routing_note where used_ms<? limit ?",
        (rx.now_ms - NOTES_KEPT_MS, limit),
    )
    return [str(row[0]) for row in rows]


def stopped(rx: Rx, limit: int) -> list[str]:
    """Companies with tasks that a STOP put aside and none holds any more."""
    rows = rx.all(
        "select distinct t.company from task t where t.state='blocked' and t.reason='stop' "
        "and not exists(select 1 from stop s where s.company=t.company and s.lifted_ms is null "
        "and (s.scope='company' or s.subject in (t.id, t.trace, t.project, t.agent))) limit ?",
        (limit,),
    )
    return [str(row[0]) for row in rows]


def old_runs(rx: Rx, limit: int) -> list[str]:
    """Companies with ended runs of jobs that are kept no longer."""
    return runs.companies_with_old(rx, rx.now_ms - RUNS_KEPT_MS, limit)


def forget_runs(tx: Tx, limit: int) -> int:
    """Remove up to `limit` of a company's runs that are kept no longer; how many."""
    return runs.forget(tx, tx.now_ms - RUNS_KEPT_MS, limit)


def old_deliveries(rx: Rx, limit: int) -> list[str]:
    """Companies with deliveries that are over and kept no longer."""
    return deliveries.companies_with_old(rx, rx.now_ms - DELIVERIES_KEPT_MS, limit)


def forget_deliveries(tx: Tx, limit: int) -> int:
    """Remove up to `limit` of a company's deliveries that are kept no longer; how many."""
    return deliveries.forget(tx, tx.now_ms - DELIVERIES_KEPT_MS, limit)


def forget_notes(tx: Tx, limit: int) -> int:
    """Remove up to `limit` of a company's notes that are kept no longer; how many."""
    return contexts.forget(tx, tx.now_ms - NOTES_KEPT_MS, limit)
