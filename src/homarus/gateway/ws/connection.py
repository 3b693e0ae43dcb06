"""One socket, from challenge to close (gateway contract, 1, 2).

    accept -> challenge -> connect -> hello-ok -> requests, events -> close

What is decided is decided in `handshake.py` and in the methods; this carries bytes. Requests of one
connection run beside each other, at most `policy.in_flight` of them; their replies and all events
leave by one bounded queue.
"""

import asyncio
import os
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog

from homarus import __version__
from homarus.base.action import Proof
from homarus.base.errors import HomarusError, Unauthenticated
from homarus.control_plane.answers import Scope, unforeseen
from homarus.control_plane.auth import Door
from homarus.control_plane.socket import Wire
from homarus.gateway.ws import frames, handshake, method, signature
from homarus.gateway.ws.frames import Fault, NotAFrame, Request
from homarus.gateway.ws.handshake import Admit, Ask, Connect, Deny
from homarus.gateway.ws.hub import EVENTS, Hub
from homarus.gateway.ws.limiter import Limiter
from homarus.gateway.ws.link import Close, Link
from homarus.gateway.ws.method import Later, Method
from homarus.gateway.ws.methods import health
from homarus.gateway.ws.peer import Peer
from homarus.gateway.ws.secret import NONCE_BYTES, secret_of
from homarus.kernel import devices, tokens
from homarus.kernel.devices import Claim, Device, Grant, Secret
from homarus.kernel.tokens import Token
from homarus.store.port import Rx

log = structlog.get_logger("gateway")

TAIL_S: Final = 2.0
"""In which what is queued still leaves when the daemon says goodbye."""
CAPABILITIES: Final = ("published-model-catalog", "chat-send-routing-contract")
_connect = msgspec.json.Decoder(Connect).decode


class Ended(Exception):
    """The conversation is over before its hello."""

    def __init__(self, code: int | None, reason: str = "", reply: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.reply = reply


class Where(msgspec.Struct, frozen=True):
    """How the client got here. `page`: its Origin is a page of ours."""

    address: str
    direct: bool
    page: bool


class Known(msgspec.Struct, frozen=True):
    """What the rows say of a client that wants in."""

    owner_of: Grant | None
    device: Device | None
    grant: Grant | None


class Connection:
    def __init__(
        self, hub: Hub, door: Door, limiter: Limiter, methods: dict[str, Method], where: Where,
        wire: Wire, scope: Scope,
    ) -> None:  # fmt: skip
        self._hub = hub
        self._door = door
        self._limiter = limiter
        self._methods = methods
        self._where = where
        self._wire = wire
        self._take: Callable[[int], None] = scope.get("extensions", {}).get(
            "homarus.take", lambda size: None
        )
        self.id = str(uuid.uuid4())
        self.link = Link(hub.bound_bytes)

    async def run(self) -> None:
        """Until it is over. Raises nothing that is the client's doing."""
        try:
            peer, hello = await self._hello()
        except Ended as over:
            if over.reply is not None:
                await self._last_words([over.reply])
            if over.code is not None:
                await self._wire.close(over.code, over.reason)
            return
        self.link.send(hello)
        feed = self._hub.means.feed
        self._hub.join(peer, {name: await feed.head(name) for name in peer.companies})
        try:
            await self._converse(peer)
        finally:
            self._hub.leave(peer)

    # -- hello ---------------------------------------------------------------------------------

    async def _hello(self) -> tuple[Peer, str]:
        try:
            async with asyncio.timeout(self._hub.policy.handshake_s):
                return await self._shake_hands()
        except TimeoutError:
            raise Ended(1000) from None
        except OSError:
            raise Ended(None) from None

    async def _shake_hands(self) -> tuple[Peer, str]:
        nonce = str(uuid.uuid4())
        challenge = frames.encoded({"nonce": nonce, "ts": self._hub.now_ms()})
        await self._wire.text(frames.event("connect.challenge", challenge))
        frame = await self._first()
        try:
            connect = frames.params_of(frame, _connect)
            return await self._admitted(frame, connect, nonce)
        except HomarusError as error:
            fault = frames.fault_of(error)
            raise Ended(
                frames.POLICY, _short(fault.message), frames.failed(frame.id, fault)
            ) from None

    async def _first(self) -> Request:
        text = await self._wire.heard()
        if text is None:
            raise Ended(None)
        try:
            frame = frames.request_of(text)
        except NotAFrame as bad:
            raise (Ended(1000) if bad.malformed else Ended(frames.POLICY, str(bad))) from None
        if frame.method != "connect":
            why = "invalid handshake: first request must be connect"
            fault = Fault(frames.INVALID_REQUEST, why)
            raise Ended(frames.POLICY, why, frames.failed(frame.id, fault))
        return frame

    async def _admitted(self, frame: Request, connect: Connect, nonce: str) -> tuple[Peer, str]:
        spoken = handshake.version(connect)
        for denied in (spoken, handshake.shape(connect)):
            if isinstance(denied, Deny):
                raise _ended(frame, denied)
        signed = handshake.signed_by(connect)
        if signed is not None:
            why = signature.check(signed, nonce, self._hub.now_ms())
            if why is not None:
                raise _ended(frame, handshake.unproven(why))
        token = await self._token(frame, connect)
        company = "" if token is None else token.company or self._door.default_company
        known = await self._known(company, connect, token)
        facts = handshake.Facts(
            connect=connect, direct=self._where.direct, page=self._where.page, token=token,
            owner_of=known.owner_of, device=known.device, grant=known.grant,
        )  # fmt: skip
        decided = handshake.decide(facts)
        if isinstance(decided, Deny):
            raise _ended(frame, decided)
        if token is None:
            raise AssertionError("admitted without a token")
        proof = Proof.DEVICE if known.owner_of is not None else Proof.TOKEN
        peer = Peer(
            id=self.id, link=self.link, company=company, token=token, proof=proof,
            role=connect.role, scopes=(), client=connect.client, caps=frozenset(connect.caps),
            device=None if connect.device is None else connect.device.id,
            address=self._where.address, direct=self._where.direct, since_ms=self._hub.now_ms(),
        )  # fmt: skip
        if isinstance(decided, Ask):
            await self._ask(frame, connect, peer, decided, known.grant)
        assert isinstance(decided, Admit)
        grant = await self._let_in(connect, peer, decided, known)
        peer.scopes = decided.scopes
        speaks = spoken if isinstance(spoken, int) else frames.PROTOCOL
        hello = await self._hello_ok(peer, decided, grant, speaks)
        self._take(self._hub.policy.max_payload_bytes)
        return peer, frames.ok(frame.id, hello)

    async def _token(self, frame: Request, connect: Connect) -> Token | None:
        """The live token of the first secret that has one. Wrong ones are counted by address."""
        secrets = handshake.secrets_of(connect)
        now_s = asyncio.get_running_loop().time()
        address = self._where.address
        wait_s = 0.0 if self._where.direct else self._limiter.wait_s(address, now_s)
        if secrets and wait_s > 0:
            raise _ended(frame, handshake.limited(round(wait_s * 1000)))
        for secret in secrets:
            try:
                return await self._door.of_secret(secret)
            except Unauthenticated:
                continue
        if secrets:
            self._limiter.failed(address, now_s)
        return None

    async def _known(self, company: str, connect: Connect, token: Token | None) -> Known:
        device = None if connect.device is None else connect.device.id
        company = company or self._door.default_company
        found: Known = await self._hub.means.store.read(
            known_of, company, device, connect.role, None if token is None else token.id
        )
        return found

    async def _ask(
        self, frame: Request, connect: Connect, peer: Peer, wanted: Ask, held: Grant | None
    ) -> None:
        """The device has to be let in: the request is a row, the client is told its id."""
        claim = self._claim(connect, wanted.scopes)
        action = peer.action("device.ask", f"device:{claim.device}")
        row = await self._hub.means.store.write(action, devices.ask, claim, wanted.reason)
        raise _ended(frame, handshake.pairing_required(wanted.reason, row, held))

    def _claim(self, connect: Connect, asked: tuple[str, ...]) -> Claim:
        proof, client = connect.device, connect.client
        if proof is None:
            raise AssertionError("a claim without a device")
        return Claim(
            device=proof.id, public_key=proof.public_key, role=connect.role, scopes=asked,
            client_id=client.id, client_mode=client.mode, name=client.display_name,
            platform=client.platform, family=client.device_family,
            remote_ip=self._where.address,
        )  # fmt: skip

    async def _let_in(
        self, connect: Connect, peer: Peer, decided: Admit, known: Known
    ) -> Grant | None:
        """The device's own grant, which it acts with from here on; None: it has none."""
        if connect.device is None or decided.method == "device-token":
            return known.owner_of
        grant = known.grant if decided.pair == "" else None
        if decided.pair:
            secret = secret_of(self._hub.means.sealer, os.urandom(NONCE_BYTES).hex())
            claim = self._claim(connect, decided.scopes)
            action = peer.action("device.connect", f"device:{claim.device}")
            grant = await self._hub.means.store.write(
                action, let_in, claim, secret, decided.pair == "silent"
            )
        if grant is None or grant.token is None:
            return None
        token = await self._hub.means.store.read(tokens.by_id, grant.token)
        if token is not None:
            peer.token, peer.proof = token, Proof.DEVICE
        return grant

    async def _hello_ok(
        self, peer: Peer, decided: Admit, grant: Grant | None, speaks: int
    ) -> dict[str, Any]:
        hub, policy = self._hub, self._hub.policy
        auth: dict[str, Any] = {
            "method": decided.method, "role": peer.role, "scopes": list(peer.scopes),
        }  # fmt: skip
        if grant is not None and grant.nonce is not None:
            secret = secret_of(hub.means.sealer, grant.nonce)
            auth |= {"deviceToken": secret.clear,
                     "issuedAtMs": grant.rotated_ms or grant.created_ms}  # fmt: skip
        snapshot = await health.snapshot(hub, peer)
        return {
            "type": "hello-ok",
            "protocol": speaks,
            "server": {"version": __version__, "bootId": hub.boot_id, "connId": peer.id},
            "features": {
                "methods": sorted(m.name for m in self._methods.values() if m.advertised),
                "events": sorted(EVENTS),
                "capabilities": list(CAPABILITIES),
            },
            "snapshot": snapshot,
            "auth": auth,
            "policy": {
                "maxPayload": policy.max_payload_bytes,
                "maxBufferedBytes": policy.max_buffered_bytes,
                "tickIntervalMs": round(policy.tick_s * 1000),
            },
        }

    # -- after it ------------------------------------------------------------------------------

    async def _converse(self, peer: Peer) -> None:
        async with asyncio.TaskGroup() as group:
            sides = [
                group.create_task(self._speak()),
                group.create_task(self._listen(peer)),
            ]
            close = await self.link.ended
            for side in sides:
                side.cancel()
        await self._goodbye(close)

    async def _goodbye(self, close: Close) -> None:
        if close.code is None:
            return
        if close.code == frames.RESTART:
            await self._last_words(self.link.left())
        await self._wire.close(close.code, close.reason)

    async def _last_words(self, texts: list[str]) -> None:
        try:
            async with asyncio.timeout(TAIL_S):
                for text in texts:
                    await self._wire.text(text)
        except (TimeoutError, OSError):
            return

    async def _speak(self) -> None:
        try:
            while True:
                await self._wire.text(await self.link.next())
        except TimeoutError:
            self.link.end(frames.POLICY, "slow consumer")
        except OSError:
            self.link.end(None)

    async def _listen(self, peer: Peer) -> None:
        """Requests until the client goes. Its replies are nobody's then, so what waits is ended."""
        busy = 0

        def over(_: object) -> None:
            nonlocal busy
            busy -= 1

        async with asyncio.TaskGroup() as group:
            answering: set[asyncio.Task[None]] = set()
            try:
                while True:
                    text = await self._wire.heard()
                    if text is None:
                        self.link.end(None)
                        return
                    try:
                        frame = await self._frame(text)
                    except NotAFrame as bad:
                        self.link.end(frames.POLICY, str(bad))
                        return
                    if busy >= self._hub.policy.in_flight:
                        why = f"{busy} requests of this connection are under way"
                        fault = Fault(frames.UNAVAILABLE, why, retry_ms=frames.RETRY_MS)
                        self.link.send(frames.failed(frame.id, fault))
                        continue
                    busy += 1
                    task = group.create_task(self._answer(peer, frame))
                    answering.add(task)
                    task.add_done_callback(answering.discard)
                    task.add_done_callback(over)
            finally:
                for task in answering:
                    task.cancel()

    async def _frame(self, text: str) -> Request:
        if len(text) <= frames.LARGE_BYTES:
            return frames.request_of(text)
        return await asyncio.to_thread(frames.request_of, text)

    async def _answer(self, peer: Peer, frame: Request) -> None:
        """One request, supervised: whatever fails in it is its own error."""
        try:
            result = await self._called(peer, frame)
            if isinstance(result, Later):
                self.link.send(frames.ok(frame.id, result.first))
                result = await result.rest()
            self.link.send(frames.ok(frame.id, result))
        except Fault as fault:
            self.link.send(frames.failed(frame.id, fault))
        except HomarusError as error:
            self._door.heed(error, peer.token)
            self.link.send(frames.failed(frame.id, frames.fault_of(error)))
        except Exception as error:
            log.error("request_failed", method=frame.method, exc_info=error)
            self.link.send(frames.failed(frame.id, frames.fault_of(unforeseen())))

    async def _called(self, peer: Peer, frame: Request) -> Any:
        if frame.method == "connect":
            raise Fault(frames.INVALID_REQUEST, "connect is only valid as the first request")
        found = self._methods.get(frame.method)
        if found is None:
            raise unknown(frame.method)
        if found.role not in ("", peer.role):
            raise Fault(frames.INVALID_REQUEST, f"unauthorized role: {peer.role}")
        if not peer.may(found.scope):
            details = {"code": "MISSING_SCOPE", "missingScope": found.scope,
                       "requiredScopes": [found.scope]}  # fmt: skip
            raise Fault(frames.FORBIDDEN, f"missing scope: {found.scope}", details)
        params = frames.params_of(frame, decoder(found))
        return await method.call(self._hub, peer, found, params)


_decoders: dict[str, Callable[[bytes], Any]] = {}


def decoder(found: Method) -> Callable[[bytes], Any]:
    decode = _decoders.get(found.name)
    if decode is None:
        decode = _decoders[found.name] = msgspec.json.Decoder(found.params).decode
    return decode


def unknown(name: str) -> Fault:
    return Fault(frames.INVALID_REQUEST, f"unknown method: {name}")


def _ended(frame: Request, denied: Deny) -> Ended:
    fault: Fault = denied.fault
    return Ended(denied.code, _short(fault.message), frames.failed(frame.id, fault))


def _short(text: str) -> str:
    """A close frame holds at most 123 bytes of reason."""
    return text.encode()[:120].decode("utf-8", "ignore")


# -- units and reads -----------------------------------------------------------------------


def known_of(rx: Rx, company: str, device: str | None, role: str, token: str | None) -> Known:
    grant = None if device is None else devices.grant(rx, company, device, role)
    if grant is not None and grant.token is not None:
        live = tokens.by_id(rx, grant.token)
        if live is None or not live.live(rx.now_ms):
            grant = msgspec.structs.replace(grant, token=None, nonce=None)
    return Known(
        owner_of=None if token is None else devices.grant_of_token(rx, token),
        device=None if device is None else devices.by_id(rx, company, device),
        grant=grant,
    )


def let_in(tx: Any, claim: Claim, secret: Secret, silent: bool) -> Grant:
    return devices.let_in(tx, claim, secret, silent=silent)
