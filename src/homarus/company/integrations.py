"""Runtime integrations of an agent. Their secrets are sealed and never part of a row read here."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.store.port import Row, Rx, Tx

ACTIVE: Final = "active"
ARCHIVED: Final = "archived"
MANAGED: Final = "managed"
MAX_ACTIVE: Final = 500
"""Active integrations of one agent; so a list of them is whole."""
MAX_TEXT: Final = 300
MAX_CONFIG_CHARS: Final = 100_000

_COLUMNS: Final = (
    "id, company, agent, provider, name, ownership, config, status, last_used_ms, "
    "last_failure_ms, last_failure_reason, compat_mode, "
    "case when secret_sealed is null then 0 else 1 end, created_ms, updated_ms, secret_version"
)


class Integration(msgspec.Struct, frozen=True, gc=False):
    """A row of `agent_integration`; of its secret only whether there is one."""

    id: str
    company: str
    agent: str
    provider: str
    name: str
    ownership: str
    config: Any
    status: str
    last_used_ms: int | None
    last_failure_ms: int | None
    last_failure_reason: str | None
    compat_mode: bool
    secret_configured: bool
    created_ms: int
    updated_ms: int
    secret_version: int


def listed(rx: Rx, agent: str, *, limit: int = MAX_ACTIVE) -> list[Integration]:
    """The active ones, oldest first."""
    rows = rx.all(
        f"select {_COLUMNS} from agent_integration where agent=? and status='active' "  # noqa: S608
        "order by created_ms, id limit ?",
        (agent, limit),
    )
    return [_integration(row) for row in rows]


def by_id(rx: Rx, company: str, integration: str) -> Integration | None:
    """Archived ones too."""
    row = rx.one(
        f"select {_COLUMNS} from agent_integration where id=? and company=?",  # noqa: S608
        (integration, company),
    )
    return None if row is None else _integration(row)


def need(rx: Rx, company: str, agent: str, integration: str) -> Integration:
    """An active integration of this agent. Raises `integration.unknown`."""
    row = by_id(rx, company, integration)
    if row is None or row.agent != agent or row.status != ACTIVE:
        raise NotFound(
            "integration.unknown",
            f"this agent has no integration {integration[:80]!r}",
            "See GET /agents/{id}/integrations.",
        )
    return row


def _integration(row: Row) -> Integration:
    values = list(row)
    values[6] = json.loads(values[6])
    values[11], values[12] = bool(values[11]), bool(values[12])
    return Integration(*values)


def create(
    tx: Tx, agent: str, *, provider: str, name: str, config: str, sealed: bytes | None
) -> Integration:
    """An active integration, managed: its secret is kept here. `config` is JSON text.

    Raises `integration.provider`, `integration.name`, `integration.config`, `integration.many`.
    Emits `agent_integration_created`.
    """
    for field, text in (("provider", provider), ("name", name)):
        if not 0 < len(text.strip()) <= MAX_TEXT:
            raise Invalid(
                f"integration.{field}", f"unusable {field}", f"1 to {MAX_TEXT} characters."
            )
    if len(config) > MAX_CONFIG_CHARS:
        raise Invalid(
            "integration.config",
            "configJson is too long",
            f"At most {MAX_CONFIG_CHARS} characters.",
        )
    if len(listed(tx, agent)) >= MAX_ACTIVE:
        raise Conflict(
            "integration.many", f"this agent has {MAX_ACTIVE} integrations", "Archive some first."
        )
    integration = tx.new_id()
    tx.run(
        "insert into agent_integration(id, company, agent, provider, name, ownership, config, "
        "secret_sealed, status, created_ms, updated_ms, secret_version) "
        "values(?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            integration, tx.company, agent, provider, name, MANAGED, config, sealed, ACTIVE,
            tx.now_ms, tx.now_ms, int(sealed is not None),
        ),
    )  # fmt: skip
    tx.emit("agent_integration_created", integration, {"agent": agent, "provider": provider})
    return need(tx, tx.company, agent, integration)


def archive(tx: Tx, agent: str, integration: str) -> Integration:
    """Its secret is forgotten at once. Raises `integration.unknown`.

    Emits `agent_integration_archived`.
    """
    row = need(tx, tx.company, agent, integration)
    tx.run(
        "update agent_integration set status=?, secret_sealed=null, updated_ms=? where id=?",
        (ARCHIVED, tx.now_ms, integration),
    )
    data = {"agent": agent, "provider": row.provider}
    tx.emit("agent_integration_archived", integration, data)
    return msgspec.structs.replace(row, status=ARCHIVED, secret_configured=False)


def sealed(rx: Rx, integration: str) -> bytes | None:
    """The secret as it is kept, for whoever may open it."""
    row = rx.one("select secret_sealed from agent_integration where id=?", (integration,))
    return None if row is None or row[0] is None else bytes(row[0])


def used(tx: Tx, integration: str) -> None:
    tx.run("update agent_integration set last_used_ms=? where id=?", (tx.now_ms, integration))
