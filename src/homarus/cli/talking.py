"""What the commands that talk with agents share: following a turn to its end, showing it."""

import time
from collections.abc import Callable
from typing import Any, Final

from homarus.cli.context import Context
from homarus.cli.output import clean
from homarus.client.errors import Unreachable

MAX_RECONNECTS: Final = 60
RECONNECT_S: Final = 1.0
STREAM_S: Final = 60.0
"""Longest silence of the stream; the daemon says something every 15 s."""

Row = dict[str, Any]


class Follow:
    """A turn as it happens. `on_text` gets what is new of the answer; `on_turn` each state."""

    def __init__(
        self, ctx: Context, on_text: Callable[[str], None], on_turn: Callable[[Row], None]
    ) -> None:
        self._ctx = ctx
        self._on_text = on_text
        self._on_turn = on_turn
        self._call = 0
        self._shown = ""

    def to_end(self, turn: str) -> Row:
        """The ended turn. A stream that is cut (the daemon restarts) is taken up again, a bounded
        number of times. Raises `client.unreachable`."""
        cut = 0
        while True:
            client = self._ctx.client(STREAM_S)
            try:
                for kind, data in client.events(f"/turns/{turn}/events"):
                    if kind == "delta":
                        self._delta(data)
                    elif kind in ("turn", "end"):
                        self._on_turn(data)
                    if kind == "end":
                        self._rest(data)
                        return dict(data)
            except Unreachable:
                if cut >= MAX_RECONNECTS:
                    raise
            finally:
                client.close()
            cut += 1
            time.sleep(RECONNECT_S)

    def _delta(self, data: Row) -> None:
        if data["thinking"]:
            return
        if data["call"] != self._call:
            if self._shown:
                self._on_text("\n")
            self._call, self._shown = data["call"], ""
        new = data["text"][max(0, len(self._shown) - data["offset"]) :]
        if new:
            self._shown += new
            self._on_text(clean(new))

    def _rest(self, turn: Row) -> None:
        """What of the answer was not shown as it came."""
        outcome = turn["outcome"] or {}
        text = "" if outcome.get("error") else str(outcome.get("text") or "")
        if text == self._shown:
            return
        if text.startswith(self._shown):
            self._on_text(clean(text[len(self._shown) :]))
        elif turn["state"] == "done":
            self._on_text(("\n" if self._shown else "") + clean(text))


def wait(ctx: Context, turn: str) -> Row:
    """The ended turn, without a word in between."""
    return Follow(ctx, lambda _: None, lambda _: None).to_end(turn)


def show_end(ctx: Context, turn: Row) -> None:
    """An answer, or why there is none."""
    outcome = turn["outcome"] or {}
    if outcome.get("error"):
        ctx.out.alert(f"{outcome['error']}: {outcome.get('text') or 'no answer'}")
        if outcome.get("remedy"):
            ctx.out.line(outcome["remedy"])
    elif turn["endedAt"] is None:
        ctx.out.line(f"{turn['state']}: turn {turn['id']}")
    else:
        ctx.out.line(str(outcome.get("text") or f"({turn['state']})"))
