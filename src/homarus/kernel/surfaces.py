"""What nodes offer, and what of it was approved (gateway contract, 11).

    declare -> the surface is within what was approved      nothing to ask
            -> it is not: a request                         approve | reject, or its time runs out

A node may be asked for what it declares now and what was approved: never for more than either, nor
for what `gateway.nodes.commands.deny` names.
"""

import json
from collections.abc import Collection
from typing import Final

import msgspec

from homarus.base.errors import Busy, Conflict, NotFound
from homarus.base.node_commands import COMMANDS
from homarus.store.port import Row, Rx, Tx

NEEDS_ADMIN: Final = "system."
"""Commands whose approval needs the scope of an administrator begin so."""
PAIRING_MS: Final = 86_400_000
"""How long a request can be answered; a node that connects again asks again."""
MAX_PENDING: Final = 200
MAX_NODES: Final = 1_000
MAX_NAME: Final = 128


class Surface(msgspec.Struct, frozen=True):
    """Sorted names; `permissions`: those that the machine's user granted it."""

    caps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ()

    def within(self, other: "Surface") -> bool:
        return (
            set(self.caps) <= set(other.caps)
            and set(self.commands) <= set(other.commands)
            and set(self.permissions) <= set(other.permissions)
        )

    def without(self, denied: Collection[str]) -> "Surface":
        """A capability that stands for a family of commands stays only with one of them."""
        commands = {name for name in self.commands if name not in denied}
        families = {name.partition(".")[0] for name in commands}
        return Surface(_sorted(set(self.caps) & families), _sorted(commands), self.permissions)

    def common(self, other: "Surface") -> "Surface":
        return Surface(
            caps=_sorted(set(self.caps) & set(other.caps)),
            commands=_sorted(set(self.commands) & set(other.commands)),
            permissions=_sorted(set(self.permissions) & set(other.permissions)),
        )


class Node(msgspec.Struct, frozen=True, gc=False):
    """`approved` None: nothing was yet. `connected_ms`: when it connected last."""

    company: str
    device: str
    declared: Surface
    approved: Surface | None
    version: str | None
    path_env: str | None
    connected_ms: int
    approved_ms: int | None
    approved_by: str | None

    def offers(self, denied: Collection[str]) -> Surface:
        """What it may be asked for."""
        if self.approved is None:
            return Surface()
        return self.declared.common(self.approved).without(denied)


class Request(msgspec.Struct, frozen=True, gc=False):
    """`state`: pending, approved, rejected; pending past `expires_ms` is over."""

    id: str
    company: str
    device: str
    surface: Surface
    state: str
    created_ms: int
    expires_ms: int
    decided_ms: int | None
    decided_by: str | None

    def open(self, now_ms: int) -> bool:
        return self.state == "pending" and now_ms < self.expires_ms


_NODE: Final = ", ".join(Node.__struct_fields__)
_REQUEST: Final = ", ".join(Request.__struct_fields__)


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def surface_of(
    caps: tuple[str, ...], commands: tuple[str, ...], permissions: dict[str, bool],
    denied: Collection[str],
) -> Surface:  # fmt: skip
    """What a node says of itself, without what none is approved for."""
    known = {name for name in commands if name in COMMANDS}
    return Surface(
        caps=_sorted({name[:MAX_NAME] for name in caps}),
        commands=_sorted(known),
        permissions=_sorted({name[:MAX_NAME] for name, has in permissions.items() if has}),
    ).without(denied)


def needs_admin(surface: Surface) -> bool:
    return any(name.startswith(NEEDS_ADMIN) for name in surface.commands)


def _surface(text: str) -> Surface:
    return msgspec.convert(json.loads(text), Surface)


def _text(surface: Surface) -> str:
    return json.dumps(msgspec.to_builtins(surface))


def _node(row: Row) -> Node:
    values = list(row)
    values[2] = _surface(values[2])
    values[3] = None if values[3] is None else _surface(values[3])
    return Node(*values)


def _request(row: Row) -> Request:
    values = list(row)
    values[3] = _surface(values[3])
    return Request(*values)


# -- reading -------------------------------------------------------------------------------


def by_id(rx: Rx, company: str, device: str) -> Node | None:
    row = rx.one(f"select {_NODE} from node where company=? and device=?", (company, device))  # noqa: S608
    return None if row is None else _node(row)


def need(rx: Rx, company: str, device: str) -> Node:
    """Raises `node.unknown`."""
    found = by_id(rx, company, device)
    if found is None:
        raise NotFound("node.unknown", f"no node {device[:80]!r}",
                       "See `homarus node list` (`node.list`).")  # fmt: skip
    return found


def listed(rx: Rx, company: str) -> list[Node]:
    """Those that connected last first, at most MAX_NODES."""
    rows = rx.all(
        f"select {_NODE} from node where company=? order by connected_ms desc, device limit ?",  # noqa: S608
        (company, MAX_NODES),
    )
    return [_node(row) for row in rows]


def pending(rx: Rx, company: str) -> list[Request]:
    """Those that can still be answered, oldest first."""
    rows = rx.all(
        f"select {_REQUEST} from node_pairing where company=? and state='pending' "  # noqa: S608
        "and expires_ms>? order by created_ms, id limit ?",
        (company, rx.now_ms, MAX_PENDING),
    )
    return [_request(row) for row in rows]


def request(rx: Rx, company: str, request: str) -> Request | None:
    row = rx.one(
        f"select {_REQUEST} from node_pairing where company=? and id=?",  # noqa: S608
        (company, request),
    )
    return None if row is None else _request(row)


def need_request(rx: Rx, company: str, id_: str) -> Request:
    """Raises `node.request_unknown`."""
    row = request(rx, company, id_)
    if row is None:
        raise NotFound("node.request_unknown", f"no request {id_[:80]!r}",
                       "`homarus node list` (`node.pair.list`) shows those that wait.")  # fmt: skip
    return row


def waiting(rx: Rx, company: str, device: str) -> Request | None:
    """The request of a node that is open, or was until its time ran out."""
    row = rx.one(
        f"select {_REQUEST} from node_pairing where company=? and device=? and state='pending'",  # noqa: S608
        (company, device),
    )
    return None if row is None else _request(row)


# -- writing -------------------------------------------------------------------------------


def declare(
    tx: Tx, device: str, surface: Surface, version: str | None, path_env: str | None
) -> Node:
    """What a node that connects offers; what goes beyond what was approved is asked for.

    Raises `node.many`. Emits `node_pair_requested` for a new request.
    """
    tx.run(
        "insert into node(company, device, declared, version, path_env, connected_ms) "
        "values(?,?,?,?,?,?) on conflict(company, device) do update set "
        "declared=excluded.declared, version=excluded.version, path_env=excluded.path_env, "
        "connected_ms=excluded.connected_ms",
        (tx.company, device, _text(surface), version, path_env, tx.now_ms),
    )
    node = need(tx, tx.company, device)
    open_ = waiting(tx, tx.company, device)
    if open_ is not None and open_.open(tx.now_ms) and open_.surface == surface:
        return node
    if open_ is not None:  # over, or about what is no longer offered
        tx.run("delete from node_pairing where id=?", (open_.id,))
    if not surface.within(node.approved or Surface()):
        _ask(tx, device, surface)
    return node


def _ask(tx: Tx, device: str, surface: Surface) -> None:
    if len(pending(tx, tx.company)) >= MAX_PENDING:
        raise Busy("node.many", f"{MAX_PENDING} nodes wait for an answer",
                   "Answer some first: `homarus node list` (`node.pair.list`).")  # fmt: skip
    id_ = tx.new_id()
    tx.run(
        "insert into node_pairing(id, company, device, surface, state, created_ms, expires_ms) "
        "values(?,?,?,?,'pending',?,?)",
        (id_, tx.company, device, _text(surface), tx.now_ms, tx.now_ms + PAIRING_MS),
    )
    tx.emit("node_pair_requested", id_, {"device": device})


def decide(tx: Tx, id_: str, *, approve: bool, denied: Collection[str] = ()) -> Request:
    """What is denied is not approved.

    Raises `node.request_unknown`, `node.request_over`. Emits `node_pair_resolved`.
    """
    row = need_request(tx, tx.company, id_)
    if not row.open(tx.now_ms):
        word = "expired" if row.state == "pending" else row.state
        raise Conflict("node.request_over", f"that request is {word}",
                       "The node asks again when it connects.")  # fmt: skip
    state = "approved" if approve else "rejected"
    tx.run(
        "update node_pairing set state=?, decided_ms=?, decided_by=? where id=?",
        (state, tx.now_ms, tx.actor.key, row.id),
    )
    if approve:
        tx.run(
            "update node set approved=?, approved_ms=?, approved_by=? where company=? and device=?",
            (_text(row.surface.without(denied)), tx.now_ms, tx.actor.key, tx.company, row.device),
        )
    tx.emit("node_pair_resolved", row.id, {"device": row.device, "decision": state})
    return need_request(tx, tx.company, row.id)


def forget(tx: Tx, device: str) -> None:
    """Nothing is approved of it any more. Emits `node_pair_resolved` where there was a node."""
    if by_id(tx, tx.company, device) is None:
        return
    for table in ("node", "node_pairing"):
        tx.run(f"delete from {table} where company=? and device=?", (tx.company, device))  # noqa: S608
    tx.emit("node_pair_resolved", tx.new_id(), {"device": device, "decision": "removed"})
