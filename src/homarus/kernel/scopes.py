"""Scopes of the gateway: what a connection may, and which operator role holds it (gateway contract,
4). Pure. A scope narrows a role, it never widens it: the kernel judges the role all the same.
"""

from collections.abc import Collection, Iterable
from typing import Final

READ: Final = "operator.read"
WRITE: Final = "operator.write"
ADMIN: Final = "operator.admin"
APPROVALS: Final = "operator.approvals"
QUESTIONS: Final = "operator.questions"
PAIRING: Final = "operator.pairing"
TALK: Final = "operator.talk"
TALK_SECRETS: Final = "operator.talk.secrets"
ALL: Final = (READ, WRITE, ADMIN, APPROVALS, QUESTIONS, PAIRING, TALK, TALK_SECRETS)

_VIEWER: Final = frozenset({READ})
_OPERATOR: Final = _VIEWER | {WRITE, QUESTIONS, TALK}
_APPROVER: Final = _OPERATOR | {APPROVALS}
HELD: Final = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "approver": _APPROVER,
    "owner": frozenset(ALL),
}
"""Operator role -> scopes that it may have."""
IMPLIES: Final = {ADMIN: frozenset(ALL), WRITE: frozenset({READ, TALK})}
"""Scope -> those that come with it."""


def held(kind: str, role: str | None) -> frozenset[str]:
    """What a credential may ask for. Only an operator's has operator scopes."""
    return HELD.get(role or "", frozenset()) if kind == "operator" else frozenset()


def granted(asked: Iterable[str], most: Iterable[str]) -> tuple[str, ...]:
    """Those asked for that are within `most` and what it implies, in the order asked, each once."""
    limit = closure(most)
    return tuple(dict.fromkeys(scope for scope in asked if scope in limit))


def closure(scopes: Iterable[str]) -> frozenset[str]:
    """With what they imply."""
    found: set[str] = set()
    for scope in scopes:
        found |= {scope} | IMPLIES.get(scope, frozenset())
    return frozenset(found)


def covers(scopes: Collection[str], needed: str) -> bool:
    """Whether one of them is `needed` or implies it."""
    return needed in scopes or any(needed in IMPLIES.get(scope, ()) for scope in scopes)


def role_for(scopes: Iterable[str]) -> str:
    """The least operator role that holds all of them."""
    wanted = closure(scopes)
    return next((role for role, most in HELD.items() if wanted <= most), "owner")
