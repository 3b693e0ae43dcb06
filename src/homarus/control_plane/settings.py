"""Company tokens as the original's settings page manages them (control-plane contract, 2).

The same tokens and units as `access.py`, by the original's paths and words: only company tokens
(`ec_…`), only operators, a secret in one reply and never again.
"""

from typing import Any, Final

import msgspec

from homarus.base.errors import NotFound
from homarus.control_plane.access import token_shape
from homarus.control_plane.route import ROOT, Call, Route, json_reply, read_route, write_route
from homarus.kernel import tokens
from homarus.kernel.tokens import Token
from homarus.store.port import Reply, Rx, Tx

_TAGS: Final = ("access",)
_KIND: Final = "runtime"
_SHOWN: Final = ("id", "name", "scope", "createdAt", "lastUsedAt", "revokedAt", "expiresAt")


def shape(row: Token) -> dict[str, Any]:
    full = token_shape(row)
    return {name: full[name] for name in _SHOWN}


class NewCompanyToken(msgspec.Struct, rename="camel", frozen=True):
    """It lives 90 days (`mcp_full`) or 30 (`mcp_danger`)."""

    name: str
    scope: str = "mcp_full"


def listed(rx: Rx, call: Call[None]) -> Reply:
    rows = tokens.listed(rx, call.company, call.limit(), _KIND)
    return json_reply({"tokens": [shape(row) for row in rows]})


def create(tx: Tx, call: Call[NewCompanyToken]) -> Reply:
    token, secret = tokens.mint(
        tx, company=tx.company, kind=_KIND, name=call.body.name, scope=call.body.scope
    )
    return json_reply({"token": shape(token), "secret": secret}, 201)


def revoke(tx: Tx, call: Call[None]) -> Reply:
    row = tokens.by_id(tx, call.id())
    if row is None or row.kind != _KIND:
        raise NotFound("token.unknown", "no such company token", "See GET /api/settings/tokens.")
    return json_reply({"message": "Token revoked", "token": shape(tokens.revoke(tx, row.id))})


ROUTES: Final[tuple[Route, ...]] = (
    read_route(
        "/settings/tokens", listed, "List company tokens, newest first (below `/api`)",
        capability="audit.read", query=("limit",), mounts=ROOT, tags=_TAGS,
    ),
    write_route(
        "POST", "/settings/tokens", "token.create", create, "Mint a company token (below `/api`)",
        body=NewCompanyToken, status=201, keyed="ignored", target="token:new", mounts=ROOT,
        tags=_TAGS,
    ),
    write_route(
        "DELETE", "/settings/tokens/{id}", "token.revoke", revoke,
        "Revoke a company token (below `/api`)", target="token:{id}", mounts=ROOT, tags=_TAGS,
    ),
)  # fmt: skip
