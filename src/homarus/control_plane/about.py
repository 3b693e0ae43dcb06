"""Routes about the daemon itself: what a client meets, and the event feed."""

from typing import Any, Final

from homarus import __version__
from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid
from homarus.control_plane import feed
from homarus.control_plane.route import Call, Route, json_reply, read_route
from homarus.kernel import stop
from homarus.records import incidents
from homarus.store.port import Event, Reply, Rx
from homarus.tasks import sql as task_sql
from homarus.tasks.model import State

MAX_COUNT: Final = 1_000
WIRE_VERSION: Final = "0.8.20"
"""The version of the original whose wire this is (control-plane contract, head)."""
MINIMUM_BRIDGE: Final = "0.1.0"
FLAGS: Final = (
    "runtimeRegister",
    "sessions",
    "heartbeat",
    "threads",
    "checkpoints",
    "resourcesIsShared",
    "messagesAgentMentionsReply",
    "sinceSeqReplay",
    "fencingTokens",
)
FLAGS_OFF: Final = ("docsVersioned", "forceSharingInjection")


def runtime_health(rx: Rx, call: Call[None]) -> Reply:
    """Compact JSON: install scripts search it as text (control-plane contract, 4.1)."""
    base = call.base_url
    return json_reply(
        {
            "ok": True,
            "companyId": call.company,
            "serverTime": iso_ms(rx.now_ms),
            "apiBaseUrl": base,
            "wsUrl": f"ws{base.removeprefix('http')}/api/mcp/ws",
            "emperorVersion": WIRE_VERSION,
            "docsUrl": f"{base}/api/docs",
            "recommendedSkillVersion": WIRE_VERSION,
            "minimumBridgeVersion": MINIMUM_BRIDGE,
            "capabilities": dict.fromkeys(FLAGS, True) | dict.fromkeys(FLAGS_OFF, False),
        }
    )


def status(rx: Rx, call: Call[None]) -> Reply:
    """A company in a few figures; counts stop at MAX_COUNT ("1000" means at least that many)."""
    row = rx.one("select slug, name, template from company where id=?", (call.company,))
    slug, name, template = row or ("", "", "")
    agents_rx = rx.all(
        "select status, count(*), sum(monthly_cost_cents), sum(monthly_budget_cents) from agent "
        "where company=? and deleted_ms is null group by status",
        (call.company,),
    )
    receipts = rx.one(
        "select h.receipt_seq from company c join company_head h on h.company_no=c.no where c.id=?",
        (call.company,),
    )
    return json_reply(
        {
            "company": {"id": call.company, "slug": slug, "name": name, "template": template},
            "version": __version__,
            "agents": {word: count for word, count, _, _ in agents_rx},
            "tasks": {
                state.value: n
                for state in State
                if state is not State.ARCHIVED
                and (n := task_sql.count_state(rx, call.company, state, MAX_COUNT))
            },
            "stops": len(stop.active(rx, call.company)),
            "openIncidents": len(
                incidents.listed(rx, call.company, limit=MAX_COUNT, status="open")
            ),
            "receipts": 0 if receipts is None else receipts[0],
            "cost": {
                "spentCents": sum(cost or 0 for _, _, cost, _ in agents_rx),
                "budgetCents": sum(budget or 0 for _, _, _, budget in agents_rx),
            },
        }
    )


def event_shape(event: Event) -> dict[str, Any]:
    return {
        "id": event.id,
        "seq": event.seq,
        "at": iso_ms(event.at_ms),
        "kind": event.kind,
        "subject": event.subject or None,
        "actor": event.actor,
        "data": event.data,
    }


def events(rx: Rx, call: Call[None]) -> Reply:
    """`?after=SEQ&limit=N`, oldest first; `head` is the newest `seq`."""
    text = call.query.get("after", "0")
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid("request.cursor", "`after` is no event number", "Give the last `seq` seen.")
    no, newest = feed.head(rx, call.company)
    rows = feed.page(rx, no, int(text), call.limit())
    return json_reply({"events": [event_shape(row) for row in rows], "head": newest})


ROUTES: tuple[Route, ...] = (
    read_route("/runtime/health", runtime_health, "What a client meets here", tags=("daemon",)),
    read_route("/status", status, "A company in a few figures", tags=("daemon",)),
    read_route(
        "/events", events, "The event feed, oldest first", scope="any", query=("after", "limit"),
        tags=("daemon",),
    ),
)  # fmt: skip
