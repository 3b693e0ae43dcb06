"""When a session begins anew by itself (gateway contract, 12.5): policies, and what they say.

    none     never
    daily    with the first message after `at_hour` on the company's clock
    idle     with the first message after `idle_minutes` without one; of `daily` too, where given

The narrowest scope that is set counts: `session:<key>`, `channel:<name>`, `type:<type>`, `base`.
Nothing is looked at by a clock: a message that comes asks.
"""

from typing import Final

import msgspec

from homarus.base import local_time
from homarus.base.errors import Invalid, NotFound
from homarus.conversations import keys
from homarus.conversations.sessions import Session
from homarus.store.port import Rx, Tx

NONE: Final = "none"
DAILY: Final = "daily"
IDLE: Final = "idle"
MODES: Final = (NONE, DAILY, IDLE)
BASE: Final = "base"
TYPES: Final = ("direct", "group", "thread")
DEFAULT_HOUR: Final = 4
MAX_IDLE_MINUTES: Final = 525_600
MAX_POLICIES: Final = 1_000
MAX_CHANNEL: Final = 128
_MINUTE_MS: Final = 60_000


class Policy(msgspec.Struct, frozen=True):
    """`at_hour` of `daily`; `idle_minutes` of `idle`, and of `daily` where it has both."""

    mode: str = NONE
    at_hour: int = DEFAULT_HOUR
    idle_minutes: int | None = None


NEVER: Final = Policy()
"""Where nothing is set."""


def is_stale(policy: Policy, session: Session, zone: str, now_ms: int) -> bool:
    """Whether the next message begins a new session."""
    if policy.mode == NONE:
        return False
    idle_ms = None if policy.idle_minutes is None else policy.idle_minutes * _MINUTE_MS
    if idle_ms is not None and now_ms > session.interaction_ms + idle_ms:
        return True
    if policy.mode == DAILY:
        return session.created_ms < local_time.last(policy.at_hour * 60, zone, now_ms)
    return False


def scopes(key: str, kind: str) -> list[str]:
    """The scopes that a session is in, the narrowest first. `key` in its full form."""
    parts = key.split(":")
    kinds = [name for name in ("thread", "group", "direct") if name in parts[2:] or name == kind]
    channel = [f"channel:{parts[2]}"] if len(parts) > 3 else []
    return [f"session:{key}", *channel, *(f"type:{name}" for name in kinds[:1]), BASE]


def check_scope(scope: str) -> str:
    """The scope in its one form. Raises `session.scope`, `session.key`."""
    kind, _, name = scope.strip().lower().partition(":")
    if kind == "session" and name:
        return f"session:{keys.parse(name)}"
    if kind == "channel" and 0 < len(name) <= MAX_CHANNEL and not set(name) & set(": \t\n"):
        return f"channel:{name}"
    if (kind == "type" and name in TYPES) or (kind == BASE and not name):
        return scope.strip().lower()
    raise Invalid(
        "session.scope", f"no scope {scope[:80]!r}",
        f"base, type:{'|'.join(TYPES)}, channel:NAME, or session:KEY.",
    )  # fmt: skip


def check(policy: Policy) -> Policy:
    """Raises `session.policy`."""
    idle = policy.idle_minutes
    if policy.mode not in MODES:
        raise Invalid("session.policy", f"no mode {policy.mode[:40]!r}", f"One of {list(MODES)}.")
    if not 0 <= policy.at_hour <= 23:
        raise Invalid("session.policy", f"no hour {policy.at_hour}", "0 to 23.")
    if (policy.mode == IDLE and idle is None) or not 1 <= (1 if idle is None else idle) <= (
        MAX_IDLE_MINUTES
    ):
        raise Invalid("session.policy", "idleMinutes is missing or out of range", "1 to 525600.")
    return policy


# -- rows ------------------------------------------------------------------------------------


def listed(rx: Rx, company: str) -> list[tuple[str, Policy]]:
    """`(scope, policy)` by scope."""
    rows = rx.all(
        "select scope, mode, at_hour, idle_minutes from session_policy where company=? "
        "order by scope limit ?",
        (company, MAX_POLICIES),
    )
    return [(row[0], Policy(*row[1:])) for row in rows]


def of(rx: Rx, company: str, key: str, kind: str) -> Policy:
    """The one that counts for a session."""
    wanted = scopes(key, kind)
    marks = ",".join("?" * len(wanted))
    rows = rx.all(
        "select scope, mode, at_hour, idle_minutes from session_policy "  # noqa: S608
        f"where company=? and scope in ({marks})",
        (company, *wanted),
    )
    found = {row[0]: Policy(*row[1:]) for row in rows}
    return next((found[scope] for scope in wanted if scope in found), NEVER)


def zone_of(rx: Rx, company: str) -> str:
    """The zone of the company's clock."""
    row = rx.one("select zone from company where id=?", (company,))
    return "UTC" if row is None else str(row[0])


def put(tx: Tx, scope: str, policy: Policy) -> None:
    """Raises `session.scope`, `session.policy`. Emits `session_policy_set`."""
    scope, policy = check_scope(scope), check(policy)
    known = {name for name, _ in listed(tx, tx.company)}
    if scope not in known and len(known) >= MAX_POLICIES:
        raise Invalid("session.policy", "too many policies", f"At most {MAX_POLICIES}.")
    tx.run(
        "insert into session_policy(company, scope, mode, at_hour, idle_minutes) values(?,?,?,?,?) "
        "on conflict(company, scope) do update set mode=excluded.mode, at_hour=excluded.at_hour, "
        "idle_minutes=excluded.idle_minutes",
        (tx.company, scope, policy.mode, policy.at_hour, policy.idle_minutes),
    )
    tx.emit("session_policy_set", "", {"scope": scope, "mode": policy.mode})


def remove(tx: Tx, scope: str) -> None:
    """The wider scope counts again. Raises `session.scope`, `session.policy_unknown`."""
    scope = check_scope(scope)
    if not tx.run("delete from session_policy where company=? and scope=?", (tx.company, scope)):
        raise NotFound("session.policy_unknown", f"nothing is set for {scope}", "Nothing to do.")
    tx.emit("session_policy_set", "", {"scope": scope, "mode": None})
