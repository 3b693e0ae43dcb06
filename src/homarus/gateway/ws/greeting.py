"""From the challenge to the hello of one socket (gateway contract, 2): the shell of `handshake.py`.

Facts are gathered, the decision is made there, and what it asks for is written: a request to be let
in, or a device's grant. Whoever is not let in hears why, and the socket closes.
"""

import asyncio
import os
import uuid
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.base.action import Action, Proof
from homarus.base.errors import HomarusError, Refused, Unauthenticated
from homarus.control_plane.auth import Door
from homarus.control_plane.limiter import Limiter
from homarus.control_plane.socket import Wire
from homarus.gateway.ws import frames, handshake, signature
from homarus.gateway.ws.frames import Fault, NotAFrame, Request
from homarus.gateway.ws.handshake import Admit, Ask, Connect, Deny
from homarus.gateway.ws.hub import DIRECT, EVENTS, Hub
from homarus.gateway.ws.link import Link
from homarus.gateway.ws.method import Method
from homarus.gateway.ws.methods import health
from homarus.gateway.ws.peer import Peer
from homarus.gateway.ws.secret import NONCE_BYTES, secret_of
from homarus.kernel import devices, setup_codes, surfaces, tokens
from homarus.kernel.devices import NODE, Claim, Device, Grant, Secret
from homarus.kernel.setup_codes import SetupCode
from homarus.kernel.tokens import Token
from homarus.store.port import Rx

MAX_PATH_ENV: Final = 4_096
CAPABILITIES: Final = ("published-model-catalog",)
_connect = msgspec.json.Decoder(Connect).decode


class Ended(Exception):
    """The conversation is over before its hello."""

    def __init__(self, code: int | None, reason: str = "", reply: str | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.reply = reply


class Where(msgspec.Struct, frozen=True):
    """How the client got here. `page`: its Origin is a page that may; `called`: the address that it
    called us by; `user`: who a trusted proxy says it is, in that mode."""

    address: str
    direct: bool
    page: bool
    called: str
    user: str | None = None


class Known(msgspec.Struct, frozen=True):
    """What the rows say of a client that wants in."""

    owner_of: Grant | None
    device: Device | None
    grant: Grant | None


class Greeting:
    """`take(size)`: let the socket take messages of that size from here on."""

    def __init__(
        self, hub: Hub, door: Door, limiter: Limiter, methods: dict[str, Method], where: Where,
        wire: Wire, link: Link, take: Callable[[int], None],
    ) -> None:  # fmt: skip
        self._hub = hub
        self._door = door
        self._limiter = limiter
        self._methods = methods
        self._where = where
        self._wire = wire
        self._link = link
        self._take = take

    async def run(self) -> tuple[Peer, str]:
        """The peer, and its hello as text. Raises Ended."""
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
        mode = self._hub.settings().auth_mode
        code = await self._code(frame, connect)
        token = await self._token(frame, connect)
        by = ""
        if token is None and not handshake.gives_secret(connect):
            token, by = await self._unasked(mode)
        company = "" if token is None else token.company or self._door.default_company
        known = await self._known(company, connect, token)
        facts = handshake.Facts(
            connect=connect, direct=self._where.direct, page=self._where.page, token=token,
            mode=mode, by=by, owner_of=known.owner_of, device=known.device, grant=known.grant,
            code=code,
        )  # fmt: skip
        decided = handshake.decide(facts)
        if isinstance(decided, Deny):
            raise _ended(frame, decided)
        made: dict[str, Grant] = {}
        if code is not None:
            company = code.company
            token, made = await self._redeem(frame, facts, code)
        if token is None:
            raise AssertionError("admitted without a token")
        proof = Proof.DEVICE if made or known.owner_of is not None else Proof.TOKEN
        peer = Peer(
            id=str(uuid.uuid4()), link=self._link, company=company, token=token, proof=proof,
            role=connect.role, scopes=(), client=connect.client, caps=frozenset(connect.caps),
            device=None if connect.device is None else connect.device.id,
            address=self._where.address, direct=self._where.direct, since_ms=self._hub.now_ms(),
            called=self._where.called,
        )  # fmt: skip
        if isinstance(decided, Ask):
            await self._ask(frame, connect, peer, decided, known.grant)
        assert isinstance(decided, Admit)
        grant = made.pop(peer.role, None) or await self._let_in(connect, peer, decided, known)
        peer.scopes = decided.scopes
        if peer.role == NODE:
            await self._declare(connect, peer)
        speaks = spoken if isinstance(spoken, int) else frames.PROTOCOL
        hello = await self._hello_ok(peer, decided, grant, speaks)
        if made:
            hello["auth"]["deviceTokens"] = [self._issued(other) for other in made.values()]
        self._take(self._hub.policy.max_payload_bytes)
        return peer, frames.ok(frame.id, hello)

    async def _token(self, frame: Request, connect: Connect) -> Token | None:
        """The live token of the first secret that has one. Wrong ones are counted by address."""
        secrets = handshake.secrets_of(connect)
        if not secrets:
            return None
        now_s = self._unlocked_at(frame)
        for secret in secrets:
            try:
                return await self._door.of_secret(secret)
            except Unauthenticated:
                continue
        self._limiter.failed(self._where.address, now_s)
        return None

    async def _code(self, frame: Request, connect: Connect) -> SetupCode | None:
        """The open set-up code of the bootstrap token that a device gives. Wrong ones count too."""
        secret = handshake.bootstrap_of(connect)
        if not secret or connect.device is None:
            return None
        now_s = self._unlocked_at(frame)
        found: SetupCode | None = await self._hub.means.store.read(setup_codes.redeemable, secret)
        if found is None:
            self._limiter.failed(self._where.address, now_s)
        return found

    def _unlocked_at(self, frame: Request) -> float:
        """Now, in seconds of the loop, at which a secret of this address is looked at. Raises
        Ended where it gave too many wrong ones."""
        now_s = asyncio.get_running_loop().time()
        wait_s = 0.0 if self._where.direct else self._limiter.wait_s(self._where.address, now_s)
        if wait_s > 0:
            raise _ended(frame, handshake.limited(round(wait_s * 1000)))
        return now_s

    async def _redeem(
        self, frame: Request, facts: handshake.Facts, code: SetupCode
    ) -> tuple[Token | None, dict[str, Grant]]:
        """The device is paired and the code used up, in one unit: its token, and all its grants by
        role. Raises Ended where another device was faster."""
        store, sealer = self._hub.means.store, self._hub.means.sealer
        claim = self._claim(facts.connect, ())
        secrets = {role: secret_of(sealer, os.urandom(NONCE_BYTES).hex()) for role in code.grants}
        action = Action(
            code.company, "device.redeem", f"device:{claim.device}", system="gateway",
            what=f"set-up code {code.id}",
        )  # fmt: skip
        try:
            made = await store.write(action, setup_codes.redeem, code.id, claim, secrets)
        except Refused as error:
            if error.code != setup_codes.NOT_GOOD:
                raise
            raise _ended(frame, handshake.code_invalid(facts)) from None
        token = made[claim.role].token
        return None if token is None else await store.read(tokens.by_id, token), made

    async def _unasked(self, mode: str) -> tuple[Token | None, str]:
        """Who a client is that gives no secret, and by what it is known."""
        if mode == handshake.TRUSTED_PROXY and self._where.user is not None:
            found = await self._hub.means.store.read(
                tokens.of_person, self._door.default_company, self._where.user
            )
            return found, mode
        return None, ""

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

    async def _declare(self, connect: Connect, peer: Peer) -> None:
        """What the node offers, as a row, before it can be asked for any of it."""
        if peer.device is None:
            raise AssertionError("a node without a device")
        surface = surfaces.surface_of(
            connect.caps, connect.commands, connect.permissions,
            self._hub.settings().node_commands_deny,
        )  # fmt: skip
        path_env = None if connect.path_env is None else connect.path_env[:MAX_PATH_ENV]
        await self._hub.means.store.write(
            peer.action("node.declare", f"node:{peer.device}"), surfaces.declare, peer.device,
            surface, connect.client.version, path_env,
        )  # fmt: skip

    async def _hello_ok(
        self, peer: Peer, decided: Admit, grant: Grant | None, speaks: int
    ) -> dict[str, Any]:
        hub, policy = self._hub, self._hub.policy
        auth: dict[str, Any] = {
            "method": decided.method, "role": peer.role, "scopes": list(peer.scopes),
        }  # fmt: skip
        if grant is not None and grant.nonce is not None:
            issued = self._issued(grant)
            auth |= {name: issued[name] for name in ("deviceToken", "issuedAtMs")}
        snapshot = await health.snapshot(hub, peer)
        return {
            "type": "hello-ok",
            "protocol": speaks,
            "server": {"version": __version__, "bootId": hub.boot_id, "connId": peer.id},
            "features": {
                "methods": sorted(m.name for m in self._methods.values() if m.advertised),
                "events": sorted((*EVENTS, *DIRECT)),
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

    def _issued(self, grant: Grant) -> dict[str, Any]:
        secret = secret_of(self._hub.means.sealer, grant.nonce or "")
        return {
            "deviceToken": secret.clear, "role": grant.role, "scopes": list(grant.scopes),
            "issuedAtMs": grant.rotated_ms or grant.created_ms,
        }  # fmt: skip


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
