"""Tools that a turn is held to, where whoever asked named some (a job's `toolsAllow`).

It only narrows: a tool that is named is judged like any other. What is not named is neither
offered nor run, whatever the model asks for; also after a restart, since the turn's options say so.
"""

from fnmatch import fnmatchcase

from homarus.agents.port import ToolSpec
from homarus.base.errors import Invalid
from homarus.conversations.turns import Turn
from homarus.flows import turn_inbound


def permits(turn: Turn, tool: str) -> bool:
    patterns = turn.options.get(turn_inbound.TOOLS)
    return patterns is None or any(fnmatchcase(tool, pattern) for pattern in patterns)


def offered(specs: tuple[ToolSpec, ...], turn: Turn) -> tuple[ToolSpec, ...]:
    return tuple(spec for spec in specs if permits(turn, spec.name))


def check(turn: Turn, tool: str) -> None:
    """Raises `tool.not_allowed`."""
    if not permits(turn, tool):
        raise Invalid(
            "tool.not_allowed", f"this turn may not use {tool[:80]!r}",
            "Do it with the tools that are offered, or say what could not be done.",
        )  # fmt: skip
