"""Routes of access: tokens and whom they may act for, and STOP.

A token's secret is in one reply, never stored, so minting takes no idempotency key.
"""

from typing import Any, Final

import msgspec

from homarus.base.clock import iso_ms
from homarus.base.errors import Invalid, NotFound
from homarus.company import agents
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.route import Call, Route, json_reply, read_route, write_route
from homarus.flows import stopping
from homarus.kernel import stop, tokens
from homarus.kernel.stop import Stop
from homarus.kernel.tokens import Token
from homarus.store.port import Event, Reply, Rx, Tx

MAX_LIFETIME_DAYS: Final = 3_650


def token_shape(row: Token) -> dict[str, Any]:
    """A token without its secret (control-plane contract, 2)."""
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "role": row.role,
        "scope": row.scope,
        "agentId": row.agent,
        "createdAt": iso_ms(row.created_ms),
        "lastUsedAt": None if row.last_used_ms is None else iso_ms(row.last_used_ms),
        "revokedAt": None if row.revoked_ms is None else iso_ms(row.revoked_ms),
        "expiresAt": None if row.expires_ms is None else iso_ms(row.expires_ms),
    }


class NewToken(msgspec.Struct, rename="camel", frozen=True):
    """`lifetimeDays` null: 90 days for mcp_full, 30 for mcp_danger."""

    name: str
    kind: str = "runtime"
    scope: str = "mcp_full"
    role: str | None = None
    agent_id: str | None = None
    lifetime_days: int | None = None


class Grant(msgspec.Struct, rename="camel", frozen=True):
    agent_id: str


def list_tokens(rx: Rx, call: Call[None]) -> Reply:
    rows = tokens.listed(rx, call.company, call.limit())
    return json_reply({"tokens": [token_shape(row) for row in rows]})


def create_token(tx: Tx, call: Call[NewToken]) -> Reply:
    body = call.body
    agent = None
    if body.agent_id is not None:
        agent = agents.need(tx, tx.company, body.agent_id).id
    days = body.lifetime_days
    if days is not None and not 1 <= days <= MAX_LIFETIME_DAYS:
        raise Invalid("token.lifetime", f"{days} days", f"1 to {MAX_LIFETIME_DAYS} days.")
    token, secret = tokens.mint(
        tx,
        company=tx.company,
        kind=body.kind,
        name=body.name,
        scope=body.scope,
        role=body.role,
        agent=agent,
        lifetime_ms=None if days is None else days * tokens.DAY_MS,
    )
    return json_reply({"token": token_shape(token), "secret": secret}, 201)


def revoke_token(tx: Tx, call: Call[None]) -> Reply:
    row = tokens.revoke(tx, call.id())
    return json_reply({"message": "Token revoked", "token": token_shape(row)})


def grant_token(tx: Tx, call: Call[Grant]) -> Reply:
    token = tokens.by_id(tx, call.id())
    if token is None or token.company != tx.company:
        raise NotFound("token.unknown", "no such token", "List them: `homarus token list`.")
    if token.kind != "runtime":
        raise Invalid("token.kind", f"a token of kind {token.kind} is granted nobody", "")
    agent = agents.need(tx, tx.company, call.body.agent_id)
    if not tokens.may_act_for(tx, token.id, agent.id):
        tokens.grant(tx, token.id, agent.id, "granted")
        tx.emit("token_granted", token.id, {"agent": agent.id})
    return json_reply({"token": token_shape(token), "agentId": agent.id}, 201)


def stop_shape(row: Stop) -> dict[str, Any]:
    return {
        "id": row.id,
        "scope": row.scope,
        "subject": row.subject,
        "reason": row.reason,
        "by": row.by,
        "createdAt": iso_ms(row.created_ms),
    }


class NewStop(msgspec.Struct, rename="camel", frozen=True):
    """`subject`: the project, agent, task or trace; none for the company."""

    scope: str
    subject: str = ""
    reason: str = ""


def list_stops(rx: Rx, call: Call[None]) -> Reply:
    return json_reply({"stops": [stop_shape(row) for row in stop.active(rx, call.company)]})


def create_stop(tx: Tx, call: Call[NewStop]) -> Reply:
    body = call.body
    row = stopping.put(tx, body.scope, body.subject, body.reason)
    return json_reply({"message": "Stopped", "stop": stop_shape(row)}, 201)


def lift_stop(tx: Tx, call: Call[None]) -> Reply:
    row = stopping.lift(tx, call.id())
    return json_reply({"message": "Lifted", "stop": stop_shape(row)})


ROUTES: tuple[Route, ...] = (
    read_route(
        "/tokens", list_tokens, "List access tokens, without secrets", capability="audit.read",
        scope="any", query=("limit",), tags=("access",),
    ),
    write_route(
        "POST", "/tokens", "token.create", create_token, "Mint an access token",
        body=NewToken, status=201, keyed="ignored", scope="any", target="token:new",
        tags=("access",),
    ),
    write_route(
        "DELETE", "/tokens/{id}", "token.revoke", revoke_token, "Revoke a token",
        scope="any", target="token:{id}", tags=("access",),
    ),
    write_route(
        "POST", "/tokens/{id}/grants", "token.grant", grant_token, "Let a token act for an agent",
        body=Grant, status=201, target="token:{id}", tags=("access",),
    ),
    read_route("/stops", list_stops, "List the STOPs in force", tags=("access",)),
    write_route(
        "POST", "/stops", "stop.set", create_stop, "STOP a company, project, agent, task or trace",
        body=NewStop, status=201, target="stop:new", tags=("access",),
    ),
    write_route(
        "DELETE", "/stops/{id}", "stop.lift", lift_stop, "Lift a STOP", target="stop:{id}",
        tags=("access",),
    ),
)  # fmt: skip


def _token_frame(kind: str) -> Any:
    def frames(rx: Rx, company: str, event: Event) -> list[Frame]:
        row = tokens.by_id(rx, event.subject)
        return [] if row is None else [{"type": kind, "token": token_shape(row)}]

    return frames


FRAMES: FrameTable = {
    "token_created": _token_frame("company_token_created"),
    "token_revoked": _token_frame("company_token_revoked"),
}
