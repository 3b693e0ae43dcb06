"""An official MCP client lists and calls every tool, over HTTP and over stdio."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from mcp import Client

from homarus.mcp.table import TOOLS
from homarus.testing.daemon import Daemon
from tests.mcp import day

NAMES = [tool.name for tool in TOOLS]
PROMISED = [
    "list_tasks", "get_task", "create_task", "update_task", "claim_task", "list_projects",
    "get_project", "create_project", "update_project", "send_message", "list_threads",
    "get_knowledge_context", "list_knowledge", "create_knowledge_note", "update_knowledge_note",
    "list_agents", "get_agent", "create_agent", "update_agent",
    "preflight", "claim", "query_capabilities", "request_approval",
]  # fmt: skip

Way = Callable[[Daemon, Path], AbstractAsyncContextManager[Client]]


def http(mode: str) -> Way:
    return lambda daemon, home: day.over_http(daemon, daemon.company_token, mode)


def stdio(mode: str) -> Way:
    """As a client starts it: with the company token of the daemon's own home."""
    return lambda daemon, home: day.over_stdio(
        daemon, home, mode=mode, HOMARUS_TOKEN=daemon.company_token,
        PYTHONPATH=os.environ.get("PYTHONPATH", ""),
    )  # fmt: skip


WAYS = {
    "http": http("auto"),
    "http, handshake": http("legacy"),
    "stdio": stdio("auto"),
    "stdio, handshake": stdio("legacy"),
}


def test_the_promised_tools_are_there_and_the_day_calls_all() -> None:
    assert set(PROMISED) <= set(NAMES)
    assert {step.tool for step in day.DAY} == set(NAMES)


@pytest.mark.parametrize("way", WAYS)
async def test_an_official_client_lists_and_calls_every_tool(
    daemon: Daemon, tmp_path: Path, way: str
) -> None:
    await day.prepare(daemon)
    async with WAYS[way](daemon, tmp_path / "home") as client:
        listed = await client.list_tools()
        assert [tool.name for tool in listed.tools] == NAMES
        seen = await day.live(client, "ada")
    tasks = (await daemon.owner.get("/api/v1/tasks")).json()["tasks"]
    assert {task["id"]: task["state"] for task in tasks} == {
        seen["task"]: "done", seen["second"]: "review", seen["third"]: "in_progress",
    }  # fmt: skip
