"""The company in a few numbers: what `homarus status` shows."""

from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.control_plane.route import Call, Route, json_reply, read_route
from homarus.flows import mirrors
from homarus.jobs import runs
from homarus.jobs.model import State as RunState
from homarus.kernel import budgets, ruled, stop
from homarus.store.port import Reply, Rx
from homarus.tasks import sql as task_sql
from homarus.tasks.model import State

MAX_COUNT: Final = 10_000
_COMPANY: Final = (
    "select c.id, c.slug, c.name, c.template, h.receipt_seq, c.no from company c "
    "join company_head h on h.company_no=c.no where c.id=?"
)


def _counts(rx: Rx, sql: str, company: str) -> dict[str, int]:
    return {str(name): int(n) for name, n in rx.all(sql, (company,))}


def cost(rx: Rx, company: str) -> dict[str, Any]:
    """Today's and this month's money against the company's budgets; `budgetMicros` null: none."""
    limits = {
        row.period: row.limit
        for row in budgets.under(rx, company, [("company", company)], rx.now_ms)
        if row.unit == "money"
    }
    period_keys = budgets.keys(rx.now_ms)
    body: dict[str, Any] = {}
    for name, period in (("today", "day"), ("month", "month")):
        found = budgets.spent_by(rx, company, [company], period_keys[period]).get(company)
        body[name] = {
            "spentMicros": 0 if found is None else found.spent.money,
            "reservedMicros": 0 if found is None else found.reserved.money,
            "budgetMicros": limits.get(period),
        }
    return body


def _heartbeats(rx: Rx, company: str) -> dict[str, Any]:
    """How many agents look by themselves, and what those cost that ask the model each time."""
    row = rx.one(
        "select count(*), coalesce(sum(h.always), 0), coalesce(sum(h.always*(86400000/h.every_ms)),"
        " 0), coalesce(sum(h.turns), 0), coalesce(sum(h.money), 0) from heartbeat h "
        "join company c on c.id=h.company where h.company=? and h.enabled=1 and c.heartbeats=1",
        (company,),
    )
    names = ("on", "always", "alwaysCallsADay", "turns", "spentMicros")
    return dict(zip(names, map(int, row or (0,) * len(names)), strict=True))


def _jobs(rx: Rx, company: str) -> dict[str, Any]:
    """Jobs that fire by the clock, when the next one does, and runs that nobody tries again."""
    found = rx.one(
        "select count(*), min(next_run_ms) from job where company=? and next_run_ms is not null",
        (company,),
    ) or (0, None)
    return {
        "active": int(found[0]),
        "nextAt": None if found[1] is None else iso_ms(found[1]),
        "dead": runs.count(rx, company, RunState.DEAD, MAX_COUNT),
    }


def status(rx: Rx, call: Call[None]) -> Reply:
    """Counts by state, no further than MAX_COUNT each; the company's own spending, in micros; what
    the rules said in the last 24 hours."""
    company = call.company
    about = rx.one(_COMPANY, (company,)) or ("", "", "", "", 0, 0)
    incidents = rx.one(
        "select count(*) from incident where company=? and status='open' and deleted_ms is null",
        (company,),
    )
    body: dict[str, Any] = {
        "company": dict(zip(("id", "slug", "name", "template"), about[:4], strict=True)),
        "version": __version__,
        "serverTime": iso_ms(rx.now_ms),
        "agents": _counts(
            rx,
            "select status, count(*) from agent where company=? and deleted_ms is null "
            "group by status order by status",
            company,
        ),
        "tasks": {
            state.value: n
            for state in State
            if state is not State.ARCHIVED
            and (n := task_sql.count_state(rx, company, state, MAX_COUNT))
        },
        "stops": len(stop.active(rx, company)),
        "openIncidents": int(incidents[0]) if incidents else 0,
        "receipts": int(about[4]),
        "rules": ruled.since(rx, company, int(about[5]), rx.now_ms - ruled.DAY_MS),
        "cost": cost(rx, company),
        "heartbeats": _heartbeats(rx, company),
        "jobs": _jobs(rx, company),
        "mirrors": [
            {
                "name": row.name,
                "state": row.state,
                "held": row.held,
                "rows": mirrors.waiting(rx, row.id),
                "lagMs": mirrors.lag_ms(rx, row.id),
            }
            for row in mirrors.listed(rx, company)
        ],
    }
    return json_reply(body)


ROUTES: tuple[Route, ...] = (
    read_route("/status", status, "The company in a few numbers", tags=("daemon",)),
)
