"""Pairing: who is not known on a channel gets a code, and an owner lets them in by it (gateway
contract, 10). Codes live an hour; three wait for an account at one time, more are not answered.
"""

from typing import Final

import msgspec

from homarus.base.errors import NotFound
from homarus.store.port import Row, Rx, Tx

LIFE_MS: Final = 3_600_000
MAX_PENDING: Final = 3
CODE_CHARS: Final = 8
ALPHABET: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without what is read for something else."""
MAX_LISTED: Final = 500

PENDING: Final = "pending"
APPROVED: Final = "approved"
DISMISSED: Final = "dismissed"

_COLUMNS: Final = (
    "id, company, channel, account, sender, name, target, code, state, created_ms, expires_ms"
)


class Pairing(msgspec.Struct, frozen=True):
    """A row. `target`: the chat that they wrote from. Times in Unix ms."""

    id: str
    company: str
    channel: str
    account: str
    sender: str
    name: str | None
    target: str
    code: str
    state: str
    created_ms: int
    expires_ms: int


def _pairing(row: Row) -> Pairing:
    return Pairing(*row)


def is_paired(rx: Rx, company: str, channel: str, account: str, sender: str) -> bool:
    return rx.one(
        "select 1 from channel_pairing where company=? and channel=? and account=? and sender=? "
        "and state='approved'",
        (company, channel, account, sender),
    ) is not None  # fmt: skip


def pending(
    rx: Rx, company: str, channel: str | None = None, account: str | None = None
) -> list[Pairing]:
    """Those that still wait, oldest first."""
    where, params = "company=? and state='pending' and expires_ms>?", [company, rx.now_ms]
    for column, value in (("channel", channel), ("account", account)):
        if value is not None:
            where += f" and {column}=?"
            params.append(value)
    rows = rx.all(
        f"select {_COLUMNS} from channel_pairing where {where} order by created_ms, id limit ?",  # noqa: S608
        (*params, MAX_LISTED),
    )
    return [_pairing(row) for row in rows]


def ask(
    tx: Tx, channel: str, account: str, sender: str, *, name: str | None, target: str
) -> Pairing | None:
    """A new request, or None: one waits already, or too many do. Emits `pairing_requested`."""
    waiting = pending(tx, tx.company, channel, account)
    if len(waiting) >= MAX_PENDING or any(row.sender == sender for row in waiting):
        return None
    code = "".join(ALPHABET[byte % len(ALPHABET)] for byte in tx.random(CODE_CHARS))
    row = Pairing(
        tx.new_id(), tx.company, channel, account, sender, name, target, code, PENDING, tx.now_ms,
        tx.now_ms + LIFE_MS,
    )  # fmt: skip
    tx.run(
        f"insert into channel_pairing({_COLUMNS}) values({','.join('?' * 11)})",
        (row.id, row.company, row.channel, row.account, row.sender, row.name, row.target, row.code,
         row.state, row.created_ms, row.expires_ms),
    )  # fmt: skip
    tx.emit("pairing_requested", row.id, {"channel": channel, "account": account})
    return row


def decide(tx: Tx, channel: str, ref: str, account: str | None, *, approve: bool) -> Pairing:
    """By the code that the person has, or the request's id. Raises `pairing.unknown`. Emits
    `pairing_approved`, `pairing_dismissed`."""
    wanted = ref.strip()
    rows = pending(tx, tx.company, channel.strip().lower(), account)
    found = [row for row in rows if wanted.upper() == row.code or wanted.lower() == row.id]
    if not found:
        raise NotFound(
            "pairing.unknown", f"no request with this code waits on {channel[:40]}",
            "Codes live an hour: `homarus pairing list`.",
        )  # fmt: skip
    row = found[0]
    state = APPROVED if approve else DISMISSED
    if approve and is_paired(tx, tx.company, channel, row.account, row.sender):
        state = DISMISSED
    tx.run(
        "update channel_pairing set state=?, decided_ms=?, decided_by=? where id=? "
        "and state='pending'",
        (state, tx.now_ms, tx.actor.key, row.id),
    )
    tx.emit(f"pairing_{state}", row.id, {"channel": channel, "account": row.account})
    return msgspec.structs.replace(row, state=state)
