"""Callers who may not: a refusal by type, as a result the model can read, and nothing written."""

import asyncio
from typing import Any, Final

import pytest
from mcp import Client, MCPError

from homarus.control_plane import feed, table
from homarus.mcp.table import TOOLS
from homarus.mcp.tool import bind_tools
from homarus.testing.daemon import Daemon, key
from tests.mcp import day

WAIT_S: Final = 20.0
BOUND = bind_tools(TOOLS, table.routes())
WRITES = {name for name, tool in BOUND.items() if not tool.reads}
ACTS = {tool.name for tool in TOOLS if tool.acts}


async def head(daemon: Daemon) -> int:
    """Where the company's feed stands: every change of state is an event."""
    _, seq = await daemon.app.store.read(feed.head, daemon.company_id)
    return seq


async def lived(daemon: Daemon) -> day.Seen:
    """A day, and the end of the call that it made: from here on nothing happens by itself."""
    await day.prepare(daemon)
    changed = asyncio.Event()
    undo = daemon.app.store.listen(lambda _: changed.set())
    try:
        async with day.over_http(daemon, daemon.company_token) as client, asyncio.timeout(WAIT_S):
            seen = await day.live(client, "ada")
            while True:
                changed.clear()
                told = await client.call_tool("get_call", {"callId": seen["call"]})
                if told.structured_content["call"]["state"] not in ("ready", "running"):
                    return seen
                await changed.wait()
    finally:
        undo()


async def codes(client: Client, seen: day.Seen, tools: set[str]) -> dict[str, str | None]:
    """What each tool of the day says to this caller, by its code; None: it did as asked."""
    found: dict[str, str | None] = {}
    for step in day.DAY:
        if step.tool in tools:
            done = await client.call_tool(step.tool, step.arguments(seen))
            found[step.tool] = day.code(done)
            if done.is_error:
                assert done.structured_content["reason"] and done.structured_content["remedy"]
    return found


async def test_a_viewer_reads_all_and_writes_nothing(daemon: Daemon) -> None:
    seen = await lived(daemon)
    _, secret = await daemon.token(kind="operator", role="viewer")
    before = await head(daemon)
    async with day.over_http(daemon, secret) as client:
        said = await codes(client, seen, {tool.name for tool in TOOLS})
    assert {name for name, code in said.items() if code is None} >= BOUND.keys() - WRITES - ACTS
    assert {name: said[name] for name in WRITES if name in ACTS} == dict.fromkeys(
        WRITES & ACTS, "identity.role"
    )
    assert {said[name] for name in WRITES - ACTS} == {"permission.capability"}
    assert await head(daemon) == before


async def test_without_a_grant_nobody_acts_for_an_agent(daemon: Daemon) -> None:
    seen = await lived(daemon)
    _, secret = await daemon.token(kind="runtime", name="stranger")
    before = await head(daemon)
    async with day.over_http(daemon, secret) as client:
        said = await codes(client, seen, ACTS & WRITES)
        done = await client.call_tool("claim", {"agentId": "ada"})
    assert said == dict.fromkeys(ACTS & WRITES, "identity.not_granted")
    assert await head(daemon) == before
    refusal = done.structured_content
    assert (refusal["rule"], set(refusal)) == (
        "identity", {"code", "reason", "remedy", "rule", "receipt"},
    )  # fmt: skip
    assert refusal["code"] in done.content[0].text
    receipt = await daemon.owner.get(f"/api/v1/receipts/{refusal['receipt']}")
    assert receipt.json()["receipt"]["capability"] == "task.claim"


async def foreign(daemon: Daemon) -> str:
    """A token of another company of the same daemon."""
    made = await daemon.owner.post("/api/v1/companies", json={"slug": "other", "name": "Other"})
    assert made.status_code == 201, made.text
    body = {"kind": "runtime", "name": "bridge"}
    minted = await daemon.owner.post(
        "/api/v1/tokens", json=body, headers={"X-Homarus-Company": "other"}
    )
    return str(minted.json()["secret"])


OWN_BUSINESS = {"create_agent", "create_project", "create_knowledge_note", "list_agents",
                "list_projects", "list_knowledge", "list_threads", "get_knowledge_context",
                "list_tasks", "search_docs"}  # fmt: skip
"""What needs nothing of ours: there the other company works for itself."""


async def test_another_company_reaches_nothing_of_ours(daemon: Daemon) -> None:
    seen = await lived(daemon)
    before = await head(daemon)
    async with day.over_http(daemon, await foreign(daemon)) as client:
        said = await codes(client, seen, BOUND.keys() - OWN_BUSINESS)
        for name in ("list_tasks", "list_agents", "list_projects", "list_knowledge"):
            body = (await client.call_tool(name, {})).structured_content
            assert seen["task"] not in str(body) and seen["agent"] not in str(body), name
    assert None not in said.values(), said
    assert {code.rpartition(".")[2] for code in said.values() if code} <= {"unknown"}, said
    assert await head(daemon) == before


async def test_a_token_reaches_no_company_but_its_own(daemon: Daemon) -> None:
    seen = await lived(daemon)
    named = {"X-Homarus-Company": daemon.company_id}
    async with day.over_http(daemon, await foreign(daemon), **named) as client:
        said = await codes(client, seen, set(BOUND))
    assert said == dict.fromkeys(BOUND, "identity.company")


async def test_a_token_revoked_while_connected(daemon: Daemon) -> None:
    """The kernel says so in the call's own transaction; from then on the door does."""
    token, secret = await daemon.token(kind="runtime", name="short")
    async with day.over_http(daemon, secret, "legacy") as client:
        assert day.code(await client.call_tool("list_tasks", {})) is None
        (await daemon.owner.delete(f"/api/v1/tokens/{token}")).raise_for_status()
        assert day.code(await client.call_tool("list_tasks", {})) == "identity.revoked"
        with pytest.raises(MCPError) as raised:
            await client.call_tool("list_tasks", {})
    assert raised.value.error.data["code"] == "identity.revoked"


async def test_an_agents_own_token_need_not_name_the_agent(daemon: Daemon) -> None:
    agent = await daemon.agent("ada", role="coder")
    await daemon.agent("bob", role="coder")
    _, secret = await daemon.token(kind="agent", agentId=agent)
    async with day.over_http(daemon, secret) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert "agentId" not in tools["claim"].input_schema["required"]
        assert "agentId" in tools["claim"].input_schema["properties"]
        for given, expected in [({}, None), ({"agentId": "ada"}, None), ({"agentId": agent}, None),
                                ({"agentId": "bob"}, "identity.not_you")]:  # fmt: skip
            assert day.code(await client.call_tool("claim", given)) == expected, given


async def test_a_connection_can_be_fixed_to_one_agent(daemon: Daemon) -> None:
    await daemon.agent("ada", role="coder")
    await daemon.agent("bob", role="coder")
    header = {"X-Homarus-Agent": "ada"}
    async with day.over_http(daemon, daemon.company_token, **header) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        for name in ACTS:
            assert "agentId" not in tools[name].input_schema["properties"], name
        assert "agentId" in tools["list_tasks"].input_schema["properties"]
        for given, expected in [({}, None), ({"agentId": "ada"}, None),
                                ({"agentId": "bob"}, "mcp.agent_fixed")]:  # fmt: skip
            assert day.code(await client.call_tool("claim", given)) == expected, given


async def test_a_result_that_waits_for_a_person_names_the_approval(daemon: Daemon) -> None:
    """A refusal that is a reply keeps what the reply holds beside the error."""
    await daemon.agent("ada", role="coder")
    body = day.spec({"project": await daemon.project()}, humanApprovalRequired=True)
    (await daemon.owner.post("/api/v1/tasks", json=body, headers=key())).raise_for_status()
    async with day.over_http(daemon, daemon.company_token, **{"X-Homarus-Agent": "ada"}) as client:
        task = (await client.call_tool("claim", {})).structured_content["task"]["id"]
        done = await client.call_tool("complete_task", {"taskId": task})
        assert day.code(done) == "task.policy_approval", done.content
        asked = done.structured_content["approval"]
        shown = await client.call_tool("get_approval", {"approvalId": asked["number"]})
    assert shown.structured_content["approval"]["status"] == asked["status"] == "pending"


async def test_a_key_makes_a_call_take_effect_once(daemon: Daemon) -> None:
    project = await daemon.project()
    body: dict[str, Any] = day.spec({"project": project}, idempotencyKey="one")
    async with day.over_http(daemon, daemon.company_token) as client:
        ids = [
            (await client.call_tool("create_task", body)).structured_content["task"]["id"]
            for _ in range(2)
        ]
        other = await client.call_tool("create_task", body | {"title": "Another"})
        fresh = await client.call_tool("create_task", body | {"idempotencyKey": "two"})
    assert ids[0] == ids[1] != fresh.structured_content["task"]["id"]
    assert day.code(other) == "idempotency.mismatch"
