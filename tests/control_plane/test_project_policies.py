"""Who changes the policies of a project: agents with their own tokens only tighten them."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key

POLICIES = (
    "requireApprovalForDone",
    "requireReviewBeforeDone",
    "commentRequiredForReview",
    "blockStatusChangesWithPendingApproval",
    "onlyLeadCanChangeStatus",
)
CASES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    # what the project has, what is wanted, whether an agent may
    *(({policy: True}, {policy: False}, False) for policy in POLICIES),
    *(({}, {policy: True}, True) for policy in POLICIES),
    *(({}, {policy: False}, True) for policy in POLICIES),
    ({}, {"leadAgentId": "ada"}, False),
    ({"leadAgentId": "ada"}, {"leadAgentId": "ada"}, True),
    ({"leadAgentId": "ada"}, {"leadAgentId": None}, False),
    ({"maxActiveAgents": 2}, {"maxActiveAgents": 3}, False),
    ({"maxActiveAgents": 2}, {"maxActiveAgents": None}, False),
    ({"maxActiveAgents": 2}, {"maxActiveAgents": 1}, True),
    ({"maxActiveAgents": None}, {"maxActiveAgents": 5}, True),
    ({}, {"goal": "another", "status": "paused"}, True),
]
ROADS = ("rest", "rpc", "mcp")


async def change(client: Any, road: str, project: str, goal: str, body: dict[str, Any]) -> Any:
    """By PATCH, the JSON-RPC upsert or the MCP tool: `(worked, text)`."""
    if road == "rest":
        reply = await client.patch(f"/api/v1/projects/{project}", json=body, headers=key())
        return reply.status_code == 200, reply.text
    if road == "rpc":
        said = {"method": "projects.upsert", "params": {"goal": goal} | body}
        reply = await client.post(
            "/api/mcp", json={"jsonrpc": "2.0", "id": 1} | said, headers=key()
        )
        return reply.status_code == 200 and "result" in reply.json(), reply.text
    given = {"name": "update_project", "arguments": {"projectId": project} | body}
    reply = await client.post(
        "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": given},
        headers={"Accept": "application/json, text/event-stream"},
    )  # fmt: skip
    return not reply.json().get("result", {"isError": True}).get("isError"), reply.text


async def test_an_agent_only_tightens_and_others_do_both(daemon: Daemon) -> None:
    ada = await daemon.agent("ada")
    _, secret = await daemon.token(kind="agent", agentId=ada)
    own = daemon.client(secret)
    for n, (has, wants, may) in enumerate(CASES):
        project = await daemon.project(f"goal {n}", **has)
        worked, text = await change(own, "rest", project, f"goal {n}", wants)
        assert worked is may, (has, wants, text)
        assert may or "permission.operator" in text
        for other in (daemon.company, daemon.owner):
            assert (await change(other, "rest", project, f"goal {n}", wants))[0], (has, wants)


@pytest.mark.parametrize("road", ROADS)
async def test_every_road_to_a_project_asks_the_same(daemon: Daemon, road: str) -> None:
    ada = await daemon.agent("ada")
    _, secret = await daemon.token(kind="agent", agentId=ada)
    project = await daemon.project("goal", requireReviewBeforeDone=True)
    looser = {"requireReviewBeforeDone": False}
    worked, text = await change(daemon.client(secret), road, project, "goal", looser)
    assert not worked and "only an operator" in text
    assert (await change(daemon.company, road, project, "goal", looser))[0]


async def test_a_new_project_is_as_its_creator_wants_it(daemon: Daemon) -> None:
    ada = await daemon.agent("ada")
    _, secret = await daemon.token(kind="agent", agentId=ada)
    reply = await daemon.client(secret).post(
        "/api/v1/projects", json={"goal": "own", "leadAgentId": "ada", "maxActiveAgents": 9},
        headers=key(),
    )  # fmt: skip
    assert reply.status_code == 201, reply.text
