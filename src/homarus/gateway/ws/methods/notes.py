"""Notes in a session, and who the gateway is (gateway contract, 6, 8)."""

import asyncio
import hashlib
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homarus.flows import chatting, conversing
from homarus.gateway.ws import signature
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, work, write
from homarus.kernel.scopes import ADMIN, READ
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]


class Inject(Params):
    session_key: str
    message: str
    agent_id: str | None = None
    label: str | None = None


def inject(tx: Tx, ask: Ask) -> Doc:
    params: Inject = ask.params
    at = chatting.place(tx, tx.company, params.agent_id, params.session_key)
    line = conversing.note(tx, at.session, at.key, params.message, params.label)
    return {"ok": True, "messageId": line}


async def identity(desk: Desk, params: Nothing) -> Doc:
    """The gateway's own key, which is derived from the home's: the same after each start."""
    _ = params
    await desk.read(_nothing)
    secret = await asyncio.to_thread(desk.hub.means.sealer.derive, b"gateway-identity")
    raw = Ed25519PrivateKey.from_private_bytes(secret[:32]).public_key().public_bytes_raw()
    return {"deviceId": hashlib.sha256(raw).hexdigest(), "publicKey": signature.of_bytes(raw)}


def _nothing(rx: Rx) -> None:
    """Only whether it may be asked."""


METHODS: Final = (
    write("chat.inject", ADMIN, Inject, "session.note", inject,
          "Add a note to a session; nobody answers it", "ok, messageId", target="session:",
          advertised=False),
    work("gateway.identity.get", READ, Nothing, identity, "The key that the gateway is known by",
         "deviceId, publicKey"),
)  # fmt: skip
