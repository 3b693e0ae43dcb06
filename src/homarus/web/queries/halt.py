"""STOP as a page shows it: each one in force, its last effect, and what is still ending."""

from typing import Any, Final

import msgspec

from homarus.base.ids import is_uuid, to_blob
from homarus.kernel.stop import Stop, active
from homarus.store.port import Rx
from homarus.web.queries.names import Names

WINDOW: Final = 1_000
"""Receipts and runs that are looked through for the last effect."""


class Halt(msgspec.Struct, frozen=True):
    """`last_ms`: when the scope last had an effect (None: none found); `ending`: processes of the
    scope that have not ended yet."""

    id: str
    scope: str
    name: str
    reason: str
    by: str
    since_ms: int
    last_ms: int | None
    ending: int


def halts(rx: Rx, company: str, company_no: int) -> list[Halt]:
    names = Names(rx, company)
    found = []
    for row in active(rx, company):
        last = max(
            (
                at
                for at in (_receipt(rx, company_no, row), _run(rx, company, row))
                if at is not None
            ),
            default=None,
        )
        found.append(
            Halt(
                id=row.id,
                scope=row.scope,
                name="" if row.scope == "company" else names.target(f"{row.scope}:{row.subject}"),
                reason=row.reason,
                by=names.actor(row.by),
                since_ms=row.created_ms,
                last_ms=last,
                ending=_ending(rx, company, row),
            )
        )
    return found


def _receipt(rx: Rx, company_no: int, row: Stop) -> int | None:
    """The newest allowed effect of an agent or runtime in the scope."""
    where: str = ""
    params: tuple[Any, ...] = ()
    if row.scope == "agent":
        where, params = " and actor=?", (f"agent:{row.subject}",)
    elif row.scope in ("task", "trace") and is_uuid(row.subject):
        where, params = f" and {row.scope}=?", (to_blob(row.subject),)
    found = rx.one(
        "select max(at_ms) from (select at_ms, actor, task, trace, verdict, effect, of_seq "  # noqa: S608
        "from receipt where company_no=? order by seq desc limit ?) r where verdict=0 and effect>0 "
        f"and of_seq is null and (actor like 'agent:%' or actor like 'runtime:%'){where}",
        (company_no, WINDOW, *params),
    )
    return None if found is None or found[0] is None else int(found[0])


_RUNS: Final = {
    "company": "",
    "agent": " and r.agent=?",
    "task": " and r.task=?",
    "trace": " and t.trace=?",
    "project": " and t.project=?",
}


def _scope(row: Stop) -> tuple[str, tuple[Any, ...]]:
    return _RUNS[row.scope], () if row.scope == "company" else (row.subject,)


def _run(rx: Rx, company: str, row: Stop) -> int | None:
    """When the last process of the scope ended."""
    where, params = _scope(row)
    found = rx.one(
        "select max(r.ended_ms) from (select id, agent, task, ended_ms from run where company=? "  # noqa: S608
        "order by id desc limit ?) r join task t on t.id=r.task "
        f"where r.ended_ms is not null{where}",
        (company, WINDOW, *params),
    )
    return None if found is None or found[0] is None else int(found[0])


def _ending(rx: Rx, company: str, row: Stop) -> int:
    where, params = _scope(row)
    found = rx.one(
        "select count(*) from run r join task t on t.id=r.task where r.company=? "  # noqa: S608
        f"and r.state='running'{where}",
        (company, *params),
    )
    return 0 if found is None else int(found[0])
