"""Browsers of operators: one-time codes, and the sessions that they become (dashboard contract, 1).

A session stands for an access token and nothing more: each request is judged by the kernel with
that token, so it ends when the token is revoked or expires. Only hashes are kept.
"""

from typing import Final

import msgspec

from homarus.base.errors import Unauthenticated
from homarus.kernel.tokens import sha256
from homarus.store.port import Rx, Tx

CODE_MS: Final = 60_000
SESSION_MS: Final = 12 * 3_600_000
MAX_CODES: Final = 8
"""Unused codes of one token; a further one replaces the oldest."""
MAX_SESSIONS: Final = 20
"""Sessions of one token; a further one ends the oldest."""
SECRET_BYTES: Final = 32


class Session(msgspec.Struct, frozen=True):
    """A live session. `token`: id of the access token it stands for."""

    token: str
    expires_ms: int


def make_code(tx: Tx) -> str:
    """A code for the acting token, good for one use within CODE_MS. Emits `dashboard_code`."""
    token = tx.action.credential
    tx.run("delete from browser_code where expires_ms<=?", (tx.now_ms,))
    tx.run(
        "delete from browser_code where sha256 in (select sha256 from browser_code "
        "where token=? order by expires_ms desc limit ? offset ?)",
        (token, MAX_CODES, MAX_CODES - 1),
    )
    code = tx.random(SECRET_BYTES).hex()
    tx.run(
        "insert into browser_code(sha256, token, expires_ms) values(?,?,?)",
        (sha256(code), token, tx.now_ms + CODE_MS),
    )
    tx.emit("dashboard_code", token)
    return code


def token_of_code(rx: Rx, code: str) -> str | None:
    """The id of the token that asked for a code which is still good."""
    row = rx.one(
        "select token from browser_code where sha256=? and expires_ms>?", (sha256(code), rx.now_ms)
    )
    return None if row is None else str(row[0])


def open_with_code(tx: Tx, code: str) -> str:
    """Use a code up; the new session's secret. Raises `dashboard.code`."""
    used = tx.run(
        "delete from browser_code where sha256=? and token=? and expires_ms>?",
        (sha256(code), tx.action.credential, tx.now_ms),
    )
    if not used:
        raise bad_code()
    return open_session(tx)


def open_session(tx: Tx) -> str:
    """A session of the acting token; its secret, for the browser. Emits `dashboard_opened`."""
    token = tx.action.credential
    tx.run("delete from browser_session where token=? and expires_ms<=?", (token, tx.now_ms))
    tx.run(
        "delete from browser_session where sha256 in (select sha256 from browser_session "
        "where token=? order by created_ms desc limit ? offset ?)",
        (token, MAX_SESSIONS, MAX_SESSIONS - 1),
    )
    secret = tx.random(SECRET_BYTES).hex()
    tx.run(
        "insert into browser_session(sha256, token, created_ms, expires_ms) values(?,?,?,?)",
        (sha256(secret), token, tx.now_ms, tx.now_ms + SESSION_MS),
    )
    tx.emit("dashboard_opened", token)
    return secret


def find(rx: Rx, secret: str) -> Session | None:
    """The session of a browser's secret, while it lives."""
    row = rx.one(
        "select token, expires_ms from browser_session where sha256=? and expires_ms>?",
        (sha256(secret), rx.now_ms),
    )
    return None if row is None else Session(row[0], row[1])


def close(tx: Tx, secret: str) -> None:
    """Sign out. Emits `dashboard_closed` when there was such a session."""
    if tx.run("delete from browser_session where sha256=?", (sha256(secret),)):
        tx.emit("dashboard_closed", tx.action.credential)


def bad_code() -> Unauthenticated:
    return Unauthenticated(
        "dashboard.code",
        "this link was used already or is older than a minute",
        "Ask for a new one: `homarus dashboard`.",
    )
