"""What a model is offered of MCP servers, and a call of it: an act of a real task, judged as the
capability that its tool is; one that an owner declared as reading is judged before it looks.

The description that a model sees is the one that was granted, from the row, not what the server
says today.
"""

import re
from typing import Any, Final

import msgspec

from homarus.agents.mcp.servers import Servers
from homarus.agents.port import ToolSpec
from homarus.agents.tools.commands import act, think
from homarus.agents.tools.hands import Hands, need_work
from homarus.base.action import Effect
from homarus.base.errors import Invalid
from homarus.base.redact import redact_text
from homarus.company.agents import Agent
from homarus.flows import calling, turn_tools
from homarus.flows.turn_tools import Result
from homarus.kernel import mcp_servers, registry
from homarus.kernel.capabilities import BUILTIN
from homarus.store.port import Store, Tx

MAX_NAME: Final = 64
MAX_ABOUT: Final = 1_024
WAIT_S: Final = 60.0
PREFIX: Final = "mcp__"
_PLAIN: Final[dict[str, Any]] = {"type": "object", "properties": {}}


def name_of(capability: str) -> str:
    """`mcp.notes.search` as a model calls it: `mcp__notes__search`."""
    return capability.replace(".", "__")[:MAX_NAME]


class McpTools:
    def __init__(self, store: Store, servers: Servers) -> None:
        self._store = store
        self._servers = servers

    async def specs(self, agent: Agent) -> tuple[ToolSpec, ...]:
        """Those that this agent is granted, as they were granted."""
        found = await self._store.read(
            mcp_servers.offered, agent.company, agent.id, agent.role
        )  # fmt: skip
        return tuple(
            ToolSpec(name_of(o.capability.id), _about(o), _schema(o.capability)) for o in found
        )

    async def run(self, name: str, arguments: dict[str, Any], hands: Hands) -> Result:
        """Raises `tool.unknown`, `call.arguments`, `mcp.*`, and what the kernel refuses."""
        agent = hands.started.agent
        row, place = await self._named(agent, name)
        calling.check_arguments(row, arguments)
        target = f"mcp:{place[0]}"
        digest = calling.digest_of(row.id, target, arguments)
        what = redact_text(msgspec.json.encode(arguments).decode())
        if row.effect == Effect.READ:
            task = hands.work or hands.started.task.id
            action = act(hands, task, row.id, target, Effect.READ, None, digest, what)
            await hands.store.write(action, _judged)
        else:
            work = need_work(hands, row.id)
            target = f"task:{work}"
            digest = calling.digest_of(row.id, target, arguments)
            preflight = await think(hands, work, row, target)
            turn = hands.started.turn
            action = act(hands, work, row.id, target, Effect(row.effect), preflight, digest, what)
            await hands.store.write(action, turn_tools.begin, turn.id, turn.token, hands.call.id)
        link = await self._servers.ready(agent.company, agent.id, row, place)
        said = await self._servers.call(link, agent.id, place[1], arguments, WAIT_S)
        source = f"mcp:{place[0]}/{place[1]}"
        return Result(said.content, said.is_error, {"source": source, "capability": row.id})

    async def _named(self, agent: Agent, name: str) -> tuple[registry.Capability, tuple[str, str]]:
        """Whether it is granted is not asked here: the kernel says so, and writes it down."""
        id_ = name.replace("__", ".")
        row = await self._store.read(registry.by_id, agent.company, id_)
        place = await self._store.read(mcp_servers.place_of, agent.company, id_)
        if row is None or place is None or id_ in BUILTIN:
            raise Invalid("tool.unknown", f"there is no tool {name[:80]!r}",
                          "Use one that is offered.")  # fmt: skip
        return row, place


def _judged(tx: Tx) -> None:
    """The kernel has let it pass; a read leaves no row."""
    _ = tx


def _about(offered: mcp_servers.Offered) -> str:
    said = re.sub(r"\s+", " ", offered.capability.description).strip()[:MAX_ABOUT]
    return f"[{offered.server}, MCP] {said}"


def _schema(row: registry.Capability) -> dict[str, Any]:
    if row.input is None:
        return _PLAIN
    schema: dict[str, Any] = msgspec.json.decode(row.input)
    return schema
