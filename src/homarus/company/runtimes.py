"""Runtime nodes: the machines and processes in which a company's agents live (contract, 4.1)."""

import json
from typing import Any, Final

import msgspec

from homarus.base.errors import Invalid
from homarus.store.port import Rx, Tx

MAX_RUNTIME: Final = 200
MAX_NAME: Final = 200
MAX_CAPABILITIES: Final = 500

_COLUMNS: Final = (
    "id, company, runtime, name, hostname, gateway_version, capabilities, status, last_seen_ms, "
    "started_ms, created_ms, deleted_ms"
)


class RuntimeNode(msgspec.Struct, frozen=True, gc=False):
    """A row of `runtime_node`. `runtime` is the text by which the client knows itself."""

    id: str
    company: str
    runtime: str
    name: str
    hostname: str | None
    gateway_version: str | None
    capabilities: list[Any]
    status: str
    last_seen_ms: int
    started_ms: int | None
    created_ms: int
    deleted_ms: int | None


def by_runtime(rx: Rx, company: str, runtime: str) -> RuntimeNode | None:
    row = rx.one(
        f"select {_COLUMNS} from runtime_node "  # noqa: S608
        "where company=? and runtime=? and deleted_ms is null",
        (company, runtime),
    )
    if row is None:
        return None
    values = list(row)
    values[6] = json.loads(values[6])
    return RuntimeNode(*values)


def register(
    tx: Tx,
    runtime: str,
    name: str,
    *,
    hostname: str | None = None,
    gateway_version: str | None = None,
    capabilities: list[Any] | None = None,
    started_ms: int | None = None,
) -> RuntimeNode:
    """Insert or refresh the node of (company, runtime); a deleted one lives again.

    Raises `runtime.id`, `runtime.name`, `runtime.capabilities`.
    """
    if not 0 < len(runtime.strip()) <= MAX_RUNTIME:
        raise Invalid("runtime.id", "a runtime needs an id", f"1 to {MAX_RUNTIME} characters.")
    if not 0 < len(name.strip()) <= MAX_NAME:
        raise Invalid("runtime.name", "a runtime needs a name", f"1 to {MAX_NAME} characters.")
    if len(capabilities or []) > MAX_CAPABILITIES:
        raise Invalid(
            "runtime.capabilities", "too many capabilities", f"At most {MAX_CAPABILITIES}."
        )
    tx.run(
        "insert into runtime_node(id, company, runtime, name, hostname, gateway_version, "
        "capabilities, status, last_seen_ms, started_ms, created_ms) "
        "values(?,?,?,?,?,?,?,'active',?,?,?) on conflict(company, runtime) do update set "
        "name=excluded.name, hostname=excluded.hostname, "
        "gateway_version=excluded.gateway_version, capabilities=excluded.capabilities, "
        "status='active', last_seen_ms=excluded.last_seen_ms, started_ms=excluded.started_ms, "
        "deleted_ms=null",
        (
            tx.new_id(), tx.company, runtime, name, hostname, gateway_version,
            json.dumps(capabilities or []), tx.now_ms, started_ms, tx.now_ms,
        ),
    )  # fmt: skip
    node = by_runtime(tx, tx.company, runtime)
    if node is None:
        raise AssertionError("a node that was just written is gone")
    return node
