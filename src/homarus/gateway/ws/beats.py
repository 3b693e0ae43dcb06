"""Heartbeats of agents as `health` and `status` tell of them (gateway contract, 8)."""

from typing import Any, Final

from homarus.company import heartbeat_rules as rules
from homarus.company import heartbeats as rows
from homarus.company.agents import Agent
from homarus.company.heartbeats import Heartbeat
from homarus.flows import heartbeats
from homarus.store.port import Rx

DISABLED: Final = "disabled"
"""In the place of an interval."""
Doc = dict[str, Any]


class Beats:
    """Those of a company's agents as they are set; the company's switch counts too."""

    def __init__(self, rx: Rx, company: str) -> None:
        found = rows.listed(rx, company, limit=heartbeats.MAX_AGENTS)
        self._of = {row.agent: row for row in found}

    def short(self, agent: Agent) -> Doc:
        row = self._on(agent.id)
        if row is None:
            return {"enabled": False, "every": DISABLED, "everyMs": None}
        every = rules.interval_text(row.every_ms)
        return {"enabled": True, "every": every, "everyMs": row.every_ms}

    def full(self, agent: Agent) -> Doc:
        row = self._of.get(agent.id)
        return self.short(agent) | {
            "prompt": (row.prompt if row is not None else None) or heartbeats.PROMPT,
            "target": rows.MAIN if row is None else row.target,
            "ackMaxChars": rules.DEFAULT_ACK_CHARS if row is None else row.ack_max_chars,
        }

    def seconds(self, default: Agent | None) -> int:
        """Between two of the default agent, or of whoever has the most; 0: there are none."""
        if default is not None:
            return self._every_ms(default.id) // 1000
        return min(filter(None, map(self._every_ms, self._of)), default=0) // 1000

    def _every_ms(self, agent: str) -> int:
        row = self._on(agent)
        return 0 if row is None else row.every_ms

    def _on(self, agent: str) -> Heartbeat | None:
        row = self._of.get(agent)
        return row if row is not None and row.enabled and row.company_on else None
