"""Turns as they happen: what a model is saying before it is a row, and the states of the rows.

    async for event in live.follow(company, turn):
        match event:
            case Piece(): ...       more text; the piece at offset 0 of a request begins it anew
            case TurnView(): ...    the turn as its row has it, when that changed; the last: ended

Text is kept in memory while its request runs, so whoever comes late, or again, gets all of it. What
was said is a row in the end; a daemon that dies takes only the unfinished text with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from homarus.base.errors import Busy
from homarus.conversations import turns
from homarus.flows import turn_views
from homarus.flows.turn_views import TurnView
from homarus.store.port import Store

MAX_WATCHERS: Final = 1_000
IDLE_S: Final = 15.0
GAP_S: Final = 0.02
"""Rows of a turn are read at most this often for one watcher."""
SILENT: Final = "NO_REPLY"
"""What an agent answers when nobody is to be told anything (gateway contract, 12.5)."""


class Piece(msgspec.Struct, frozen=True):
    """Text of request `call` of the turn, beginning `offset` characters in."""

    call: int
    offset: int
    text: str
    thinking: bool = False


class Still(msgspec.Struct, frozen=True):
    """Nothing new for IDLE_S; the turn goes on."""


class Voice:
    """One request's text while it runs."""

    def __init__(self, live: "Live", turn: str, call: int) -> None:
        self.call = call
        self._live = live
        self._turn = turn
        self._text: list[str] = []
        self._thinking: list[str] = []

    def say(self, text: str, thinking: bool) -> None:
        (self._thinking if thinking else self._text).append(text)
        self._live.wake(self._turn)

    @property
    def text(self) -> str:
        return _joined(self._text)

    @property
    def thinking(self) -> str:
        return _joined(self._thinking)

    @property
    def shown(self) -> str:
        """The text, unless it is (or may yet become) the word for saying nothing."""
        text = self.text
        start = text.lstrip()[: len(SILENT)]
        return "" if SILENT.startswith(start) else text


def _joined(parts: list[str]) -> str:
    if len(parts) > 1:
        parts[:] = ["".join(parts)]
    return parts[0] if parts else ""


class _Watcher:
    def __init__(self, company: str, turn: str) -> None:
        self.company = company
        self.turn = turn
        self.wake = asyncio.Event()
        self.rows = True


class Live:
    """One a daemon; lives on the loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._voices: dict[str, Voice] = {}
        self._watchers: set[_Watcher] = set()
        self._closed = False
        self._undo: Callable[[], None] = lambda: None

    @property
    def watching(self) -> int:
        """How many follow a turn now."""
        return len(self._watchers)

    def start(self) -> None:
        self._closed = False
        self._undo = self._store.listen(self._committed)

    def stop(self) -> None:
        """Let every watcher go."""
        self._closed = True
        self._undo()
        for watcher in self._watchers:
            watcher.wake.set()

    def speak(self, turn: str, call: int) -> Voice:
        """A request of the turn begins; what an earlier one left unsaid is gone."""
        voice = self._voices[turn] = Voice(self, turn, call)
        return voice

    def hush(self, turn: str) -> None:
        """The request is over; its text is a row, or nothing."""
        self._voices.pop(turn, None)

    def wake(self, turn: str) -> None:
        for watcher in self._watchers:
            if watcher.turn == turn:
                watcher.wake.set()

    def _committed(self, heads: dict[str, int]) -> None:
        for watcher in self._watchers:
            if watcher.company in heads:
                watcher.rows = True
                watcher.wake.set()

    async def follow(self, company: str, turn: str) -> AsyncIterator[Piece | TurnView | Still]:
        """Until the turn has ended or the daemon stops. Raises `turn.unknown`, `turn.watchers`."""
        if len(self._watchers) >= MAX_WATCHERS:
            raise Busy("turn.watchers", f"{MAX_WATCHERS} callers follow turns", "Try it later.")
        watcher = _Watcher(company, turn)
        self._watchers.add(watcher)
        try:
            async for event in self._events(watcher):
                yield event
        finally:
            self._watchers.discard(watcher)

    async def _events(self, watcher: _Watcher) -> AsyncIterator[Piece | TurnView | Still]:
        said: TurnView | None = None
        told = (0, 0, 0)  # request, characters of text, of thinking
        while not self._closed:
            watcher.wake.clear()
            voice = self._voices.get(watcher.turn)
            if voice is not None:
                pieces, told = _new(voice, told)
                for piece in pieces:
                    yield piece
            if watcher.rows:
                watcher.rows = False
                view = await self._store.read(turn_views.view, watcher.company, watcher.turn)
                if view != said:
                    said = view
                    yield view
                    if view.turn.state not in turns.OPEN:
                        return
                await asyncio.sleep(GAP_S)
            try:
                async with asyncio.timeout(IDLE_S):
                    await watcher.wake.wait()
            except TimeoutError:
                watcher.rows = True
                yield Still()


def _new(voice: Voice, told: tuple[int, int, int]) -> tuple[list[Piece], tuple[int, int, int]]:
    """What a watcher that was told this much has not heard yet."""
    call, text_at, thinking_at = told if told[0] == voice.call else (voice.call, 0, 0)
    text, thinking = voice.shown, voice.thinking
    pieces = []
    if len(thinking) > thinking_at:
        pieces.append(Piece(call, thinking_at, thinking[thinking_at:], thinking=True))
    if len(text) > text_at:
        pieces.append(Piece(call, text_at, text[text_at:]))
    return pieces, (call, max(text_at, len(text)), max(thinking_at, len(thinking)))
