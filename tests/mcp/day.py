"""A working day by tools alone: every tool once, in an order in which each has something to do.

The same steps run over HTTP in both eras of the protocol, over stdio, and as callers who may not.
"""

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final, NamedTuple

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from homarus.testing.daemon import Daemon

Seen = dict[str, Any]
HELLO: Final = "hello.say"


class Step(NamedTuple):
    """One call. `arguments` of what was seen; `keep`: name -> path of keys into its answer."""

    tool: str
    arguments: Callable[[Seen], dict[str, Any]]
    keep: Mapping[str, tuple[str, ...]] = {}


def spec(seen: Seen, **more: Any) -> dict[str, Any]:
    return {
        "projectId": seen["project"],
        "taskType": "release_note",
        "title": "Write the notes",
        "description": "For the release",
        "acceptanceCriteria": ["all changes are named"],
        "deliverables": ["notes.md"],
    } | more


DAY: Final = (
    Step(
        "create_agent",
        lambda s: {"name": s["name"], "role": "coder"},
        {"agent": ("agent", "id")},
    ),
    Step("list_agents", lambda s: {"limit": 5}),
    Step("get_agent", lambda s: {"agentId": s["agent"]}),
    Step("update_agent", lambda s: {"agentId": s["agent"], "concurrencyLimit": 9}),
    Step("create_project", lambda s: {"goal": "Ship it"}, {"project": ("project", "id")}),
    Step("list_projects", lambda s: {"status": "active"}),
    Step("get_project", lambda s: {"projectId": s["project"]}),
    Step("update_project", lambda s: {"projectId": s["project"], "maxActiveAgents": 5}),
    Step("create_task", lambda s: spec(s, capability=HELLO), {"task": ("task", "id")}),
    Step("create_task", lambda s: spec(s, taskType="bug_fix"), {"second": ("task", "id")}),
    Step("create_task", lambda s: spec(s, taskType="unit_test"), {"third": ("task", "id")}),
    Step("list_tasks", lambda s: {"projectId": s["project"], "state": "inbox"}),
    Step("get_task", lambda s: {"taskId": s["task"]}),
    Step("update_task", lambda s: {"taskId": s["task"], "priority": 50}),
    Step("query_capabilities", lambda s: {"intent": "say hello", "agentId": s["name"]}),
    Step("claim", lambda s: {"agentId": s["name"]}, {"token": ("task", "leaseToken")}),
    Step("claim_task", lambda s: {"agentId": s["name"], "taskId": s["second"]}),
    Step("claim_task", lambda s: {"agentId": s["name"], "taskId": s["third"]}),
    Step("get_task_context", lambda s: {"taskId": s["task"]}),
    Step(
        "preflight",
        lambda s: {"agentId": s["name"], "intent": "say hello", "taskId": s["task"]},
        {"preflight": ("preflight", "id")},
    ),
    Step("heartbeat", lambda s: {"agentId": s["name"], "currentLoad": 3}),
    Step("add_note", lambda s: {"taskId": s["task"], "agentId": s["name"], "note": "Begun."}),
    Step(
        "call_capability",
        lambda s: {
            "capability": HELLO, "taskId": s["task"], "agentId": s["name"],
            "arguments": {}, "leaseToken": s["token"],
        },
        {"call": ("call", "id")},
    ),
    Step("get_call", lambda s: {"callId": s["call"]}),
    Step("list_events", lambda s: {"from": "2026-01-02T03:04:05Z", "taskId": s["task"]}),
    Step("search_docs", lambda s: {"search": "house"}),
    Step("get_doc", lambda s: {"docId": "W-1", "version": 1}),
    Step(
        "send_message",
        lambda s: {"text": "Done soon", "agentId": s["name"]},
        {"thread": ("thread_id",)},
    ),
    Step("list_threads", lambda s: {"type": "team"}),
    Step("read_thread", lambda s: {"threadId": s["thread"]}),
    Step(
        "create_knowledge_note",
        lambda s: {"name": "Release", "configText": "# How", "path": "handbook"},
        {"note": ("resource", "id")},
    ),
    Step("list_knowledge", lambda s: {"search": "release", "isShared": False}),
    Step(
        "update_knowledge_note",
        lambda s: {"resourceId": s["note"], "configText": "# How we do it", "isShared": True},
    ),
    Step("get_knowledge_context", lambda s: {}),
    Step(
        "request_approval",
        lambda s: {"taskIds": [s["third"]], "agentId": s["name"], "rationale": "It is finished"},
        {"approval": ("approval", "id")},
    ),
    Step("get_approval", lambda s: {"approvalId": s["approval"]}),
    Step(
        "report_result",
        lambda s: {"taskId": s["second"], "agentId": s["name"], "state": "review", "comment": "?"},
    ),
    Step(
        "complete_task",
        lambda s: {
            "taskId": s["task"], "agentId": s["name"], "outputJson": {"n": 1},
            "leaseToken": s["token"],
        },
    ),
)  # fmt: skip


async def prepare(daemon: Daemon) -> None:
    """What an owner gives: the capability that the day calls, and something to read."""
    doc = await daemon.owner.post("/api/v1/wiki/docs", json={"title": "House"})
    assert doc.status_code == 201, doc.text
    body = {"id": HELLO, "title": "Say hello", "argv": [sys.executable, "-c", "print('hello')"],
            "trusted": True}  # fmt: skip
    reply = await daemon.owner.post("/api/v1/capabilities", json=body)
    assert reply.status_code == 201, reply.text


async def live(client: Client, name: str) -> Seen:
    """The whole day as agent `name`; every step succeeds. What was seen."""
    seen: Seen = {"name": name}
    for step in DAY:
        done = await client.call_tool(step.tool, step.arguments(seen))
        assert not done.is_error, (step.tool, done.content)
        for word, path in step.keep.items():
            value = done.structured_content
            for key in path:
                value = value[key]
            seen[word] = value
    return seen


def code(done: CallToolResult) -> str | None:
    """Of a refusal; None: it was none."""
    return done.structured_content["code"] if done.is_error else None


def over_http(
    daemon: Daemon, token: str | None, mode: str = "auto", **headers: str
) -> AbstractAsyncContextManager[Client]:
    http = daemon.client(token, **headers)
    return Client(streamable_http_client(f"{daemon.url}/mcp", http_client=http), mode=mode)


def over_stdio(
    daemon: Daemon, home: Path, *arguments: str, mode: str = "auto", **env: str
) -> AbstractAsyncContextManager[Client]:
    """`homarus mcp` as a child process of an MCP client."""
    command = [
        "-m",
        "homarus.cli.main",
        "--home",
        str(home),
        "--url",
        daemon.url,
        "mcp",
        *arguments,
    ]
    server = StdioServerParameters(command=sys.executable, args=command, env=env)
    return Client(server, mode=mode)
