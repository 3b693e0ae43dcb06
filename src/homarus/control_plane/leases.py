"""Secrets on loan (control-plane contract, 4.6, 11): lease, renew, release, and who asked.

A lease's reply is the only place where a secret is in clear. The unit gives the sealed bytes, which
`finish` opens after the commit; such a reply is never stored under an idempotency key. Asking again
for the same purpose finds the same lease, so a retry does no harm.
"""

import json
from typing import Any, Final

import msgspec

from homarus.company import agents, integrations, resources, secrets
from homarus.control_plane import shapes_resources as shapes
from homarus.control_plane.notes import number
from homarus.control_plane.pages import cut
from homarus.control_plane.resource_bodies import about
from homarus.control_plane.route import (
    Call,
    Route,
    Sealer,
    json_reply,
    read_route,
    write_route,
)
from homarus.flows import lending, scoping
from homarus.flows.lending import Ask, Lent
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("leases",)


class LeaseBody(msgspec.Struct, rename="camel"):
    """`agentId` who asks (a token of an agent need not say); `taskId` the task that it holds, with
    its `leaseToken` where another access token claimed it; `seconds` 1 to 3600, by default 600."""

    agent_id: str | None = None
    session_id: str | None = None
    task_id: str | None = None
    lease_token: int | None = None
    reason: str | None = None
    seconds: int | None = None


class RenewBody(msgspec.Struct, rename="camel"):
    """`seconds` from now, 1 to 3600, by default 600."""

    seconds: int | None = None


def ask_of(body: LeaseBody) -> Ask:
    return Ask(
        body.agent_id, body.session_id, body.task_id, body.lease_token, body.reason, body.seconds
    )


def lease(tx: Tx, call: Call[LeaseBody]) -> Lent:
    return lending.lend_resource(tx, call.id(), ask_of(call.body))


def hand_over(lent: Lent, sealer: Sealer) -> Reply:
    """Raises `keys.unseal`: the lease stands, but this home cannot open the secret."""
    row = lent.row
    if not isinstance(row, resources.Resource):
        raise AssertionError("a resource was lent")
    secret = opened(lent, sealer, about(row.company))
    return json_reply(
        {
            "resource": shapes.resource(row),
            "configText": row.config,
            "secretText": secret,
            "lease": shapes.lease(lent.lease),
        }
    )


def opened(lent: Lent, sealer: Sealer, purpose: bytes) -> str | None:
    if lent.sealed is None:
        return None
    return sealer.unseal(lent.sealed, purpose).decode("utf-8", "surrogatepass")


def secret_json(text: str | None) -> Any:
    """What was given as JSON is given back as JSON; text as text."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return text


def renew(tx: Tx, call: Call[RenewBody | None]) -> Reply:
    body = call.body or RenewBody()
    return json_reply({"lease": shapes.lease(lending.renew(tx, call.id(), body.seconds))})


def release(tx: Tx, call: Call[None]) -> Reply:
    return json_reply({"lease": shapes.lease(lending.release(tx, call.id()))})


def listed(rx: Rx, call: Call[None]) -> Reply:
    """An operator sees all of the company, everybody else what their own token holds."""
    query, limit = call.query, call.limit()
    agent = query.get("agentId")
    rows = lending.listed(
        rx,
        call.company,
        limit=limit + 1,
        before=call.cursor(),
        credential=None if call.token.kind == "operator" else call.token.id,
        subject=(query.get("resourceId") or query.get("integrationId") or "").lower() or None,
        agent=agents.need(rx, call.company, agent).id if agent else None,
        is_open=query.get("state") == "open",
    )
    rows, cursor = cut(rows, limit, lambda row: row[0].no)
    return json_reply(
        {
            "leases": [shapes.lease(*row) for row in rows],
            "nextCursor": cursor,
        }
    )


def restore_secret(tx: Tx, call: Call[None]) -> Reply:
    """Raises `resource.unknown`, `resource.version_unknown`, `resource.not_yours`."""
    row = resources.need(tx, call.company, call.id())
    scoping.check_writer(tx, row.scope_type, row.scope)
    after = resources.restore_secret(tx, row.id, number(call))
    return json_reply({"resource": shapes.resource(after)})


def access_log(rx: Rx, call: Call[None]) -> Reply:
    row = resources.need(rx, call.company, call.id())
    return attempts(rx, call, row.id, row.secret_version)


def integration_log(rx: Rx, call: Call[None]) -> Reply:
    agent = agents.need(rx, call.company, call.id())
    row = integrations.need(rx, call.company, agent.id, call.id("iid"))
    return attempts(rx, call, row.id, row.secret_version)


def attempts(rx: Rx, call: Call[None], subject: str, version: int) -> Reply:
    limit = call.limit()
    rows = secrets.attempts(rx, subject, limit=limit + 1, before=call.cursor())
    rows, cursor = cut(rows, limit)
    return json_reply(
        {
            "accessLog": [shapes.access(row) for row in rows],
            "secretVersion": version,
            "formerSecrets": [shapes.former_secret(row) for row in secrets.former(rx, subject)],
            "nextCursor": cursor,
        }
    )


def _agent(call: Call[Any]) -> str | None:
    ref: str | None = call.body.agent_id
    return ref


def _task(call: Call[Any]) -> str | None:
    ref: str | None = call.body.task_id
    return ref


ROUTES: Final[tuple[Route, ...]] = (
    write_route(
        "POST", "/resources/{id}/lease", "resource.lease", lease,
        "Have the secret of a resource for a while",
        body=LeaseBody, finish=hand_over, keyed="ignored", acting=_agent, task=_task,
        target="resource:{id}", tags=_TAGS,
    ),
    read_route(
        "/leases", listed, "Leases of secrets, newest first, without the secrets",
        query=("state", "resourceId", "integrationId", "agentId", "limit", "cursor"), tags=_TAGS,
    ),
    write_route(
        "POST", "/leases/{id}/renew", "lease.renew", renew, "Keep a lent secret for longer",
        body=RenewBody, target="lease:{id}", tags=_TAGS,
    ),
    write_route(
        "POST", "/leases/{id}/release", "lease.release", release, "Give a lent secret back",
        target="lease:{id}", tags=_TAGS,
    ),
    write_route(
        "POST", "/resources/{id}/secret-versions/{version}/restore", "resource.update",
        restore_secret, "Put a replaced secret in force again", target="resource:{id}", tags=_TAGS,
    ),
    read_route(
        "/resources/{id}/access-log", access_log, "Who asked for the secret, newest first",
        capability="audit.read", query=("limit", "cursor"), tags=_TAGS,
    ),
    read_route(
        "/agents/{id}/integrations/{iid}/access-log", integration_log,
        "Who asked for the secret of an integration, newest first", capability="audit.read",
        query=("limit", "cursor"), tags=_TAGS,
    ),
)  # fmt: skip
