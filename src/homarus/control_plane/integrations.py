"""Integrations of an agent (control-plane contract, 4.6)."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.base.ids import is_uuid
from homarus.base.redact import redact_tokens
from homarus.company import agents, integrations
from homarus.control_plane import shapes_resources, shapes_sessions
from homarus.control_plane.frames import Frame, FrameTable
from homarus.control_plane.leases import LeaseBody, ask_of, opened, secret_json
from homarus.control_plane.resource_bodies import check, ready, sealed
from homarus.control_plane.route import (
    Call,
    Route,
    Sealer,
    json_reply,
    read_route,
    write_route,
)
from homarus.flows import lending
from homarus.flows.lending import Lent
from homarus.store.port import Event, Reply, Rx, Tx

_TAGS: Final = ("integrations",)


class IntegrationBody(msgspec.Struct, rename="camel"):
    """`secretJson` (alias `secretText`) is kept sealed and given out by a lease only. A value in an
    open field that looks like a secret is refused, unless `allowSecretLike` says it is none."""

    provider: str
    name: str
    config_json: Any = None
    secret_json: Any = None
    secret_text: str | None = None
    allow_secret_like: bool = False


class ReadyIntegration(msgspec.Struct, frozen=True):
    """After `prepare`. `config` is JSON text."""

    provider: str
    name: str
    config: str
    sealed: bytes | None


def about(company: str) -> bytes:
    return f"integration:{company}".encode()


def prepare(call: Call[IntegrationBody], sealer: Sealer) -> Call[ReadyIntegration]:
    """Raises `resource.secret`, `resource.secret_like`."""
    body = call.body
    clear = body.secret_json if body.secret_json is not None else body.secret_text
    secret = sealed(clear, sealer, about(call.company))
    body.secret_json = body.secret_text = None
    config = {} if body.config_json is None else body.config_json
    text = json.dumps(config, separators=(",", ":"), ensure_ascii=False)
    texts = {"configJson": text, "name": body.name, "provider": body.provider}
    check(texts, allow=body.allow_secret_like, right="secretJson")
    made = ReadyIntegration(
        provider=redact_tokens(body.provider),
        name=redact_tokens(body.name),
        config=redact_tokens(text),
        sealed=secret if isinstance(secret, bytes) else None,
    )
    return ready(call, made)


def listed(rx: Rx, call: Call[None]) -> Reply:
    agent = agents.need(rx, call.company, call.id()).id
    rows = integrations.listed(rx, agent, limit=min(call.limit(), integrations.MAX_ACTIVE))
    return json_reply({"integrations": [shapes_sessions.integration(row) for row in rows]})


def create(tx: Tx, call: Call[ReadyIntegration]) -> Reply:
    agent = agents.need(tx, call.company, call.id()).id
    body = call.body
    row = integrations.create(
        tx, agent, provider=body.provider, name=body.name, config=body.config, sealed=body.sealed
    )
    shape = shapes_sessions.integration(row)
    return json_reply({"message": "Integration created", "integration": shape}, 201)


def archive(tx: Tx, call: Call[None]) -> Reply:
    """Raises `integration.missing`, `integration.unknown`."""
    agent = agents.need(tx, call.company, call.id()).id
    ref = call.query.get("integrationId", "").lower()
    if not is_uuid(ref):
        raise Invalid(
            "integration.missing",
            "no integration is named",
            "Give its id: `?integrationId=…`.",
            missingFields=["integrationId"],
        )
    row = integrations.archive(tx, agent, ref)
    shape = shapes_sessions.integration(row)
    return json_reply({"message": "Integration archived", "integration": shape})


def lease(tx: Tx, call: Call[LeaseBody | None]) -> Lent:
    agent = agents.need(tx, call.company, call.id()).id
    ask = ask_of(call.body or LeaseBody())
    return lending.lend_integration(tx, agent, call.id("iid"), ask)


def hand_over(lent: Lent, sealer: Sealer) -> Reply:
    """Raises `keys.unseal`: the lease stands, but this home cannot open the secret."""
    row = lent.row
    if not isinstance(row, integrations.Integration):
        raise AssertionError("an integration was lent")
    secret = opened(lent, sealer, about(row.company))
    return json_reply(
        {
            "integration": {
                "id": row.id,
                "provider": row.provider,
                "name": row.name,
                "ownership": row.ownership,
                "configJson": row.config,
            },
            "managed": row.ownership == integrations.MANAGED,
            "secretJson": secret_json(secret),
            "lease": shapes_resources.lease(lent.lease),
        }
    )


def _owner(call: Call[Any]) -> str | None:
    return call.path["id"]


def _caller(call: Call[Any]) -> str | None:
    """Who the body says is asking, else the agent of the path."""
    ref: str | None = call.body.agent_id if call.body is not None else None
    return ref or call.path["id"]


def _task(call: Call[Any]) -> str | None:
    ref: str | None = call.body.task_id if call.body is not None else None
    return ref


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/agents/{id}/integrations", listed, "An agent's integrations, without their secrets",
        query=("limit",), tags=_TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/integrations", "integration.create", create,
        "Give an agent an integration", body=IntegrationBody, prepare=prepare, keyed="required",
        acting=_owner, status=201, target="agent:{id}", tags=_TAGS,
    ),
    write_route(
        "DELETE", "/agents/{id}/integrations", "integration.delete", archive,
        "Archive an integration (`?integrationId=`)", acting=_owner, target="agent:{id}",
        query=("integrationId",), tags=_TAGS,
    ),
    write_route(
        "POST", "/agents/{id}/integrations/{iid}/lease", "integration.lease", lease,
        "Have the secret of an integration for a while",
        body=LeaseBody, finish=hand_over, keyed="ignored", acting=_caller, task=_task,
        target="integration:{iid}", tags=_TAGS,
    ),
)  # fmt: skip


def _frames(rx: Rx, company: str, event: Event) -> list[Frame]:
    """Both names: the one that the original's API sends, and the one that clients listen for."""
    shape = {
        "agentId": event.data.get("agent"),
        "integrationId": event.subject,
        "provider": event.data.get("provider"),
    }
    return [{"type": "agent_integrations_updated", **shape}, {"type": event.kind, **shape}]


FRAMES: FrameTable = {
    "agent_integration_created": _frames,
    "agent_integration_archived": _frames,
}
