"""All tools of an agent, in one table: what the turn loop offers and runs."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from homarus.agents.port import ToolSpec
from homarus.agents.tools.hands import Hands
from homarus.agents.tools.tool import Tool
from homarus.base.errors import Invalid
from homarus.base.nearest import did_you_mean
from homarus.company.agents import Agent
from homarus.conversations.sessions import Session
from homarus.flows.turn_tools import Result, ToolCall


class More(Protocol):
    """Tools that come and go: those of MCP servers."""

    async def specs(self, agent: Agent) -> tuple[ToolSpec, ...]: ...

    async def run(self, name: str, arguments: dict[str, Any], hands: Hands) -> Result: ...


class Kit:
    """The tools that are built in, and `more`, whose names begin with `prefix`. `harmless`: names
    whose call may simply be repeated."""

    def __init__(
        self, tools: Iterable[Tool], more: More | None = None, prefix: str = "mcp__"
    ) -> None:
        self._more = more
        self._prefix = prefix
        self._tools: Mapping[str, Tool] = {tool.name: tool for tool in tools}
        self._specs = tuple(tool.spec for tool in self._tools.values())
        self.harmless = frozenset(tool.name for tool in self._tools.values() if tool.harmless)

    @property
    def tools(self) -> tuple[Tool, ...]:
        return tuple(self._tools.values())

    async def specs(self, agent: Agent, session: Session) -> tuple[ToolSpec, ...]:
        _ = session
        if self._more is None:
            return self._specs
        return (*self._specs, *await self._more.specs(agent))

    async def run(self, call: ToolCall, arguments: dict[str, Any], hands: Hands) -> Result:
        """Raises `tool.unknown`, `tool.arguments`, and what the tool raises."""
        tool = self._tools.get(call.tool)
        if tool is None and self._more is not None and call.tool.startswith(self._prefix):
            return await self._more.run(call.tool, arguments, hands)
        if tool is None:
            raise Invalid(
                "tool.unknown",
                f"there is no tool {call.tool[:80]!r}",
                did_you_mean(call.tool, self._tools, "Use one that is offered."),
            )
        return await tool.run(arguments, hands)
