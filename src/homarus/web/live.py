"""Live updates: one socket a tab, told what changed and never what it is (dashboard contract, 5).

A message is a JSON list of `{seq, kind, subject}`. The page fetches the fragments that declared
interest, so that rights are checked where content is rendered.
"""

import asyncio
from typing import Any, Final

import structlog

from homarus.base.errors import HomarusError, Refused
from homarus.control_plane.judged import Admit
from homarus.store.port import Store
from homarus.web import guard
from homarus.web.stream import Company, Frame, Tab, encode
from homarus.web.visit import Asked, Visit, visit

log = structlog.get_logger("web")

MAX_TABS: Final = 500
BEAT_S: Final = 2.0
"""A silent socket says that it lives, so that a page knows within 5 s when it does not."""
SEND_S: Final = 20.0
CHECK_S: Final = 30.0
MAX_MESSAGE_BYTES: Final = 1_024
SIGNED_OUT: Final = 4401
REFUSED: Final = 4403
BUSY: Final = 1013


class Hub:
    """All open tabs. `start` and `stop` bracket them; each socket's task owns its tab."""

    def __init__(self, store: Store, admit: Admit, names: frozenset[str]) -> None:
        self._store = store
        self._admit = admit
        self._names = names
        self._companies: dict[str, Company] = {}
        self._tabs = 0
        self._undo: Any = None

    def start(self) -> None:
        self._undo = self._store.listen(self._committed)

    def stop(self) -> None:
        if self._undo is not None:
            self._undo()
            self._undo = None

    def _committed(self, heads: dict[str, int]) -> None:
        for company, seq in heads.items():
            if company in self._companies:
                self._companies[company].committed(seq)
            if company == "":
                self._check_all()

    def _check_all(self) -> None:
        """The instance's tokens changed: every session is looked at again."""
        for company in self._companies.values():
            for tab in company.tabs:
                tab.check = True
                tab.wake.set()

    # -- one socket ------------------------------------------------------------------------

    async def serve(self, socket: Any) -> None:
        """A Starlette WebSocket, from handshake to close."""
        try:
            guard.check_host(socket.headers, self._names)
            guard.check_origin(socket.headers)
        except Refused:
            await socket.close(REFUSED)
            return
        await socket.accept()
        asked = Asked(socket.cookies.get(guard.SESSION_COOKIE), socket.query_params.get("company"))
        try:
            seen = await self._look(asked)
        except HomarusError:
            await socket.close(SIGNED_OUT)
            return
        if self._tabs >= MAX_TABS:
            await socket.close(BUSY)
            return
        self._tabs += 1
        company = self._companies.get(seen.company.id)
        if company is None:
            company = Company(self._store, seen.company.id, seen.company.no, seen.seq)
            self._companies[seen.company.id] = company
        tab = Tab(_after(socket.query_params.get("after"), seen.seq))
        company.tabs.add(tab)
        try:
            await self._run(socket, asked, company, tab)
        finally:
            self._tabs -= 1
            company.tabs.discard(tab)
            if not company.tabs:
                self._companies.pop(seen.company.id, None)

    async def _look(self, asked: Asked) -> Visit[None]:
        seen: Visit[None] = await self._store.read(
            visit, self._admit, asked, "read", lambda rx, company: None
        )
        return seen

    async def _run(self, socket: Any, asked: Asked, company: Company, tab: Tab) -> None:
        reader = asyncio.create_task(_drain(socket))
        writer = asyncio.create_task(self._write(socket, asked, company, tab))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
            writer.cancel()
            ended = await asyncio.gather(reader, writer, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, TimeoutError | OSError):
                log.warning("socket_failed", exc_info=error)

    async def _write(self, socket: Any, asked: Asked, company: Company, tab: Tab) -> None:
        loop = asyncio.get_running_loop()
        await company.join(tab)
        await _send(socket, tab.take(company.seq) or encode([Frame(tab.seq, "ready")]))
        checked = loop.time()
        while True:
            message = await _next(company, tab) or encode([Frame(tab.seq, "beat")])
            await _send(socket, message)
            if tab.check or loop.time() - checked > CHECK_S:
                tab.check = False
                checked = loop.time()
                try:
                    await self._look(asked)
                except HomarusError:
                    await socket.close(SIGNED_OUT)
                    return


async def _next(company: Company, tab: Tab) -> bytes | None:
    """The next message, as soon as there is one; None after BEAT_S, or when a check is due."""
    try:
        async with asyncio.timeout(BEAT_S):
            while True:
                await tab.wake.wait()
                tab.wake.clear()
                await company.advance()
                message = tab.take(company.seq)
                if message is not None or tab.check:
                    return message
    except TimeoutError:
        return None


async def _send(socket: Any, message: bytes) -> None:
    """Raises TimeoutError for a client that takes nothing for SEND_S."""
    async with asyncio.timeout(SEND_S):
        await socket.send_text(message.decode())


async def _drain(socket: Any) -> None:
    """Pages say nothing; a disconnect, or a talkative client, ends the socket."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if len(message.get("text") or message.get("bytes") or "") > MAX_MESSAGE_BYTES:
            await socket.close(1009)
            return


def _after(text: str | None, head: int) -> int:
    """The last `seq` that the page has seen; without one, what is there now."""
    if text is None or not (text.isascii() and text.isdecimal()) or len(text) > 18:
        return head
    return int(text)
