"""What Claude Code prints with `--output-format stream-json`, folded into how it ended. Pure.

A line is one JSON object: `system` (its `init` names the session), `assistant`, `user`, in the end
`result`. Types that are not known, and lines that are no JSON, are passed over and counted.
"""

import json
import math
from typing import Any, Final

from homarus.flows.running import Spent

MAX_TEXT: Final = 200_000
MICROS: Final = 1_000_000
MAX_TOOLS: Final = 50
MAX_MONEY: Final = 1_000_000.0


class Told:
    """`began`: its session has begun; `subtype` of its result, None while there is none."""

    def __init__(self) -> None:
        self.session: str | None = None
        self.model: str | None = None
        self.began = False
        self.subtype: str | None = None
        self.is_error = False
        self.unread = 0
        self.turns = 0
        self.denied = 0
        self.spent: Spent | None = None
        self.cost_usd: float | None = None
        self.tools: list[str] = []
        self._said = ""
        self._result = ""

    @property
    def text(self) -> str:
        """The result's, else the last thing it said."""
        return self._result or self._said

    def line(self, line: bytes) -> None:
        start = line.find(b"{")  # some terminals' codes may come first
        try:
            event = json.loads(line[start:]) if start >= 0 else None
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            self.unread += 1
            return
        match event.get("type"):
            case "system" if event.get("subtype") == "init":
                self.began = True
                self.session = _word(event.get("session_id"))
                self.model = _word(event.get("model"))
            case "assistant":
                self.began = True
                self._assistant(event.get("message"))
            case "result":
                self._end(event)

    def _assistant(self, message: Any) -> None:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            return
        texts = []
        for part in content:
            if not isinstance(part, dict):
                continue
            if part.get("type") == "text" and isinstance(part.get("text"), str):
                texts.append(part["text"])
            elif part.get("type") == "tool_use" and len(self.tools) < MAX_TOOLS:
                self.tools.append(str(part.get("name"))[:100])
        self._said = "".join(texts)[:MAX_TEXT] or self._said

    def _end(self, event: dict[str, Any]) -> None:
        self.subtype = _word(event.get("subtype")) or "none"
        self.is_error = bool(event.get("is_error")) or self.subtype != "success"
        self.session = _word(event.get("session_id")) or self.session
        self.turns = _count(event.get("num_turns"))
        denials = event.get("permission_denials")
        self.denied = len(denials) if isinstance(denials, list) else 0
        if isinstance(event.get("result"), str):
            self._result = event["result"][:MAX_TEXT]
        usage = event.get("usage")
        usage = usage if isinstance(usage, dict) else {}
        cost = event.get("total_cost_usd")
        known = isinstance(cost, int | float) and math.isfinite(cost) and 0 <= cost <= MAX_MONEY
        self.cost_usd = float(cost) if known else None  # type: ignore[arg-type]
        read = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        self.spent = Spent(
            self.model,
            sum(_count(usage.get(name)) for name in read),
            _count(usage.get("output_tokens")),
            None if self.cost_usd is None else round(self.cost_usd * MICROS),
        )


def _word(value: Any) -> str | None:
    return value[:200] if isinstance(value, str) and value else None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
