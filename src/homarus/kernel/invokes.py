"""What nodes are asked to do (gateway contract, 11): intent as a row, then act, then outcome.

    begin -> sent -> done | failed      the node answered
                  -> unknown            it did not in time, it went away, or the daemon ended

A key of the same caller names one invoke: repeated, it answers what became of that.
"""

import hashlib
import json
from typing import Any, Final

import msgspec

from homarus.base.action import Effect, Outcome
from homarus.base.canonical import canonical
from homarus.base.errors import Busy, Conflict, Invalid, Refused, Unavailable
from homarus.kernel import approval_queries, approvals, receipts, surfaces
from homarus.kernel.approval_rows import Approval, Status
from homarus.store.port import Row, Rx, Tx

CAPABILITY: Final = "node.invoke"
EXEC_COMMAND: Final = "exec.command"
"""What approvals of commands on nodes are about."""
MAX_OPEN: Final = 200
MAX_KEY: Final = 256
MAX_WHAT: Final = 500
MAX_REPLY: Final = 262_144
"""Characters of a reply that are kept; a larger one reaches its caller alone."""
GRACE_MS: Final = 60_000
"""So long after its time an invoke that no daemon settled is settled by any of them."""
SENT, DONE, FAILED, UNKNOWN = "sent", "done", "failed", "unknown"


class Invoke(msgspec.Struct, frozen=True, gc=False):
    """`until_ms`: when nobody waits for it any more; `reply`: what the node said, as
    `{payload}` or `{error}`."""

    id: str
    company: str
    device: str
    command: str
    what: str
    digest: bytes
    credential: str
    key: str
    boot: str
    state: str
    reason: str | None
    reply: dict[str, Any] | None
    receipt_seq: int
    created_ms: int
    until_ms: int
    ended_ms: int | None


class New(msgspec.Struct, frozen=True):
    """`connected`: the node is here now; `approval`: id of the one that the caller names for it;
    `argv`, `cwd`, `env`, `plan`: of a command to run, as approvals bind to them; `denied`: commands
    that no node is asked for."""

    device: str
    command: str
    digest: bytes
    key: str
    boot: str
    timeout_ms: int
    connected: bool
    what: str = ""
    argv: tuple[str, ...] = ()
    cwd: str | None = None
    env: dict[str, Any] = msgspec.field(default_factory=dict)
    plan: dict[str, Any] | None = None
    denied: tuple[str, ...] = ()
    approval: str | None = None


class Begun(msgspec.Struct, frozen=True):
    """`fresh`: it has to be sent now; else it was asked for before."""

    invoke: Invoke
    fresh: bool


_FIELDS: Final = ", ".join(Invoke.__struct_fields__)


def _invoke(row: Row) -> Invoke:
    values = list(row)
    values[5] = bytes(values[5])
    values[11] = None if values[11] is None else json.loads(values[11])
    return Invoke(*values)


def by_id(rx: Rx, company: str, invoke: str) -> Invoke | None:
    row = rx.one(
        f"select {_FIELDS} from node_invoke where company=? and id=?",  # noqa: S608
        (company, invoke),
    )
    return None if row is None else _invoke(row)


def _of_key(rx: Rx, company: str, credential: str, key: str) -> Invoke | None:
    row = rx.one(
        f"select {_FIELDS} from node_invoke where company=? and credential=? and key=?",  # noqa: S608
        (company, credential, key),
    )
    return None if row is None else _invoke(row)


def digest_of(device: str, command: str, params: Any) -> bytes:
    about = {"node": device, "command": command, "params": params}
    return hashlib.sha256(canonical(about)).digest()


def payload_of(
    device: str, argv: tuple[str, ...], cwd: str | None, env: dict[str, Any],
    plan: dict[str, Any] | None,
) -> bytes:  # fmt: skip
    """What an approval of one command on one node binds to."""
    about = {"node": device, "argv": list(argv), "cwd": cwd, "env": env, "plan": plan}
    return hashlib.sha256(canonical(about)).digest()


# -- the intent ------------------------------------------------------------------------------


def begin(tx: Tx, new: New) -> Begun:
    """The intent, of what the node offers and was approved for.

    Raises `node.unknown|unapproved|command|offline|approval|key|key_reused|many`. Emits
    `node_invoke_requested`.
    """
    if not 0 < len(new.key) <= MAX_KEY:
        raise Invalid("node.key", "no idempotency key", f"1 to {MAX_KEY} characters.")
    known = _of_key(tx, tx.company, tx.action.credential, new.key)
    if known is not None:
        if known.digest != new.digest:
            raise Conflict("node.key_reused", "that idempotency key was used for something else",
                           "Use a new one.")  # fmt: skip
        return Begun(known, fresh=False)
    _check(tx, new)
    if new.approval is not None:
        approvals.use(tx, _approved(tx, new.approval, new).id)
    id_ = tx.new_id()
    tx.run(
        "insert into node_invoke(id, company, device, command, what, digest, credential, key, "
        "boot, state, receipt_seq, created_ms, until_ms) values(?,?,?,?,?,?,?,?,?,'sent',?,?,?)",
        (
            id_, tx.company, new.device, new.command, new.what[:MAX_WHAT], new.digest,
            tx.action.credential, new.key, new.boot, tx.head.receipt_seq + 1, tx.now_ms,
            tx.now_ms + new.timeout_ms,
        ),
    )  # fmt: skip
    tx.emit("node_invoke_requested", id_, {"device": new.device, "command": new.command})
    return Begun(_need(tx, id_), fresh=True)


def _check(tx: Tx, new: New) -> None:
    node = surfaces.need(tx, tx.company, new.device)
    if node.approved is None:
        raise Unavailable(
            "node.unapproved", "nothing that the node offers is approved",
            "An owner approves it: `homarus node list` shows the request, "
            "`homarus node approve REQUEST` says yes (`node.pair.approve`).",
        )  # fmt: skip
    may = node.offers(new.denied).commands
    if new.command not in may:
        raise Invalid(
            "node.command", f"node command not allowed: {new.command[:80]!r}",
            f"It may be asked for {', '.join(may) or 'nothing'}.",
            reason="command not allowlisted", command=new.command[:80],
        )  # fmt: skip
    if not new.connected:
        raise Unavailable("node.offline", "node not connected", "Start it, then try again.")
    count = tx.one(
        "select count(*) from node_invoke where company=? and state='sent'", (tx.company,)
    )
    if count is not None and count[0] >= MAX_OPEN:
        raise Busy("node.many", f"{MAX_OPEN} invokes wait for nodes", "Try again later.")


def _approved(tx: Tx, ref: str, new: New) -> Approval:
    row = approval_queries.find(tx, tx.company, ref)
    fits = (
        row is not None
        and (row.capability, row.target) == (EXEC_COMMAND, f"node:{new.device}")
        and row.payload == payload_of(new.device, new.argv, new.cwd, new.env, new.plan)
    )
    if row is None or not fits:
        raise Refused(
            "node.approval", "no approval of exactly this command on this node",
            "Ask for one with the node, its argv, folder and plan: "
            "`homarus gateway call exec.approval.request`.", rule="approval",
        )  # fmt: skip
    if row.open(tx.now_ms):
        raise Refused(
            "node.approval", f"{row.number} waits for an answer",
            "An owner or approver other than who asked for it gives one: "
            f"`homarus approval approve {row.number}`. Then invoke again.", rule="approval",
        )  # fmt: skip
    if row.status is not Status.APPROVED or tx.now_ms >= row.expires_ms:
        over = row.status in (Status.PENDING, Status.APPROVED)
        raise Refused(
            "node.approval", f"{row.number} is {'over' if over else row.status.value}",
            "Ask anew with the node, its argv, folder and plan: "
            "`homarus gateway call exec.approval.request`.", rule="approval",
        )  # fmt: skip
    return row


def _need(tx: Tx, id_: str) -> Invoke:
    row = by_id(tx, tx.company, id_)
    if row is None:
        raise AssertionError(f"invoke {id_} is gone")
    return row


# -- the outcome -----------------------------------------------------------------------------


def answer(tx: Tx, device: str, id_: str, ok: bool, said: dict[str, Any]) -> Invoke | None:
    """What the node answered; None: it is not (or no longer) this node's to answer.

    `said`: `{payload}` or `{error: {code, message}}`.
    """
    row = by_id(tx, tx.company, id_)
    if row is None or row.device != device or row.state != SENT:
        return None
    text = json.dumps(said)
    error = said.get("error") or {}
    reason = None if ok else refusal(str(error.get("code")), str(error.get("message")))
    return _end(tx, row, DONE if ok else FAILED, reason, text if len(text) <= MAX_REPLY else None)


def refusal(code: str, message: str) -> str:
    """What a node says went wrong; some begin their messages with the code."""
    return message if message.startswith(f"{code}:") else f"{code}: {message}"


def settle(tx: Tx, id_: str, reason: str) -> Invoke | None:
    """Nobody knows what became of it, unless it was answered before: its row as it is then; None:
    there is none."""
    row = by_id(tx, tx.company, id_)
    if row is None or row.state != SENT:
        return row
    return _end(tx, row, UNKNOWN, reason, None)


_OUTCOMES: Final = {DONE: Outcome.DONE, FAILED: Outcome.FAILED, UNKNOWN: Outcome.UNKNOWN}


def _end(tx: Tx, row: Invoke, state: str, reason: str | None, reply: str | None) -> Invoke:
    tx.run(
        "update node_invoke set state=?, reason=?, reply=?, ended_ms=? where id=?",
        (state, None if reason is None else reason[:MAX_WHAT], reply, tx.now_ms, row.id),
    )
    receipts.write_outcome(
        tx, row.receipt_seq, tx.actor, CAPABILITY, f"node:{row.device}", _OUTCOMES[state],
        effect=Effect.EXEC, reason=None if reason is None else reason[:MAX_WHAT],
    )  # fmt: skip
    tx.emit("node_invoke_ended", row.id, {"device": row.device, "state": state})
    return _need(tx, row.id)


def lost(rx: Rx, boot: str, alone: bool, limit: int) -> list[tuple[str, str]]:
    """`(company, invoke)` that no daemon will settle. `alone`: no other one works on this store."""
    rows = rx.all(
        "select company, id from node_invoke where state='sent' "
        "and (until_ms<? or (?=1 and boot<>?)) order by until_ms limit ?",
        (rx.now_ms - GRACE_MS, int(alone), boot, limit),
    )
    return [(row[0], row[1]) for row in rows]
