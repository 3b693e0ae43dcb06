"""Restarts that clients ask for (gateway contract, 15): put together, and told of afterwards.

    ask(...)      the sentinel is on disk, then the restart is due after its delay
    run()         asks the process for it when it is due
    report()      at the next start: the sentinel's outcome into the session of who asked

Between two restarts are COOLDOWN_S at least. Who asks while one is due shares it.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import structlog

from homarus.base import private
from homarus.base.errors import HomarusError

log = structlog.get_logger("gateway")

SENTINEL: Final = Path("run/restart-sentinel.json")
COOLDOWN_S: Final = 30.0
DELAY_MS: Final = 2_000
MAX_DELAY_MS: Final = 60_000
MAX_NOTE: Final = 2_000
Doc = dict[str, Any]
Tell = Callable[[Doc], Awaitable[None]]


class Restarts:
    """Lives on the loop. `restart`: what brings it about; None where nothing does. `last`: what the
    sentinel of this start said."""

    def __init__(self, home: Path) -> None:
        self._path = home / SENTINEL
        self.restart: Callable[[], None] | None = None
        self.last: Doc | None = None
        self._due_s: float | None = None
        self._not_before_s = 0.0
        self._asked = asyncio.Event()

    async def ask(self, reason: str, payload: Doc, delay_ms: int | None = None) -> Doc:
        """When it will happen. `payload`: what is told afterwards; that of the first who asked
        stays. Raises OSError."""
        now_s = asyncio.get_running_loop().time()
        coalesced = self._due_s is not None
        wanted_ms = DELAY_MS if delay_ms is None else max(0, min(delay_ms, MAX_DELAY_MS))
        due_s = max(now_s + wanted_ms / 1000, self._not_before_s)
        cooldown_s = max(0.0, due_s - now_s - wanted_ms / 1000)
        if self._due_s is None:
            await asyncio.to_thread(self._write, payload)
            self._due_s = due_s
        else:
            self._due_s = due_s = min(self._due_s, due_s)
        self._asked.set()
        log.warning("restart_asked", reason=reason, coalesced=coalesced)
        return {
            "ok": True, "pid": os.getpid(), "signal": "SIGUSR2", "mode": "emit", "reason": reason,
            "delayMs": max(0, round((due_s - now_s) * 1000)), "coalesced": coalesced,
            "cooldownMsApplied": 0 if coalesced else round(cooldown_s * 1000),
        }  # fmt: skip

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._due_s is not None and self._due_s > loop.time():
                try:
                    async with asyncio.timeout_at(self._due_s):
                        await self._asked.wait()
                        self._asked.clear()
                except TimeoutError:
                    break
            if self._due_s is not None and self.restart is not None:
                self._due_s = None
                self._not_before_s = loop.time() + COOLDOWN_S
                self.restart()

    async def report(self, tell: Tell) -> None:
        """Once, after a start: what the one before left to be told. It is gone when it was told; a
        sentinel that says nothing is removed."""
        payload = await asyncio.to_thread(self._read)
        if payload is None:
            return
        self.last = payload
        self._not_before_s = asyncio.get_running_loop().time() + COOLDOWN_S
        try:
            await tell(payload)
        except HomarusError as error:
            log.warning("restart_untold", code=error.code, message=error.message)
        try:
            await asyncio.to_thread(self._path.unlink, True)
        except OSError as error:
            log.error("sentinel_kept", why=str(error))

    def _write(self, payload: Doc) -> None:
        private.write(self._path, msgspec.json.encode({"version": 1, "payload": payload}).decode())

    def _read(self) -> Doc | None:
        text = private.read(self._path)
        if not text:
            return None
        try:
            found = msgspec.json.decode(text, type=dict[str, Any]).get("payload")
        except msgspec.DecodeError:
            found = None
        return found if isinstance(found, dict) else {}


def payload(
    kind: str, at_ms: int, *, mode: str, root: str, requires: bool, session: str | None = None,
    note: str | None = None, delivery: Any = None,
) -> Doc:  # fmt: skip
    """What a sentinel says (gateway contract, 8)."""
    found: Doc = {
        "kind": kind, "status": "ok", "ts": at_ms, "sessionKey": session,
        "deliveryContext": delivery, "message": None if note is None else note[:MAX_NOTE],
    }  # fmt: skip
    stats = {"mode": mode, "root": root, "requiresRestart": requires}
    return {name: value for name, value in found.items() if value is not None} | {"stats": stats}
