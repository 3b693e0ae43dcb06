"""One client after its hello: who it is, what it may, what it follows."""

from typing import Any

import msgspec

from homarus.base.action import Action, Proof
from homarus.gateway.ws.handshake import Client
from homarus.gateway.ws.link import Link
from homarus.kernel import scopes
from homarus.kernel.devices import NODE
from homarus.kernel.tokens import Token

MAX_FOLLOWED: int = 200
"""Sessions that one connection subscribes to."""


class Peer(msgspec.Struct):
    """`token`: the credential that the kernel judges; `proof`: how it is known; `sessions`: keys
    whose messages it wants; `every`: it wants the changes of all of them."""

    id: str
    link: Link
    company: str
    token: Token
    proof: Proof
    role: str
    scopes: tuple[str, ...]
    client: Client
    caps: frozenset[str]
    device: str | None
    address: str
    direct: bool
    since_ms: int
    called: str = ""
    """The gateway's address and port as the client called it."""
    sessions: set[str] = msgspec.field(default_factory=set)
    every: bool = False
    stats: dict[str, Any] | None = None
    """What a node said last of its machine."""

    @property
    def companies(self) -> tuple[str, ...]:
        """Whose feeds concern it: its company's, and its token's own where that is another."""
        return tuple(dict.fromkeys((self.company, self.token.company)))

    def may(self, scope: str) -> bool:
        """ "": anybody may."""
        return not scope or (self.role != NODE and scopes.covers(self.scopes, scope))

    def action(self, capability: str, target: str, **more: object) -> Action:
        return Action(
            self.company, capability, target, credential=self.token.id, proof=self.proof,
            **more,  # type: ignore[arg-type]
        )  # fmt: skip
