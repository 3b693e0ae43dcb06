"""The company in a few numbers: what `homarus status` shows."""

from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.control_plane.route import Call, Route, json_reply, read_route
from homarus.kernel import ruled, stop
from homarus.store.port import Reply, Rx
from homarus.tasks import sql as task_sql
from homarus.tasks.model import State

MAX_COUNT: Final = 10_000
_COMPANY: Final = (
    "select c.id, c.slug, c.name, c.template, h.receipt_seq, c.no from company c "
    "join company_head h on h.company_no=c.no where c.id=?"
)
_COSTS: Final = (
    "select coalesce(sum(monthly_cost_cents), 0), coalesce(sum(monthly_budget_cents), 0) "
    "from agent where company=? and deleted_ms is null"
)


def _counts(rx: Rx, sql: str, company: str) -> dict[str, int]:
    return {str(name): int(n) for name, n in rx.all(sql, (company,))}


def status(rx: Rx, call: Call[None]) -> Reply:
    """Counts by state, no further than MAX_COUNT each; costs in cents of this month, the budget 0
    where none is set; what the rules said in the last 24 hours."""
    company = call.company
    about = rx.one(_COMPANY, (company,)) or ("", "", "", "", 0, 0)
    spent, budget = rx.one(_COSTS, (company,)) or (0, 0)
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
        "cost": {"spentCents": int(spent), "budgetCents": int(budget)},
    }
    return json_reply(body)


ROUTES: tuple[Route, ...] = (
    read_route("/status", status, "The company in a few numbers", tags=("daemon",)),
)
