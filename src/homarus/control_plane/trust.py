"""Routes of trust (governance contract, 12): what a score is made of, its history, a review."""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.company import agents
from homarus.control_plane.pages import behind
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import trusting
from homarus.kernel import trust
from homarus.kernel.trust_rules import WEIGHTS, band, raises
from homarus.store.port import Reply, Rx, Tx

MAX_RECENT: Final = 20


class Review(msgspec.Struct, rename="camel"):
    """What the operator found."""

    note: str = ""


def wire(found: trusting.Standing) -> dict[str, Any]:
    """`score` is in force; `computed` what the next computation would make of today's data."""
    now = found.now
    return {
        "agentId": found.agent.id,
        "name": found.agent.name,
        "score": found.stored,
        "band": band(found.stored),
        "computedAt": None if found.computed_ms is None else iso_ms(found.computed_ms),
        "restricted": found.restricted,
        "computed": {
            "score": now.total,
            "band": now.band,
            "base": now.base,
            "training": now.training,
            "dimensions": [
                {
                    "name": name,
                    "weight": weight / 100,
                    "value": now.dimensions[name].value,
                    "good": now.dimensions[name].good,
                    "bad": now.dimensions[name].bad,
                    "acts": now.dimensions[name].acts,
                    "points": round(weight * now.dimensions[name].value / 100, 2),
                }
                for name, weight in WEIGHTS.items()
            ],
        },
        "causes": found.new,
        "raise": raises(now),
    }


def _event(row: trust.TrustEvent) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "weight": row.weight,
        "taskId": row.task,
        "receipt": row.receipt,
        "note": row.note,
        "at": iso_ms(row.at_ms),
    }


def _change(row: trust.Change) -> dict[str, Any]:
    return {
        "before": row.before,
        "after": row.after,
        "band": row.band,
        "causes": row.causes,
        "dimensions": row.dimensions,
        "by": row.by,
        "at": iso_ms(row.at_ms),
    }


def show(rx: Rx, call: Call[None]) -> Reply:
    """GET /agents/{id}/trust: by id or name."""
    found = trusting.standing(rx, call.company, call.path["id"])
    recent = trust.events(rx, found.agent.id)[:MAX_RECENT]
    return json_reply({"trust": wire(found) | {"events": [_event(row) for row in recent]}})


def history(rx: Rx, call: Call[None]) -> Reply:
    """GET /agents/{id}/trust/history: changes, newest first."""
    agent = agents.need(rx, call.company, call.path["id"])
    limit = call.limit()
    rows = trust.changes(rx, agent.id, limit=limit, before=call.cursor())
    more = behind(rows, limit)
    return json_reply({"changes": [_change(row) for row in rows]} | more)


def review(tx: Tx, call: Call[Review]) -> Reply:
    """POST /agents/{id}/trust/review."""
    agent = trusting.review(tx, call.path["id"], call.body.note)
    found = trusting.standing(tx, tx.company, agent.id)
    return json_reply({"message": "Agent restored", "trust": wire(found)})


TAGS: Final = ("trust",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/agents/{id}/trust", show, "Explain an agent's trust score", tags=TAGS),
    read_route(
        "/agents/{id}/trust/history", history, "Changes of a trust score with their causes",
        query=("limit", "cursor"), tags=TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/trust/review", "trust.review", review,
        "Restore an untrusted or restricted agent after review",
        body=Review, target="agent:{id}", tags=TAGS,
    ),
)  # fmt: skip
