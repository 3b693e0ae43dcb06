"""Routes of what has sessions begin anew by themselves (gateway contract, 12.5)."""

from typing import Any, Final

import msgspec

from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.conversations import session_policies
from homarus.conversations.session_policies import DEFAULT_HOUR, NONE, Policy
from homarus.store.port import Reply, Rx, Tx


class PolicyBody(msgspec.Struct, rename="camel", frozen=True):
    """`mode`: none, daily, idle; `scope`: base, type:direct|group|thread, channel:NAME,
    session:KEY."""

    mode: str = NONE
    scope: str = session_policies.BASE
    at_hour: int = DEFAULT_HOUR
    idle_minutes: int | None = None


def _shape(scope: str, row: Policy) -> dict[str, Any]:
    return {
        "scope": scope,
        "mode": row.mode,
        "atHour": row.at_hour,
        "idleMinutes": row.idle_minutes,
    }


def _all(rx: Rx, company: str) -> dict[str, Any]:
    rows = session_policies.listed(rx, company)
    if not any(scope == session_policies.BASE for scope, _ in rows):
        rows = [(session_policies.BASE, session_policies.NEVER), *rows]
    zone = session_policies.zone_of(rx, company)
    return {"timeZone": zone, "policies": [_shape(scope, row) for scope, row in rows]}


def listed(rx: Rx, call: Call[None]) -> Reply:
    return json_reply(_all(rx, call.company))


def put(tx: Tx, call: Call[PolicyBody]) -> Reply:
    body = call.body
    policy = Policy(body.mode, body.at_hour, body.idle_minutes)
    session_policies.put(tx, body.scope, policy)
    return json_reply({"message": "Policy set", **_all(tx, tx.company)})


def remove(tx: Tx, call: Call[None]) -> Reply:
    session_policies.remove(tx, call.path["scope"])
    return json_reply({"message": "Policy removed", **_all(tx, tx.company)})


_TAGS: Final = ("turns",)
ROUTES: Final[tuple[Route, ...]] = (
    read_route("/session-policies", listed, "When sessions begin anew by themselves", tags=_TAGS),
    write_route(
        "PUT", "/session-policies", "session.policy", put, "Set that for one scope",
        body=PolicyBody, tags=_TAGS,
    ),
    write_route(
        "DELETE", "/session-policies/{scope}", "session.policy", remove,
        "Leave a scope to the wider one", tags=_TAGS,
    ),
)  # fmt: skip
