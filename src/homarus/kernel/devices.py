"""Devices, what they were granted, and their requests to be let in (gateway contract, 2.4 to 2.6).

    ask -> pending -> approve | reject, or its time runs out
    let_in                       the token of a grant, made when the device first connects with it

A token's secret is not kept: it is derived from the master key and the grant's nonce by the shell,
which is why the same one can be handed out again until it is rotated or revoked.
"""

import json
from typing import Final

import msgspec

from homarus.base.errors import Busy, Conflict, NotFound, Refused
from homarus.kernel import scopes, surfaces, tokens
from homarus.kernel.tokens import Token
from homarus.store.port import Row, Rx, Tx

OPERATOR: Final = "operator"
NODE: Final = "node"
ROLES: Final = (OPERATOR, NODE)
PAIRING_MS: Final = 300_000
"""How long a request can be answered (gateway contract, 2.6)."""
MAX_PENDING: Final = 200
MAX_DEVICES: Final = 1_000
MAX_LABEL: Final = 64
SILENT: Final = "silent"
OWNER: Final = "owner"


class Claim(msgspec.Struct, frozen=True):
    """What a device says of itself, its signature checked. `scopes` as asked for."""

    device: str
    public_key: str
    role: str
    scopes: tuple[str, ...]
    client_id: str
    client_mode: str
    name: str | None = None
    platform: str | None = None
    family: str | None = None
    remote_ip: str | None = None


class Device(msgspec.Struct, frozen=True, gc=False):
    company: str
    id: str
    public_key: str
    name: str | None
    label: str | None
    platform: str | None
    family: str | None
    client_id: str
    client_mode: str
    remote_ip: str | None
    approved_via: str
    created_ms: int
    approved_ms: int


class Grant(msgspec.Struct, frozen=True, gc=False):
    """`token`: id of its row; None until the device connects with it."""

    company: str
    device: str
    role: str
    scopes: tuple[str, ...]
    token: str | None
    nonce: str | None
    created_ms: int
    rotated_ms: int | None
    revoked_ms: int | None


class Pairing(msgspec.Struct, frozen=True, gc=False):
    """A request. `state`: pending, approved, rejected; pending past `expires_ms` is over."""

    id: str
    company: str
    device: str
    public_key: str
    name: str | None
    platform: str | None
    family: str | None
    client_id: str
    client_mode: str
    role: str
    scopes: tuple[str, ...]
    reason: str
    remote_ip: str | None
    state: str
    created_ms: int
    expires_ms: int
    decided_ms: int | None
    decided_by: str | None


class Secret(msgspec.Struct, frozen=True):
    """A secret for a token that may be needed: what it is derived from, and itself."""

    nonce: str
    clear: str


_DEVICE: Final = ", ".join(Device.__struct_fields__)
_GRANT: Final = ", ".join(Grant.__struct_fields__)
_PAIRING: Final = ", ".join(Pairing.__struct_fields__)


def _grant(row: Row) -> Grant:
    values = list(row)
    values[3] = tuple(json.loads(values[3]))
    return Grant(*values)


def _pairing(row: Row) -> Pairing:
    values = list(row)
    values[10] = tuple(json.loads(values[10]))
    return Pairing(*values)


# -- reading -------------------------------------------------------------------------------


def by_id(rx: Rx, company: str, device: str) -> Device | None:
    row = rx.one(f"select {_DEVICE} from device where company=? and id=?", (company, device))  # noqa: S608
    return None if row is None else Device(*row)


def need(rx: Rx, company: str, device: str) -> Device:
    """Raises `device.unknown`."""
    found = by_id(rx, company, device)
    if found is None:
        raise NotFound("device.unknown", f"no device {device[:80]!r} is paired",
                       "See `homarus device list` (`device.pair.list`).")  # fmt: skip
    return found


def listed(rx: Rx, company: str) -> list[Device]:
    """Newest first, at most MAX_DEVICES."""
    rows = rx.all(
        f"select {_DEVICE} from device where company=? order by approved_ms desc, id limit ?",  # noqa: S608
        (company, MAX_DEVICES),
    )
    return [Device(*row) for row in rows]


def grants_of(rx: Rx, company: str, device: str) -> list[Grant]:
    rows = rx.all(
        f"select {_GRANT} from device_grant where company=? and device=? order by role",  # noqa: S608
        (company, device),
    )
    return [_grant(row) for row in rows]


def grant(rx: Rx, company: str, device: str, role: str) -> Grant | None:
    """One that is not revoked."""
    row = rx.one(
        f"select {_GRANT} from device_grant where company=? and device=? and role=? "  # noqa: S608
        "and revoked_ms is null",
        (company, device, role),
    )
    return None if row is None else _grant(row)


def grant_of_token(rx: Rx, token: str) -> Grant | None:
    row = rx.one(f"select {_GRANT} from device_grant where token=?", (token,))  # noqa: S608
    return None if row is None else _grant(row)


def pending(rx: Rx, company: str) -> list[Pairing]:
    """Those that can still be answered, oldest first."""
    rows = rx.all(
        f"select {_PAIRING} from device_pairing where company=? and state='pending' "  # noqa: S608
        "and expires_ms>? order by created_ms, id limit ?",
        (company, rx.now_ms, MAX_PENDING),
    )
    return [_pairing(row) for row in rows]


def request(rx: Rx, company: str, request: str) -> Pairing | None:
    row = rx.one(
        f"select {_PAIRING} from device_pairing where company=? and id=?",  # noqa: S608
        (company, request),
    )
    return None if row is None else _pairing(row)


def _open(rx: Rx, company: str, device: str) -> Pairing | None:
    row = rx.one(
        f"select {_PAIRING} from device_pairing where company=? and device=? "  # noqa: S608
        "and state='pending'",
        (company, device),
    )
    return None if row is None else _pairing(row)


# -- a device asks -------------------------------------------------------------------------


def ask(tx: Tx, claim: Claim, reason: str) -> Pairing:
    """The one open request of this device; a repeated one says what it wants now.

    Raises `device.many`. Emits `device_pair_requested` for a new one.
    """
    known = _open(tx, tx.company, claim.device)
    if known is not None and known.expires_ms > tx.now_ms:
        if (known.role, known.scopes, known.reason) == (claim.role, claim.scopes, reason):
            return known
        tx.run(
            "update device_pairing set role=?, scopes=?, reason=?, platform=?, family=?, name=?, "
            "remote_ip=? where id=?",
            (claim.role, json.dumps(claim.scopes), reason, claim.platform, claim.family,
             claim.name, claim.remote_ip, known.id),
        )  # fmt: skip
        tx.emit("device_pair_requested", known.id, {"device": claim.device})
        return _again(tx, known.id)
    if known is not None:
        tx.run("delete from device_pairing where id=?", (known.id,))
    if len(pending(tx, tx.company)) >= MAX_PENDING:
        raise Busy("device.many", f"{MAX_PENDING} devices wait to be let in",
                   "Answer some first, or wait until they expire.")  # fmt: skip
    row = Pairing(
        id=tx.new_id(), company=tx.company, device=claim.device, public_key=claim.public_key,
        name=claim.name, platform=claim.platform, family=claim.family, client_id=claim.client_id,
        client_mode=claim.client_mode, role=claim.role, scopes=claim.scopes, reason=reason,
        remote_ip=claim.remote_ip, state="pending", created_ms=tx.now_ms,
        expires_ms=tx.now_ms + PAIRING_MS, decided_ms=None, decided_by=None,
    )  # fmt: skip
    values = msgspec.structs.replace(row, scopes=json.dumps(claim.scopes))
    tx.run(
        f"insert into device_pairing({_PAIRING}) values({','.join('?' * 18)})",
        msgspec.structs.astuple(values),
    )
    tx.emit("device_pair_requested", row.id, {"device": claim.device})
    return row


def _again(tx: Tx, id_: str) -> Pairing:
    row = request(tx, tx.company, id_)
    if row is None:
        raise AssertionError(f"request {id_} is gone")
    return row


def decide(tx: Tx, id_: str, *, approve: bool) -> Pairing:
    """Raises `device.request_unknown`, `device.request_over`. Emits `device_pair_resolved`."""
    row = request(tx, tx.company, id_)
    if row is None:
        raise NotFound(
            "device.request_unknown", f"no request {id_[:80]!r}",
            "`homarus device list` (`device.pair.list`) shows those that wait.",
        )  # fmt: skip
    if row.state != "pending" or row.expires_ms <= tx.now_ms:
        raise Conflict("device.request_over", f"that request is {_word(row)}",
                       "The device asks again when it connects.")  # fmt: skip
    state = "approved" if approve else "rejected"
    tx.run(
        "update device_pairing set state=?, decided_ms=?, decided_by=? where id=?",
        (state, tx.now_ms, tx.actor.key, row.id),
    )
    if approve:
        claim = Claim(
            device=row.device, public_key=row.public_key, role=row.role, scopes=row.scopes,
            client_id=row.client_id, client_mode=row.client_mode, name=row.name,
            platform=row.platform, family=row.family, remote_ip=row.remote_ip,
        )  # fmt: skip
        _keep(tx, claim, OWNER)
        _allow(tx, claim)
    tx.emit("device_pair_resolved", row.id, {"device": row.device, "decision": state})
    return _again(tx, row.id)


def _word(row: Pairing) -> str:
    return "expired" if row.state == "pending" else row.state


# -- grants --------------------------------------------------------------------------------


def let_in(tx: Tx, claim: Claim, secret: Secret, *, silent: bool) -> Grant:
    """The grant with which a device connects now, with a token. `silent`: what it asks for is
    granted on the spot, where its asker may grant that (design, 5: loopback spares the approval).

    Raises `device.not_granted`. Emits `device_paired` when something became wider.
    """
    if silent:
        _check_asker(tx, claim)
        return enroll(tx, claim, secret, SILENT)
    held = grant(tx, tx.company, claim.device, claim.role)
    if held is None:
        raise Refused("device.not_granted", "the device is not paired in this role",
                      "Connect again: it then asks to be let in.", rule="identity")  # fmt: skip
    return _with_token(tx, held, secret)


def enroll(tx: Tx, claim: Claim, secret: Secret, via: str) -> Grant:
    """Grant a device what it claims, with a token. Whether it may have that is decided before."""
    _keep(tx, claim, via)
    return _with_token(tx, _allow(tx, claim), secret)


def _with_token(tx: Tx, held: Grant, secret: Secret) -> Grant:
    if held.token is not None and _live(tx, held.token):
        return held
    return _mint(tx, held, secret)


def _check_asker(tx: Tx, claim: Claim) -> None:
    """Nobody grants more than it has."""
    actor = tx.actor
    mine = scopes.held(actor.kind, actor.role)
    is_node = claim.role == NODE and scopes.WRITE in mine
    if not is_node and (claim.role == NODE or not mine or not set(claim.scopes) <= mine):
        raise Refused(
            "device.wider", "the device asks for more than its access token may",
            "Connect with an owner's token, or ask for less.", rule="identity",
        )  # fmt: skip


def _live(rx: Rx, token: str) -> bool:
    row = tokens.by_id(rx, token)
    return row is not None and row.live(rx.now_ms)


def _keep(tx: Tx, claim: Claim, via: str) -> None:
    tx.run(
        "insert into device(company, id, public_key, name, label, platform, family, client_id, "
        "client_mode, remote_ip, approved_via, created_ms, approved_ms) "
        "values(?,?,?,?,null,?,?,?,?,?,?,?,?) on conflict(company, id) do update set "
        "name=coalesce(excluded.name, device.name), platform=excluded.platform, "
        "family=excluded.family, client_id=excluded.client_id, "
        "client_mode=excluded.client_mode, remote_ip=excluded.remote_ip, "
        "approved_via=excluded.approved_via, approved_ms=excluded.approved_ms",
        (tx.company, claim.device, claim.public_key, claim.name, claim.platform, claim.family,
         claim.client_id, claim.client_mode, claim.remote_ip, via, tx.now_ms, tx.now_ms),
    )  # fmt: skip


def _allow(tx: Tx, claim: Claim) -> Grant:
    """What was granted before, and what is asked for now; a wider grant ends the old token."""
    before = grant(tx, tx.company, claim.device, claim.role)
    old = () if before is None else before.scopes
    wide = tuple(sorted({*old, *claim.scopes}))
    if before is not None and scopes.closure(old) >= scopes.closure(wide):
        return before
    if before is not None and before.token is not None:
        _end(tx, before.token)
    tx.run(
        "insert into device_grant(company, device, role, scopes, created_ms) values(?,?,?,?,?) "
        "on conflict(company, device, role) do update set scopes=excluded.scopes, token=null, "
        "nonce=null, rotated_ms=excluded.created_ms, revoked_ms=null",
        (tx.company, claim.device, claim.role, json.dumps(wide), tx.now_ms),
    )
    tx.emit("device_paired", tx.new_id(), {"device": claim.device, "role": claim.role})
    made = grant(tx, tx.company, claim.device, claim.role)
    if made is None:
        raise AssertionError("a grant is gone")
    return made


def _mint(tx: Tx, held: Grant, secret: Secret) -> Grant:
    operator = held.role == OPERATOR
    token, _ = tokens.mint(
        tx, company=tx.company, kind="operator" if operator else "runtime",
        name=f"device {held.device[:12]}", scope=tokens.DEVICE,
        role=scopes.role_for(held.scopes) if operator else None, lifetime_ms=tokens.NEVER,
        secret=secret.clear,
    )  # fmt: skip
    tx.run(
        "update device_grant set token=?, nonce=?, rotated_ms=? "
        "where company=? and device=? and role=?",
        (token.id, secret.nonce, tx.now_ms if held.nonce else held.rotated_ms, tx.company,
         held.device, held.role),
    )  # fmt: skip
    return msgspec.structs.replace(held, token=token.id, nonce=secret.nonce)


def _end(tx: Tx, token: str) -> None:
    row: Token | None = tokens.by_id(tx, token)
    if row is not None and row.revoked_ms is None:
        tokens.revoke(tx, token)


def rotate(tx: Tx, device: str, role: str, wanted: tuple[str, ...] | None, secret: Secret) -> Grant:
    """Another token for a grant, with fewer scopes where `wanted` says so.

    Raises `device.unknown`, `device.role`, `device.scopes`.
    """
    held = _held(tx, device, role)
    if wanted is not None and not scopes.closure(wanted) <= scopes.closure(held.scopes):
        raise Conflict("device.scopes", "the device was not granted all of these scopes",
                       "Let it ask for them when it connects.")  # fmt: skip
    if held.token is not None:
        _end(tx, held.token)
    if wanted is not None:
        held = msgspec.structs.replace(held, scopes=tuple(sorted(set(wanted))))
        tx.run(
            "update device_grant set scopes=? where company=? and device=? and role=?",
            (json.dumps(held.scopes), tx.company, device, role),
        )
    made = _mint(tx, msgspec.structs.replace(held, nonce=held.nonce or "-"), secret)
    return msgspec.structs.replace(made, rotated_ms=tx.now_ms)


def revoke(tx: Tx, device: str, role: str) -> int:
    """End a grant; when, in Unix ms. A node's surface has to be approved anew.
    Raises `device.unknown`, `device.role`."""
    held = _held(tx, device, role)
    if held.token is not None:
        _end(tx, held.token)
    tx.run(
        "update device_grant set revoked_ms=? where company=? and device=? and role=?",
        (tx.now_ms, tx.company, device, role),
    )
    if role == NODE:
        surfaces.forget(tx, device)
    tx.emit("device_changed", tx.new_id(), {"device": device, "role": role})
    return tx.now_ms


def _held(tx: Tx, device: str, role: str) -> Grant:
    need(tx, tx.company, device)
    held = grant(tx, tx.company, device, role)
    if held is None:
        raise NotFound("device.role", f"the device has no live grant as {role[:40]!r}",
                       "`homarus device list` (`device.pair.list`) shows its grants.")  # fmt: skip
    return held


def remove(tx: Tx, device: str) -> Device:
    """Forget a device; its tokens end. Raises `device.unknown`."""
    row = need(tx, tx.company, device)
    for held in grants_of(tx, tx.company, device):
        if held.token is not None:
            _end(tx, held.token)
    surfaces.forget(tx, device)
    tx.run("delete from device_grant where company=? and device=?", (tx.company, device))
    tx.run("delete from device where company=? and id=?", (tx.company, device))
    tx.emit("device_removed", tx.new_id(), {"device": device})
    return row


def rename(tx: Tx, device: str, label: str) -> Device:
    """Raises `device.unknown`."""
    need(tx, tx.company, device)
    tx.run(
        "update device set label=? where company=? and id=?",
        (label.strip()[:MAX_LABEL] or None, tx.company, device),
    )
    tx.emit("device_changed", tx.new_id(), {"device": device})
    return need(tx, tx.company, device)
