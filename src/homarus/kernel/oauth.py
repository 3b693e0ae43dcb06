"""Programs that ask a person for a company token (OAuth 2.1), as units of work.

    register   a program says who it is                          anybody, bounded
    authorize  an owner says yes: a one-time code                a person in the dashboard
    exchange   the code and its proof become a company token     whoever holds both, once

A code is kept as a hash. Tried once, rightly or wrongly, it is spent; tried again, the token that
it was exchanged for is revoked (RFC 6749, 4.1.2). An exchange that fails is an answer, not an
exception: what it spends or revokes must commit.
"""

import json
from typing import Final

import msgspec

from homarus.base.errors import Busy, Invalid
from homarus.kernel import oauth_rules as rules
from homarus.kernel import tokens
from homarus.kernel.capabilities import BUILTIN, role_reaches
from homarus.kernel.oauth_rules import Ask, NewClient
from homarus.kernel.tokens import DAY_MS, Token, sha256
from homarus.store.port import Rx, Tx

CLIENT_PREFIX: Final = "oc_"
CODE_PREFIX: Final = "oac_"
CODE_BYTES: Final = 32
CODE_MS: Final = 600_000
KEPT_MS: Final = DAY_MS
"""How long a code's hash outlives it, so that a replay is noticed."""
HOUR_MS: Final = 3_600_000
MAX_PER_HOUR: Final = 30
"""Registrations of all programs together."""
MAX_CLIENTS: Final = 1_000
UNUSED_MS: Final = DAY_MS
"""A program that nobody said yes to is forgotten after this."""
IDLE_MS: Final = 180 * DAY_MS
"""So is one that was last said yes to before this: its tokens have ended."""
MAX_CODES: Final = 100
"""Codes of a company that wait for their exchange."""
SWEEP_ROWS: Final = 200
GRANT: Final = "oauth.authorize"


class Client(msgspec.Struct, frozen=True):
    """A registered program. `name` and `uri` are its own words, checked by nobody."""

    id: str
    name: str
    uri: str | None
    redirects: tuple[str, ...]
    created_ms: int
    granted_ms: int | None


class Exchange(msgspec.Struct, frozen=True):
    """A token request (RFC 6749, 4.1.3)."""

    code: str
    client: str
    redirect: str
    verifier: str
    resource: str | None = None


def client(rx: Rx, id: str) -> Client | None:
    row = rx.one(
        "select id, name, uri, redirects, created_ms, granted_ms from oauth_client where id=?",
        (id,),
    )
    if row is None:
        return None
    ref, name, uri, redirects, created_ms, granted_ms = row
    return Client(ref, name, uri, tuple(json.loads(redirects)), created_ms, granted_ms)


def has_room(rx: Rx) -> bool:
    """Whether one more program may register now."""
    row = rx.one(
        "select (select count(*) from oauth_client where created_ms>?), "
        "(select count(*) from oauth_client where coalesce(granted_ms, created_ms)>?)",
        (rx.now_ms - HOUR_MS, rx.now_ms - IDLE_MS),
    )
    return row is None or (row[0] < MAX_PER_HOUR and row[1] < MAX_CLIENTS)


def register(tx: Tx, new: NewClient) -> Client:
    """Raises `oauth.temporarily_unavailable`. Emits `oauth_client_registered`."""
    _forget_clients(tx)
    if not has_room(tx):
        raise no_room()
    ref = tx.new_id()
    row = Client(
        CLIENT_PREFIX + ref.replace("-", ""), new.name, new.uri, new.redirects, tx.now_ms, None
    )
    tx.run(
        "insert into oauth_client(id, name, uri, redirects, created_ms) values(?,?,?,?,?)",
        (row.id, row.name, row.uri, json.dumps(row.redirects), row.created_ms),
    )
    tx.emit("oauth_client_registered", ref, {"client": row.id, "name": row.name})
    return row


def _forget_clients(tx: Tx) -> None:
    tx.run(
        "delete from oauth_client where id in (select id from oauth_client where "
        "(granted_ms is null and created_ms<=?) or granted_ms<=? limit ?)",
        (tx.now_ms - UNUSED_MS, tx.now_ms - IDLE_MS, SWEEP_ROWS),
    )


def no_room() -> Busy:
    return Busy(
        "oauth.temporarily_unavailable",
        f"{MAX_PER_HOUR} programs registered within an hour, or {MAX_CLIENTS} are kept",
        "Try again in an hour.",
    )


def authorize(tx: Tx, ask: Ask, scope: str) -> str:
    """A code for the acting operator's company, good once within CODE_MS: its clear text.

    Raises `oauth.invalid_client`, `oauth.invalid_redirect_uri`, `oauth.temporarily_unavailable`.
    Emits `oauth_granted`.
    """
    program = need(tx, ask.client, ask.redirect)
    scope = rules.narrowed(ask.scope, scope)
    tx.run(
        "delete from oauth_code where sha256 in (select sha256 from oauth_code "
        "where expires_ms<=? limit ?)",
        (tx.now_ms - KEPT_MS, SWEEP_ROWS),
    )
    waiting = tx.one(
        "select count(*) from oauth_code where company=? and expires_ms>? and spent_ms is null",
        (tx.company, tx.now_ms),
    )
    if waiting is not None and waiting[0] >= MAX_CODES:
        raise Busy(
            "oauth.temporarily_unavailable",
            f"{MAX_CODES} codes wait for their programs",
            "Try again in ten minutes.",
        )
    code = CODE_PREFIX + tx.random(CODE_BYTES).hex()
    tx.run(
        "insert into oauth_code(sha256, client, company, redirect, challenge, scope, resource, "
        "granter, expires_ms) values(?,?,?,?,?,?,?,?,?)",
        (
            sha256(code), program.id, tx.company, ask.redirect, ask.challenge, scope,
            ask.resource, tx.action.credential, tx.now_ms + CODE_MS,
        ),
    )  # fmt: skip
    tx.run("update oauth_client set granted_ms=? where id=?", (tx.now_ms, program.id))
    tx.emit("oauth_granted", tx.action.credential, {"client": program.id, "scope": scope})
    return code


def need(rx: Rx, id: str, redirect: str) -> Client:
    """A program, when it may be answered at `redirect`.

    Raises `oauth.invalid_client`, `oauth.invalid_redirect_uri`: neither is told to the redirect
    URI, which is then nobody's (RFC 6749, 4.1.2.1).
    """
    found = client(rx, id)
    if found is None:
        raise Invalid(
            "oauth.invalid_client", "no such program is registered",
            "Start again in the program, so that it registers itself.",
        )  # fmt: skip
    if not rules.may_redirect(found.redirects, redirect):
        raise rules.invalid(
            "invalid_redirect_uri", "the program did not register this redirect URI"
        )
    return found


def company_of(rx: Rx, code: str) -> str | None:
    """The company that a code is for; None: there is no such code."""
    row = rx.one("select company from oauth_code where sha256=?", (sha256(code),))
    return None if row is None else str(row[0])


def exchange(tx: Tx, given: Exchange) -> tuple[Token, str] | None:
    """`(token, its secret)`; None: the code is not good for this, and is not any more.

    Emits `token_created`, `token_revoked` or `oauth_code_spent`.
    """
    digest = sha256(given.code)
    row = tx.one(
        "select client, redirect, challenge, scope, resource, granter, expires_ms, token "
        "from oauth_code where sha256=? and company=?",
        (digest, tx.company),
    )
    if row is None:
        return None
    if not tx.run(
        "update oauth_code set spent_ms=? where sha256=? and spent_ms is null", (tx.now_ms, digest)
    ):
        _take_back(tx, row[7])
        return None
    program, redirect, challenge, scope, resource, granter, expires_ms, _ = row
    proven = (
        given.client == program
        and given.redirect == redirect
        and given.resource in (None, resource)
        and rules.proves(given.verifier, challenge)
        and tx.now_ms < expires_ms
        and _still_owner(tx, granter)
    )
    named = client(tx, program)
    if not proven or named is None:
        tx.emit("oauth_code_spent", granter, {"client": program})
        return None
    token, secret = tokens.mint(
        tx, company=tx.company, kind="runtime", name=named.name, scope=scope
    )
    tx.run("update oauth_code set token=? where sha256=?", (token.id, digest))
    return token, secret


def _still_owner(rx: Rx, granter: str) -> bool:
    """Whether who said yes could still say it."""
    token = tokens.by_id(rx, granter)
    return (
        token is not None
        and token.live(rx.now_ms)
        and role_reaches(token.role, BUILTIN[GRANT].operator)
    )


def _take_back(tx: Tx, minted: str | None) -> None:
    token = None if minted is None else tokens.by_id(tx, minted)
    if token is not None and token.revoked_ms is None:
        tokens.revoke(tx, token.id)
