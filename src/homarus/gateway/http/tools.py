"""`POST /tools/invoke`: one call of an agent's tool, without a model (gateway contract, 14).

The call is a turn of its own: judged under the turn's preflight, diverted or parked as a model's
would be, done at most once. Tools that run programs, write files or reach other agents are not
offered here, unless a setting says so.
"""

import json
from collections.abc import Collection
from typing import Any, Final

import msgspec

from homarus.base.errors import HomarusError, Invalid, NotFound
from homarus.flows import answering, turn_inbound
from homarus.flows.answering import Answer, Request
from homarus.gateway.http import asking
from homarus.gateway.http.asking import Envelope
from homarus.gateway.http.faults import Fault

DENIED: Final = frozenset(
    {
        "exec", "spawn", "shell", "fs_write", "fs_delete", "fs_move", "apply_patch",
        "sessions_spawn", "sessions_send", "cron", "gateway", "nodes",
        "write", "edit", "process", "send",
    }
)  # fmt: skip
"""By default (gateway contract, 14); the last line is what ours are called."""
MAX_TOOL: Final = 128
HEAVY: Final = ("args",)
"""What of a body is not kept while its answer is waited for."""
Doc = dict[str, Any]
_TYPES: Final = {400: "invalid_request", 401: "unauthorized", 404: "not_found"}


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """`tool` or `name`; `action` is an argument that some tools have; `dryRun` is taken, and
    refused where it is true."""

    tool: asking.Text | None = None
    name: asking.Text | None = None
    action: asking.Text | None = None
    args: dict[str, Any] | None = None
    session_key: asking.Text | None = None
    agent_id: asking.Text | None = None
    dry_run: bool | None = None

    @property
    def called(self) -> str:
        return (self.tool or self.name or "").strip()


def request(body: Body, about: Envelope) -> Request:
    """Raises `request.tool`, `tool.unknown` for one that is denied here."""
    tool = body.called
    if not 0 < len(tool) <= MAX_TOOL:
        raise Invalid("request.tool", "no tool is named", "Give `tool` and its `args`.")
    if body.dry_run:
        raise Invalid("request.dry_run", "a call cannot be tried without being done",
                      "Leave `dryRun` out.")  # fmt: skip
    arguments = dict(body.args or {})
    if body.action is not None:
        arguments.setdefault("action", body.action)
    return Request(
        api=answering.TOOL,
        text=f"{tool} {json.dumps(arguments)}",
        agent=about.agent or body.agent_id,
        key=about.key,
        session=about.session or body.session_key,
        options={
            turn_inbound.COMMAND: turn_inbound.CALL_TOOL,
            turn_inbound.CALL_TOOL: {"tool": tool, "arguments": arguments},
        },
    )


def not_offered(tool: str) -> NotFound:
    return NotFound("tool.unavailable", f"there is no tool {tool[:80]!r} here",
                    "See what the agent has; some are not offered over HTTP.")  # fmt: skip


def reply(body: Body, answer: Answer) -> Doc:
    _ = body
    message = answer.result or {}
    details = message.get("details")
    result = {"content": message.get("content", [])}
    return {"ok": True, "result": result if details is None else result | {"details": details}}


def fault_of(answer: Answer) -> Fault | None:
    """What the tool, or the kernel, said no to."""
    message = answer.result or {"isError": True}
    if not message.get("isError"):
        return None
    about = message.get("details") or {}
    text = "".join(str(part.get("text", "")) for part in message.get("content", ()))
    code = str(about.get("error") or "tool.failed")
    status = 404 if code == "tool.unknown" else int(about.get("status") or 500)
    return Fault(status, "tool_error", code, text or "the tool said nothing")


def error(fault: Fault) -> Doc:
    kind = _TYPES.get(fault.status, fault.type)
    message = fault.body()["error"]["message"]
    return {"ok": False, "error": {"type": kind, "message": message, "code": fault.code}}


def failure(body: Body, turn: str, created_ms: int, fault: Fault) -> Doc:
    _ = body, turn, created_ms
    return error(fault)


def unavailable(tool: str, allow: Collection[str], deny: Collection[str]) -> HomarusError | None:
    """Whether the settings keep a tool from being called here."""
    if tool in deny or (tool in DENIED and tool not in allow):
        return not_offered(tool)
    return None
