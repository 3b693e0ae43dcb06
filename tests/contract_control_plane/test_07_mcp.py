"""Contract, section 7, "Real MCP endpoint": `POST /mcp`, streamable HTTP, stateless."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.contract_control_plane.wire import TIMEOUT_S, Wire, spec

TOOLS = [
    "list_tasks", "get_task", "create_task", "update_task", "claim_task", "list_projects",
    "get_project", "create_project", "update_project", "send_message", "list_threads",
    "get_knowledge_context", "list_knowledge", "create_knowledge_note", "update_knowledge_note",
    "list_agents", "get_agent", "create_agent", "update_agent",
]  # fmt: skip
"""The row's tools, by the names that clients know."""

ERAS = ["auto", "legacy"]


def plain(wire: Wire, method: str, **params: Any) -> Any:
    """One message as the simplest client posts it: no handshake before, no session after."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    reply = wire.post("!/mcp", body, key=None, headers={"Accept": "application/json"})
    assert reply.status == 200, reply.body
    return reply["result"]


def called(wire: Wire, tool: str, **arguments: Any) -> dict[str, Any]:
    result = plain(wire, "tools/call", name=tool, arguments=arguments)
    assert not result["isError"], result
    return dict(result["structuredContent"])


@pytest.mark.parametrize("era", ERAS)
def test_must_list_the_tools_to_an_official_client(wire: Wire, era: str) -> None:
    async def names() -> list[str]:
        headers = {"Authorization": f"Bearer {wire.token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_S) as http,
            Client(streamable_http_client(f"{wire.url}/mcp", http_client=http), mode=era) as client,
        ):
            return [tool.name for tool in (await client.list_tools()).tools]

    assert set(TOOLS) <= set(asyncio.run(names()))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_are_no_sessions_to_open_or_end(wire: Wire, method: str) -> None:
    reply = wire.call(method, "!/mcp", key=None)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_each_message_stands_alone(wire: Wire) -> None:
    """No `initialize`, no session id: the reply names none, and one that is sent is passed over."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    reply = wire.post("!/mcp", body, key=None, headers={"Mcp-Session-Id": "of another server"})
    assert reply.status == 200 and "mcp-session-id" not in reply.headers


@pytest.mark.parametrize(
    "noun, arguments",
    [
        ("task", {"title": "Changed", "priority": 3}),
        ("project", {"goal": "Changed", "maxActiveAgents": 2}),
        ("agent", {"role": "writer", "concurrencyLimit": 2}),
    ],
)
def test_what_the_routes_made_the_tools_see_and_change(
    wire: Wire, noun: str, arguments: dict[str, Any]
) -> None:
    project = wire.project()
    row = {"task": lambda: wire.task(project["id"]), "project": lambda: project,
           "agent": wire.agent}[noun]()  # fmt: skip
    named = {f"{noun}Id": row["id"]}
    assert called(wire, f"get_{noun}", **named)[noun]["id"] == row["id"]
    called(wire, f"update_{noun}", **named, **arguments)
    assert arguments.items() <= wire.get(f"/{noun}s/{row['id']}")[noun].items()
    assert row["id"] in {each["id"] for each in called(wire, f"list_{noun}s")[f"{noun}s"]}


def test_what_the_tools_make_the_routes_have(wire: Wire) -> None:
    agent = called(wire, "create_agent", name=f"a-{uuid4()}", role="coder")["agent"]
    project = called(wire, "create_project", goal="By tool")["project"]
    task = called(wire, "create_task", **spec(project["id"]))["task"]
    claimed = called(wire, "claim_task", taskId=task["id"], agentId=agent["id"])["task"]
    assert claimed["leaseToken"] and claimed["id"] == task["id"]
    held = wire.get(f"/tasks/{task['id']}")["task"]
    assert (held["state"], held["assignedAgentId"]) == ("in_progress", agent["id"])
    assert wire.get(f"/agents/{agent['id']}").status == 200
    assert wire.get(f"/projects/{project['id']}")["project"]["goal"] == "By tool"


def test_messages_and_threads(wire: Wire) -> None:
    agent = wire.agent()
    sent = called(wire, "send_message", text="Hello", agentId=agent["id"])
    threads = called(wire, "list_threads", type="team")["threads"]
    assert sent["thread_id"] in {thread["id"] for thread in threads}
    texts = [m["text"] for m in wire.get(f"/threads/{sent['thread_id']}/messages")["messages"]]
    assert "Hello" in texts


def test_knowledge_is_kept_found_and_changed(wire: Wire) -> None:
    note = called(wire, "create_knowledge_note", name="How we ship", configText="#ship it")
    ref = note["resource"]["id"]
    called(wire, "update_knowledge_note", resourceId=ref, configText="# Slowly", isShared=True)
    assert wire.get(f"/resources/{ref}")["resource"]["configText"] == "# Slowly"
    for tool, arguments in (("list_knowledge", {"search": "ship"}), ("get_knowledge_context", {})):
        found = called(wire, tool, **arguments)["resources"]
        assert ref in {row["id"] for row in found}, tool


def test_weak_spot_19_no_tool_shows_a_secret(wire: Wire) -> None:
    body = {"name": "mail", "resourceType": "mailbox", "provider": "imap", "secretText": "hush-1"}
    assert wire.post("/resources", body).status == 201
    for tool in ("list_knowledge", "get_knowledge_context"):
        assert "hush-1" not in str(called(wire, tool)), tool


def test_claim_gives_what_the_route_gives(wire: Wire) -> None:
    agent = wire.agent(concurrencyLimit=5)
    project = wire.project()["id"]
    wire.task(project), wire.task(project)
    by_tool = called(wire, "claim", agentId=agent["id"])
    by_route = wire.post("/tasks/claim", {"agentId": agent["id"]}).body
    assert by_tool["message"] == by_route["message"] == "Task claimed"
    assert by_tool["task"].keys() == by_route["task"].keys()
    assert by_tool["task"]["id"] != by_route["task"]["id"]


@pytest.mark.parametrize("token", [None, "ec_nobody"])
def test_without_a_token_401_leads_to_the_authorization_server(
    wire: Wire, token: str | None
) -> None:
    stranger = Wire(wire.url, token)
    reply = stranger.post("!/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, key=None)
    stranger.close()
    where = f"{wire.url}/.well-known/oauth-protected-resource/mcp"
    assert reply.status == 401
    assert (
        reply.headers["www-authenticate"] == f'Bearer realm="homarus", resource_metadata="{where}"'
    )
