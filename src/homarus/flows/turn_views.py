"""Turns as they are shown: a row, its tool calls, what it waits for."""

from typing import Final

import msgspec

from homarus.conversations import turns
from homarus.conversations.turns import Turn
from homarus.kernel import approval_queries
from homarus.store.port import Rx

MAX_CALLS: Final = 500


class ToolView(msgspec.Struct, frozen=True):
    """A tool call. `approval`: the number of the question that it waits for."""

    id: str
    tool: str
    arguments: str
    state: str
    approval: str | None


class TurnView(msgspec.Struct, frozen=True):
    """`session` is its full key."""

    turn: Turn
    session: str
    tools: tuple[ToolView, ...]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Numbers of the approvals that it is parked for."""
        return tuple(
            dict.fromkeys(t.approval for t in self.tools if t.state == "waiting" and t.approval)
        )


def view(rx: Rx, company: str, ref: str) -> TurnView:
    """Raises `turn.unknown`."""
    return of(rx, turns.need(rx, company, ref))


def of(rx: Rx, turn: Turn) -> TurnView:
    row = rx.one("select key from session where id=?", (turn.session,))
    rows = rx.all(
        "select id, tool, arguments, state, approval from tool_call where turn=? "
        "order by seq, n limit ?",
        (turn.id, MAX_CALLS),
    )
    tools = tuple(
        ToolView(id, tool, arguments, state, _number(rx, turn.company, approval))
        for id, tool, arguments, state, approval in rows
    )
    return TurnView(turn, "" if row is None else row[0], tools)


def _number(rx: Rx, company: str, approval: str | None) -> str | None:
    if approval is None:
        return None
    row = approval_queries.find(rx, company, approval)
    return approval if row is None else row.number
