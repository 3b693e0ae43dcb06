"""Runtime integrations of an agent. Their secrets are sealed and never part of a row read here."""

import json
from typing import Any, Final

import msgspec

from homarus.store.port import Row, Rx

MAX_LISTED: Final = 500


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


def listed(rx: Rx, agent: str) -> list[Integration]:
    """The active ones, oldest first, at most 500."""
    rows = rx.all(
        "select id, company, agent, provider, name, ownership, config, status, last_used_ms, "
        "last_failure_ms, last_failure_reason, compat_mode, "
        "case when secret_sealed is null then 0 else 1 end, created_ms, updated_ms "
        "from agent_integration where agent=? and status='active' "
        "order by created_ms, id limit ?",
        (agent, MAX_LISTED),
    )
    return [_integration(row) for row in rows]


def _integration(row: Row) -> Integration:
    values = list(row)
    values[6] = json.loads(values[6])
    values[11], values[12] = bool(values[11]), bool(values[12])
    return Integration(*values)
