"""A node's life: connect, offer, do what is asked, and connect again when the gateway is gone.

    connecting -> connected -> gone -> (pause) -> connecting

A command that runs when the connection ends is ended with it: nobody would hear of it.
"""

import asyncio
import platform
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

from homarus import __version__
from homarus.base.errors import HomarusError, Refused
from homarus.base.process import ProcessHandle
from homarus.gateway.ws import setup_text
from homarus.gateway.ws.frames import PROTOCOL
from homarus.gateway_client import wire
from homarus.gateway_client.identity import Identity
from homarus.gateway_client.wire import Doc, Refusal, Wire
from homarus.node import commands
from homarus.node.commands import Machine

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
STEADY_S: Final = 30.0
"""A connection that lasted so long was a good one: the pauses begin anew."""
MAX_RUNS: Final = 4
MAX_TIMEOUT_MS: Final = 3_600_000

_MISSING: Final = ("AUTH_TOKEN_MISSING", "AUTH_PASSWORD_MISSING", "AUTH_REQUIRED")
_MISMATCH: Final = (
    "AUTH_TOKEN_MISMATCH", "AUTH_PASSWORD_MISMATCH", "AUTH_DEVICE_TOKEN_MISMATCH",
)  # fmt: skip
"""Codes of a gateway that does not know the secret (gateway contract, 2.5)."""
_HOW_IN: Final = (
    "Give one: --token or HOMARUS_TOKEN; or --setup-code, which `homarus device setup-code` there "
    "mints."
)

Say = Callable[[str, dict[str, Any]], None]
"""`say(what, about)`; what: connected, approved, rejected, removed, invoke, gone."""


class Settings(msgspec.Struct, frozen=True):
    """`token`: the gateway's or a person's; "" after the node was paired once. `bootstrap`: the
    bootstrap token of a set-up code, which is tried first."""

    url: str
    token: str
    name: str
    bootstrap: str = ""


def invited(code: str, name: str, url: str | None, token: str) -> Settings:
    """What a set-up code says; `url`: not there, but here. Raises `device.code`."""
    offer = setup_text.offer_of(code)
    return Settings(url or offer.url, token, name, offer.bootstrap_token)


class Host:
    """`chance()`: 0 to 1, for jitter."""

    def __init__(
        self, settings: Settings, identity: Identity, machine: Machine, say: Say,
        chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._identity = identity
        self._machine = machine
        self._say = say
        self._chance = chance
        self._bootstrap = settings.bootstrap
        self._running: dict[str, ProcessHandle | None] = {}

    async def run(self) -> None:
        """Until cancelled. Raises where the gateway does not know this machine, and would not the
        next time: `device.code_invalid` (a set-up code is all that it has), `node.no_token`,
        `node.token`, `node.removed`."""
        loop = asyncio.get_running_loop()
        failed = 0
        while True:
            began = loop.time()
            try:
                await self._connection()
            except HomarusError as error:
                if self._used_up(error):
                    continue
                self._check_hope(error)
                failed = 1 if loop.time() - began >= STEADY_S else failed + 1
                pause_s = pause(failed, self._chance())
                about = {"code": error.code, "why": error.message, "againInS": round(pause_s, 1)}
                self._say("gone", about | _hint(error))
            await asyncio.sleep(pause_s)

    def _used_up(self, error: HomarusError) -> bool:
        """Whether it was about the set-up code, and there is a token to go on with: a node that is
        started again is given the same words. Raises `device.code_invalid`."""
        about = error.details if isinstance(error, Refusal) else {}
        if about.get("code") != "AUTH_BOOTSTRAP_TOKEN_INVALID" or not self._bootstrap:
            return False
        if not (self._identity.token() or self._settings.token):
            raise Refused("device.code_invalid", error.message,
                          "Have another one minted: `homarus device setup-code`.",
                          rule="identity") from None  # fmt: skip
        self._bootstrap = ""
        return True

    def _check_hope(self, error: HomarusError) -> None:
        """Raises what to do, where the same words would be refused for ever."""
        if not isinstance(error, Refusal):
            return
        code, url = error.details.get("code"), self._settings.url
        if code in _MISSING:
            raise Refused("node.no_token", f"{url} wants a token, and this machine has none",
                          _HOW_IN, rule="identity") from None  # fmt: skip
        if code in _MISMATCH and self._settings.token:
            kept = ", nor the one that this machine kept" if self._identity.token() else ""
            raise Refused("node.token", f"{url} does not know this token{kept}",
                          _HOW_IN, rule="identity") from None  # fmt: skip
        if code in _MISMATCH:
            raise Refused(
                "node.removed", f"{url} does not know this machine any more: it was removed there, "
                "or what it was given was revoked", _HOW_IN, rule="identity",
            ) from None  # fmt: skip

    async def _connection(self) -> None:
        """One, until it ends. Raises HomarusError."""
        asked: asyncio.Queue[Doc] = asyncio.Queue(maxsize=4 * MAX_RUNS)

        def heard(name: str, payload: Doc) -> None:
            if name == "node.invoke.request" and not asked.full():
                asked.put_nowait(payload)
            elif name == "node.invoke.cancel":
                self._stop(str(payload.get("id")))
            elif name == "node.pair.resolved" and payload.get("nodeId") == self._identity.id:
                self._say(str(payload.get("decision")), {})

        async with wire.connected(self._settings.url, self._hello, heard) as (link, listening):
            auth = link.hello.get("auth") or {}
            if auth.get("deviceToken"):
                self._identity.keep_token(str(auth["deviceToken"]))
                self._bootstrap = ""
            self._say("connected", {"url": self._settings.url, "nodeId": self._identity.id})
            working = asyncio.create_task(self._work(link, asked))
            try:
                await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            await listening

    def _hello(self, nonce: str, at_ms: int) -> Doc:
        given = {"token": self._settings.token, "deviceToken": self._identity.token()}
        if self._bootstrap:
            given = {"bootstrapToken": self._bootstrap}
        connect: Doc = {
            "minProtocol": PROTOCOL, "maxProtocol": PROTOCOL, "role": "node", "scopes": [],
            "client": {
                "id": "node-host", "mode": "node", "version": __version__,
                "platform": platform.system().lower(), "displayName": self._settings.name,
            },
            "caps": list(commands.CAPS), "commands": sorted(commands.COMMANDS),
            "permissions": {}, "auth": {name: text for name, text in given.items() if text},
        }  # fmt: skip
        return connect | {"device": self._identity.proof(connect, nonce, at_ms)}

    async def _work(self, link: Wire, asked: "asyncio.Queue[Doc]") -> None:
        slots = asyncio.Semaphore(MAX_RUNS)
        async with asyncio.TaskGroup() as group:
            while True:
                request = await asked.get()
                if str(request.get("id")) in self._running:
                    continue
                await slots.acquire()
                task = group.create_task(self._one(link, request))
                task.add_done_callback(lambda _: slots.release())

    async def _one(self, link: Wire, request: Doc) -> None:
        id_, command = str(request.get("id")), str(request.get("command"))
        timeout_ms = request.get("timeoutMs")
        wait_ms = min(timeout_ms, MAX_TIMEOUT_MS) if isinstance(timeout_ms, int) else 30_000
        self._running[id_] = None

        def started(handle: ProcessHandle) -> None:
            self._running[id_] = handle

        try:
            said = await commands.do(
                self._machine, command, request.get("paramsJSON"), wait_ms, started
            )
            self._say("invoke", {"id": id_, "command": command, "ok": said["ok"]})
            await link.call("node.invoke.result", {"id": id_, "nodeId": self._identity.id} | said)
        except HomarusError as error:
            self._say("unsaid", {"id": id_, "code": error.code})
        finally:
            self._running.pop(id_, None)

    def _stop(self, id_: str) -> None:
        handle = self._running.get(id_)
        if handle is not None:
            handle.stop()


def pause(failed: int, chance: float) -> float:
    """Seconds until the next attempt after `failed` ones in a row: 1, 2, 4 to 60, less up to half
    of it by chance."""
    longest: float = min(FIRST_PAUSE_S * 2.0 ** min(failed - 1, 16), LONGEST_PAUSE_S)
    return longest * (1 - chance / 2)


def _hint(error: HomarusError) -> dict[str, Any]:
    """What helps, of what the gateway says."""
    if not isinstance(error, Refusal):
        return {}
    names = ("requestId", "remediationHint", "recommendedNextStep")
    return {name: error.details[name] for name in names if error.details.get(name)}
