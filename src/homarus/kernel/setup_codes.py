"""Set-up codes: an owner's yes, given before the device that it is for is known (gateway contract,
2.5, 9).

    mint -> open -> redeem      a device that proves its key is paired, and the code is used up
                 -> revoke | its time runs out | whoever minted it has no token any more

A code holds a bootstrap token, of which only the hash is kept. It never hands out `operator.admin`
or `operator.pairing`: those take a person who looks at the device (`device.pair.approve`).
"""

import base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from homarus.base.errors import Busy, Conflict, Invalid, NotFound, Refused
from homarus.kernel import devices, tokens
from homarus.kernel.devices import NODE, OPERATOR, OWNER, Claim, Grant, Secret
from homarus.kernel.scopes import APPROVALS, QUESTIONS, READ, WRITE
from homarus.store.port import Row, Rx, Tx

LIFETIME_MS: Final = 600_000
KEPT_MS: Final = 604_800_000
"""How long after its end it can be asked what became of a code."""
MAX_OPEN: Final = 20
SECRET_BYTES: Final = 32
MAX_SECRET: Final = 128

LIMITED: Final = "limited"
_AS_OPERATOR: Final = (APPROVALS, QUESTIONS, READ, WRITE)
PROFILES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType({
    NODE: {NODE: ()},
    OPERATOR: {OPERATOR: _AS_OPERATOR},
    LIMITED: {NODE: (), OPERATOR: _AS_OPERATOR},
})  # fmt: skip
"""Profile -> role -> scopes that a device is granted. `limited`: both roles at once, as a telephone
has them."""

OPEN: Final = "open"
USED: Final = "used"
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"
NOT_GOOD: Final = "device.code_invalid"


class SetupCode(msgspec.Struct, frozen=True, gc=False):
    """`token`: id of the minter's; `device`, `device_name`: who was paired with it."""

    id: str
    company: str
    profile: str
    token: str
    minted_by: str
    created_ms: int
    expires_ms: int
    used_ms: int | None
    device: str | None
    device_name: str | None
    revoked_ms: int | None

    def state(self, now_ms: int) -> str:
        if self.used_ms is not None:
            return USED
        if self.revoked_ms is not None:
            return REVOKED
        return OPEN if now_ms < self.expires_ms else EXPIRED

    @property
    def grants(self) -> Mapping[str, tuple[str, ...]]:
        """Role -> scopes."""
        return PROFILES[self.profile]


_COLUMNS: Final = ", ".join(SetupCode.__struct_fields__)


def _code(row: Row | None) -> SetupCode | None:
    return None if row is None else SetupCode(*row)


def by_id(rx: Rx, company: str, code: str) -> SetupCode | None:
    return _code(
        rx.one(f"select {_COLUMNS} from setup_code where company=? and id=?", (company, code))  # noqa: S608
    )


def redeemable(rx: Rx, secret: str) -> SetupCode | None:
    """The open code of a bootstrap token whose minter still has theirs."""
    if len(secret) > MAX_SECRET:
        return None
    row = rx.one(f"select {_COLUMNS} from setup_code where sha256=?", (tokens.sha256(secret),))  # noqa: S608
    found = _code(row)
    return found if found is not None and _is_good(rx, found) else None


def _is_good(rx: Rx, code: SetupCode) -> bool:
    minter = tokens.by_id(rx, code.token)
    live = minter is not None and minter.live(rx.now_ms)
    return live and code.state(rx.now_ms) == OPEN


def mint(tx: Tx, profile: str) -> tuple[SetupCode, str]:
    """`(row, bootstrap token)`; the token is shown by the caller once.

    Raises `device.profile`, `device.codes_many`.
    """
    if profile not in PROFILES:
        raise Invalid("device.profile", f"no profile {profile[:40]!r}", f"One of {[*PROFILES]}.")
    tx.run("delete from setup_code where company=? and expires_ms<?",
           (tx.company, tx.now_ms - KEPT_MS))  # fmt: skip
    if _open_ones(tx) >= MAX_OPEN:
        raise Busy(
            "device.codes_many", f"{MAX_OPEN} set-up codes are open",
            "Wait until some are used or expire, or revoke them.",
        )  # fmt: skip
    secret = base64.urlsafe_b64encode(tx.random(SECRET_BYTES)).rstrip(b"=").decode()
    row = SetupCode(
        id=tx.new_id(), company=tx.company, profile=profile, token=tx.action.credential,
        minted_by=tx.actor.key, created_ms=tx.now_ms, expires_ms=tx.now_ms + LIFETIME_MS,
        used_ms=None, device=None, device_name=None, revoked_ms=None,
    )  # fmt: skip
    tx.run(
        f"insert into setup_code({_COLUMNS}, sha256) values({','.join('?' * 12)})",
        (*msgspec.structs.astuple(row), tokens.sha256(secret)),
    )
    tx.emit("setup_code_minted", row.id, {"profile": profile})
    return row, secret


def _open_ones(rx: Tx) -> int:
    row = rx.one(
        "select count(*) from setup_code where company=? and expires_ms>? and used_ms is null "
        "and revoked_ms is null",
        (rx.company, rx.now_ms),
    )
    return 0 if row is None else int(row[0])


def revoke(tx: Tx, id_: str) -> SetupCode:
    """Raises `device.code_unknown`, `device.code_over`."""
    row = by_id(tx, tx.company, id_)
    if row is None:
        raise NotFound("device.code_unknown", f"no set-up code {id_[:80]!r}",
                       "Its id was given when it was minted.")  # fmt: skip
    state = row.state(tx.now_ms)
    if state != OPEN:
        raise Conflict(
            "device.code_over", f"that code is {state}",
            "A device that came in by it is removed with `homarus device remove`.",
        )  # fmt: skip
    tx.run("update setup_code set revoked_ms=? where id=?", (tx.now_ms, row.id))
    tx.emit("setup_code_revoked", row.id, {})
    return msgspec.structs.replace(row, revoked_ms=tx.now_ms)


def redeem(tx: Tx, id_: str, claim: Claim, secrets: Mapping[str, Secret]) -> dict[str, Grant]:
    """Pair the device in all roles of the code, and use the code up: role -> grant with a token.
    `secrets`: one a role. Raises `device.code_invalid`, with which nothing is done."""
    row = by_id(tx, tx.company, id_)
    if row is None or not _is_good(tx, row) or claim.role not in row.grants:
        raise Refused(
            NOT_GOOD, "the set-up code is used, revoked or expired",
            "Have another one minted: `homarus device setup-code`.", rule="identity",
        )  # fmt: skip
    made = {
        role: devices.enroll(
            tx, msgspec.structs.replace(claim, role=role, scopes=allowed), secrets[role], OWNER
        )
        for role, allowed in row.grants.items()
    }
    tx.run(
        "update setup_code set used_ms=?, device=?, device_name=? where id=?",
        (tx.now_ms, claim.device, claim.name, row.id),
    )
    tx.emit("setup_code_used", row.id, {"device": claim.device})
    return made
