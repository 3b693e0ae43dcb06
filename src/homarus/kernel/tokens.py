"""Access tokens: minted once, kept as SHA-256, checked inside every unit (design, 5)."""

import hashlib
from typing import Final

import msgspec

from homarus.base.errors import Conflict, Invalid, NotFound
from homarus.kernel.capabilities import ROLES
from homarus.store.port import Rx, Tx

PREFIX: Final = {"runtime": "ec_", "agent": "ea_", "operator": "ho_", "service": "hs_"}
SECRET_BYTES: Final = 24
SCOPES: Final = ("mcp_full", "mcp_danger")
DEVICE: Final = "device"
"""Scope of a device's token: it counts only where the device proved that it has its key."""
DAY_MS: Final = 86_400_000
LIFETIME_MS: Final = {"mcp_full": 90 * DAY_MS, "mcp_danger": 30 * DAY_MS}
NEVER: Final = -1
MAX_NAME: Final = 200


class Token(msgspec.Struct, frozen=True):
    """A token's row, never its secret. Times in Unix ms; `company` "" means the instance.

    `last_used_ms` is coarse (`kernel/uses.py`), and None where the row was read for a judgement.
    """

    id: str
    company: str
    kind: str
    role: str | None
    scope: str
    agent: str | None
    name: str
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None = None

    def live(self, now_ms: int) -> bool:
        return self.revoked_ms is None and (self.expires_ms is None or now_ms < self.expires_ms)


_COLUMNS: Final = (
    "t.id, t.company, t.kind, t.role, t.scope, t.agent, t.name, t.created_ms, t.expires_ms, "
    "t.revoked_ms, t.last_used_ms"
)


def sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def by_secret(rx: Rx, secret: str) -> Token | None:
    """The token of a clear secret, live or not."""
    row = rx.one(f"select {_COLUMNS} from token t where t.sha256=?", (sha256(secret),))  # noqa: S608
    return None if row is None else Token(*row)


def by_id(rx: Rx, token: str) -> Token | None:
    row = rx.one(f"select {_COLUMNS} from token t where t.id=?", (token,))  # noqa: S608
    return None if row is None else Token(*row)


def of_person(rx: Rx, company: str, name: str) -> Token | None:
    """The one live token of an operator of that name, the company's or the instance's; None also
    where there are several. A device's is nobody's."""
    rows = rx.all(
        f"select {_COLUMNS} from token t where t.kind='operator' and t.scope<>? and t.name=? "  # noqa: S608
        "and t.company in (?, '') and t.revoked_ms is null limit 10",
        (DEVICE, name, company),
    )
    live = [token for token in (Token(*row) for row in rows) if token.live(rx.now_ms)]
    return live[0] if len(live) == 1 else None


def listed(rx: Rx, company: str, limit: int, kind: str = "") -> list[Token]:
    """Newest first, the revoked ones too. `kind` "": of every kind."""
    rows = rx.all(
        f"select {_COLUMNS} from token t where t.company=? and (?='' or t.kind=?) "  # noqa: S608
        "order by t.created_ms desc, t.id limit ?",
        (company, kind, kind, limit),
    )
    return [Token(*row) for row in rows]


def mint(
    tx: Tx,
    *,
    company: str,
    kind: str,
    name: str,
    scope: str = "mcp_full",
    role: str | None = None,
    agent: str | None = None,
    lifetime_ms: int | None = None,
    secret: str | None = None,
) -> tuple[Token, str]:
    """Store a new token; `(row, clear secret)`. The secret is shown by the caller once.

    `lifetime_ms` None: 90 days (`mcp_full`) or 30 days (`mcp_danger`); NEVER: no end.
    Raises `token.kind`, `token.scope`, `token.role`, `token.name`.
    """
    if kind not in PREFIX:
        raise Invalid("token.kind", f"unknown kind {kind!r}", f"Use one of {sorted(PREFIX)}.")
    if scope not in (*SCOPES, DEVICE):
        raise Invalid("token.scope", f"unknown scope {scope!r}", f"Use one of {list(SCOPES)}.")
    if (kind == "operator") != (role is not None) or (role is not None and role not in ROLES):
        raise Invalid("token.role", f"role {role!r} does not fit", f"Use one of {list(ROLES)}.")
    if not 0 < len(name) <= MAX_NAME:
        raise Invalid("token.name", "a token needs a name", f"At most {MAX_NAME} characters.")
    if (kind == "agent") != (agent is not None):
        raise Invalid("token.agent", "an agent token names its agent", "Give `agent`.")
    secret = secret or PREFIX[kind] + tx.random(SECRET_BYTES).hex()
    if lifetime_ms is None:
        lifetime_ms = LIFETIME_MS[scope]
    token = Token(
        id=tx.new_id(),
        company=company,
        kind=kind,
        role=role,
        scope=scope,
        agent=agent,
        name=name,
        created_ms=tx.now_ms,
        expires_ms=None if lifetime_ms == NEVER else tx.now_ms + lifetime_ms,
        revoked_ms=None,
    )
    tx.run(
        "insert into token(id, company, kind, role, scope, agent, name, sha256, created_ms, "
        "expires_ms) values(?,?,?,?,?,?,?,?,?,?)",
        (
            token.id, company, kind, role, scope, agent, name, sha256(secret),
            token.created_ms, token.expires_ms,
        ),
    )  # fmt: skip
    tx.emit("token_created", token.id, {"name": name, "kind": kind, "scope": scope})
    return token, secret


def revoke(tx: Tx, token: str) -> Token:
    """Raises `token.unknown`, `token.revoked`. Sockets of the token close on the event."""
    changed = tx.run(
        "update token set revoked_ms=? where id=? and company=? and revoked_ms is null",
        (tx.now_ms, token, tx.company),
    )
    row = by_id(tx, token)
    if row is None or row.company != tx.company:
        raise NotFound("token.unknown", f"no token {token}", "List them: `homarus token list`.")
    if not changed:
        raise Conflict("token.revoked", f"token {row.name} is revoked already", "Nothing to do.")
    tx.emit("token_revoked", token, {"name": row.name})
    return row


def grant(tx: Tx, token: str, agent: str, how: str) -> None:
    """Let a company token act for an agent. Idempotent."""
    tx.run(
        "insert into token_agent(token, agent, granted_ms, how) values(?,?,?,?) "
        "on conflict(token, agent) do nothing",
        (token, agent, tx.now_ms, how),
    )


def may_act_for(rx: Rx, token: str, agent: str) -> bool:
    return bool(rx.one("select 1 from token_agent where token=? and agent=?", (token, agent)))
