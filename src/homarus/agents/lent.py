"""Tools that an asker lends for one turn: the model may call them, and whoever asked does them.

They stand in the turn's options; such a call ends the turn (`turning.hand_out`), and nothing of
ours acts. None may be called like a tool of the agent's own: it would take the place of an act that
the kernel judges.
"""

from collections.abc import Sequence
from typing import Final

from homarus.agents.port import ToolSpec
from homarus.base.errors import Invalid
from homarus.conversations.turns import Turn
from homarus.flows.turn_tools import ToolCall

LENT: Final = "clientTools"
"""Option of a turn: `[{"name", "description", "parameters"}]`."""


def names(turn: Turn) -> frozenset[str]:
    return frozenset(tool["name"] for tool in turn.options.get(LENT, ()))


def offered(own: tuple[ToolSpec, ...], turn: Turn) -> tuple[ToolSpec, ...]:
    """Raises `tool.name_taken`."""
    lent = turn.options.get(LENT, ())
    taken = sorted({tool.name for tool in own} & names(turn))
    if taken:
        raise Invalid(
            "tool.name_taken", f"the agent has a tool {taken[0]!r} of its own",
            "Call yours something else.",
        )  # fmt: skip
    return own + tuple(
        ToolSpec(tool["name"], tool.get("description") or "", tool.get("parameters") or _NOTHING)
        for tool in lent
    )


_NOTHING: Final = {"type": "object", "properties": {}}


def split(
    turn: Turn, calls: Sequence[ToolCall]
) -> tuple[tuple[ToolCall, ...], tuple[ToolCall, ...]]:
    """The agent's own calls, and those of lent tools."""
    lent = names(turn)
    return (
        tuple(call for call in calls if call.tool not in lent),
        tuple(call for call in calls if call.tool in lent),
    )
