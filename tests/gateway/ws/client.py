"""A client of the gateway's WebSocket: its handshake, its device, its calls; small and strict."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from homarus.flows import first_start
from homarus.gateway.ws import signature
from homarus.gateway.ws.signature import Signed
from homarus.testing.daemon import Daemon

SOON_S = 30.0
CLI = {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli"}
TEST = CLI | {"id": "test", "mode": "test"}
ADMIN = ("operator.admin",)
REMOTE = {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}
"""Makes a connection that comes from elsewhere, where the daemon knows of a proxy."""
PROXIED = {"public_url": "http://gate.example"}


def gateway_token(daemon: Daemon) -> str:
    return daemon.app.home_facts.secrets[first_start.GATEWAY.file]


class Device:
    """A key pair, and what it signs."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        raw = self._key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(raw).hexdigest()
        self.public_key = signature.of_bytes(raw)

    def sign(self, text: str) -> str:
        return signature.of_bytes(self._key.sign(text.encode()))

    def proof(
        self, params: dict[str, Any], nonce: str, at_ms: int, *, version: int = 3
    ) -> dict[str, Any]:
        client, auth = params["client"], params.get("auth", {})
        signed = Signed(
            device=self.id, public_key=self.public_key, signature="", signed_ms=at_ms,
            nonce=nonce, client_id=client["id"], client_mode=client["mode"],
            role=params.get("role", "operator"), scopes=params.get("scopes", []),
            token=auth.get("token") or auth.get("deviceToken") or auth.get("bootstrapToken") or "",
            platform=client["platform"], family=client.get("deviceFamily", ""),
        )  # fmt: skip
        payload = signature.payload_v3 if version == 3 else signature.payload_v2
        return {
            "id": self.id, "publicKey": self.public_key, "signature": self.sign(payload(signed)),
            "signedAt": at_ms, "nonce": nonce,
        }  # fmt: skip


class Client:
    """One connection after its challenge. `events`: those heard so far; `hello` after `greet`."""

    def __init__(self, wire: ClientConnection, challenge: dict[str, Any]) -> None:
        self.wire = wire
        self.nonce: str = challenge["nonce"]
        self.ts: int = challenge["ts"]
        self.events: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}
        self._replies: list[dict[str, Any]] = []
        self._n = 0

    async def greet(
        self, token: str | None = None, *, scopes: tuple[str, ...] = ADMIN,
        client: dict[str, Any] = CLI, device: Device | None = None,
        auth: dict[str, Any] | None = None, **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """Say hello; the reply's frame, whatever it is."""
        params: dict[str, Any] = {
            "minProtocol": 4, "maxProtocol": 4, "client": client, "scopes": list(scopes), **more
        }  # fmt: skip
        if auth is not None or token is not None:
            params["auth"] = auth or {"token": token}
        if device is not None:
            params["device"] = device.proof(params, self.nonce, self.ts)
        reply = await self.raw_call("connect", params)
        if reply["ok"]:
            self.hello = reply["payload"]
        return reply

    async def send(self, method: str, params: Any = None) -> str:
        self._n += 1
        frame = {"type": "req", "id": f"r{self._n}", "method": method}
        await self.wire.send(json.dumps(frame if params is None else frame | {"params": params}))
        return frame["id"]

    async def raw_call(self, method: str, params: Any = None) -> dict[str, Any]:
        """The next reply to a request, as it came."""
        return await self.reply(await self.send(method, params))

    async def reply(self, id_: str) -> dict[str, Any]:
        while True:
            for at, known in enumerate(self._replies):
                if known["id"] == id_:
                    return self._replies.pop(at)
            await self._hear()

    async def call(self, method: str, params: Any = None) -> Any:
        """The payload. Fails on an error."""
        reply = await self.raw_call(method, params)
        assert reply["ok"], reply
        return reply["payload"]

    async def error(self, method: str, params: Any = None) -> dict[str, Any]:
        reply = await self.raw_call(method, params)
        assert not reply["ok"], reply
        return reply["error"]

    async def event(
        self, name: str, fits: Callable[[dict[str, Any]], bool] = lambda payload: True
    ) -> dict[str, Any]:
        """The payload of the first event of that name that fits, heard already or still to come."""
        seen = 0
        while True:
            for event in self.events[seen:]:
                if event["event"] == name and fits(event["payload"]):
                    return event["payload"]
            seen = len(self.events)
            await self._hear()

    async def _hear(self) -> None:
        async with asyncio.timeout(SOON_S):
            frame = json.loads(await self.wire.recv())
        (self.events if frame["type"] == "event" else self._replies).append(frame)

    async def closed(self) -> tuple[int, str]:
        """How the gateway ended the connection."""
        try:
            while True:
                await self._hear()
        except ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code, error.rcvd.reason


@asynccontextmanager
async def dialled(daemon: Daemon, path: str = "/", **more: Any) -> AsyncIterator[Client]:
    """Connected and challenged, not greeted."""
    async with dialled_at(f"ws{daemon.url.removeprefix('http')}{path}", **more) as client:
        yield client


@asynccontextmanager
async def dialled_at(url: str, **more: Any) -> AsyncIterator[Client]:
    options = {"max_size": None, "compression": None, "close_timeout": 1} | more
    async with connect(url, **options) as wire:
        async with asyncio.timeout(SOON_S):
            challenge = json.loads(await wire.recv())
        assert challenge["event"] == "connect.challenge" and "seq" not in challenge
        yield Client(wire, challenge["payload"])


@asynccontextmanager
async def joined(
    daemon: Daemon, token: str | None = None, *, headers: dict[str, str] | None = None, **more: Any
) -> AsyncIterator[Client]:
    """Greeted, by default with the gateway token and all scopes."""
    options = {} if headers is None else {"additional_headers": headers}
    async with dialled(daemon, **options) as client:
        reply = await client.greet(token or gateway_token(daemon), **more)
        assert reply["ok"], reply
        yield client
