"""Preflights over the wire of a running daemon: the four steps, and R6 for whoever names one."""

from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key

CONFIG = {
    "id": "openclaw-config.editor",
    "title": "Edit the OpenClaw config file",
    "description": "Checks the format, keeps a backup, then writes the configuration.",
    "argv": ["true"],
}


@pytest.fixture
async def office(tmp_path: Any) -> Any:
    """Agents `pm` and `scoder` of a company that enforces, with one capability."""
    from homarus.testing.daemon import running

    async with running(tmp_path / "home") as daemon:
        await daemon.owner.post(
            "/api/v1/companies", json={"slug": "studio", "name": "Studio"}, headers=key()
        )
        daemon.owner.headers["X-Homarus-Company"] = "studio"
        token = await daemon.owner.post(
            "/api/v1/tokens", json={"name": "bridge", "kind": "runtime", "company": "studio"}
        )
        daemon.bridge = daemon.client(token.json()["secret"])  # type: ignore[attr-defined]
        await hire(daemon, "pm", role="pm", skillsJson=["roadmap"])
        await hire(daemon, "scoder", role="scoder", skillsJson=["architecture", "design"])
        await register(daemon, CONFIG)
        yield daemon


async def hire(daemon: Any, name: str, **more: Any) -> str:
    reply = await daemon.bridge.post("/api/mcp/agents", json={"name": name, **more}, headers=key())
    assert reply.status_code == 201, reply.text
    return str(reply.json()["agent"]["id"])


async def register(daemon: Daemon, body: dict[str, Any]) -> None:
    reply = await daemon.owner.post("/api/v1/capabilities", json=body, headers=key())
    assert reply.status_code == 201, reply.text


async def task(daemon: Any, title: str = "t", **more: Any) -> str:
    projects = (await daemon.owner.get("/api/v1/projects")).json()["projects"]
    project = projects[0]["id"] if projects else await daemon.project("The website")
    body = {"projectId": project, "taskType": "x", "title": title, "allowUnderspecified": True}
    reply = await daemon.bridge.post("/api/mcp/tasks", json=body | more, headers=key())
    assert reply.status_code == 201, reply.text
    return str(reply.json()["task"]["id"])


async def claim(daemon: Any, agent: str) -> Any:
    reply = await daemon.bridge.post("/api/mcp/tasks/claim", json={"agentId": agent}, headers=key())
    return reply.json()["task"]


async def think(daemon: Any, agent: str, intent: str, **more: Any) -> Any:
    reply = await daemon.bridge.post(
        "/api/v1/preflights", json={"agentId": agent, "intent": intent, **more}, headers=key()
    )
    assert reply.status_code == 201, reply.text
    return reply.json()["preflight"]


async def query(daemon: Any, **asked: str) -> Any:
    reply = await daemon.owner.get("/api/v1/query", params=asked)
    assert reply.status_code == 200, reply.text
    return reply.json()["query"]


async def test_the_manuals_query_finds_the_config_editor(office: Any) -> None:
    found = await query(office, intent="modify openclaw config file", agentId="pm")
    assert found["verdict"] == "hit"
    assert found["how"]["capability"] == CONFIG["id"]
    assert found["who"]["agent"] == "self"
    assert {"capability": CONFIG["id"], "target": "agent:self"} in found["scope"]


async def test_an_intent_that_nothing_fits_is_a_miss(office: Any) -> None:
    found = await query(office, intent="brew some coffee", agentId="pm")
    assert (found["verdict"], found["how"]["capability"]) == ("none", None)


async def test_a_capability_of_somebody_else_is_not_permitted(office: Any) -> None:
    await register(
        office,
        {"id": "ledger.close", "title": "Close the books", "argv": ["true"],
         "grants": ["role:finance"]},
    )  # fmt: skip
    found = await query(office, intent="close the books", agentId="pm")
    assert (found["verdict"], found["how"]["capability"]) == ("not_permitted", None)
    assert found["how"]["hits"][0]["id"] == "ledger.close"


async def test_anothers_profession_is_handed_over(office: Any) -> None:
    found = await query(office, intent="design a high-availability architecture", agentId="pm")
    assert (found["verdict"], found["who"]["name"], found["routeLevel"]) == (
        "other", "scoder", "L1",
    )  # fmt: skip
    own = await query(office, intent="design a high-availability architecture", agentId="scoder")
    assert own["who"]["agent"] == "self"


async def test_where_and_whether(office: Any) -> None:
    await office.project("Rewrite the public website")
    found = await query(office, intent="fix a heading of the public website", agentId="pm")
    assert found["where"]["project"] != "new"
    assert (found["card"]["needed"], found["routeLevel"]) == (False, "L0")
    large = await query(office, intent="build a new feature in 3 phases", agentId="pm")
    assert large["where"]["project"] == "new"
    assert (large["card"]["needed"], large["routeLevel"]) == (True, "L2")
    rules = await query(office, intent="change the agent onboarding process", agentId="pm")
    assert rules["routeLevel"] == "L3"


async def test_a_preflight_is_a_row_with_its_evidence(office: Any) -> None:
    made = await task(office, "Config", capability=CONFIG["id"])
    row = await think(office, "pm", "modify openclaw config file", taskId=made)
    again = (await office.bridge.get(f"/api/v1/preflights/{row['id']}")).json()["preflight"]
    assert again == row
    assert (row["kind"], row["status"], row["taskId"]) == ("query", "live", made)
    assert row["who"]["candidates"][0]["score"] > 0
    assert row["where"]["project"]
    assert {"capability": CONFIG["id"], "target": f"task:{made}"} in row["scope"]
    assert row["expiresAt"] > row["createdAt"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"agentId": "pm"}, 400, "request.schema"),
        ({"agentId": "pm", "intent": "  "}, 400, "preflight.intent"),
        ({"agentId": "pm", "intent": "x" * 1001}, 400, "preflight.intent"),
        ({"agentId": "nobody", "intent": "x"}, 404, "agent.unknown"),
        ({"intent": "x"}, 403, "identity.agent_missing"),
        ({"agentId": "pm", "intent": "x", "taskId": "T-99"}, 404, "task.unknown"),
    ],
)
async def test_what_cannot_be_thought(
    office: Any, body: dict[str, str], status: int, code: str
) -> None:
    reply = await office.bridge.post("/api/v1/preflights", json=body, headers=key())
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_an_unknown_preflight_is_not_found(office: Any) -> None:
    reply = await office.bridge.get("/api/v1/preflights/019a0000-0000-7000-8000-000000000000")
    assert (reply.status_code, reply.json()["code"]) == (404, "preflight.unknown")


async def say(daemon: Any, agent: str, preflight: str | None) -> Any:
    more = {} if preflight is None else {"X-Homarus-Preflight": preflight}
    return await daemon.bridge.post(
        "/api/mcp/messages/send",
        json={"agentId": agent, "senderType": "agent", "text": "hello"},
        headers=key() | more,
    )


async def test_r6_over_the_wire(office: Any) -> None:
    first, second = await task(office, "a"), await task(office, "b")
    held = await claim(office, "pm")
    assert held["id"] == first
    mine = await think(office, "pm", "talk")
    theirs = await think(office, "scoder", "talk")
    bound = await think(office, "pm", "talk", taskId=second)
    assert (await say(office, "pm", None)).status_code == 200
    assert (await say(office, "pm", mine["id"])).status_code == 200
    for preflight, code in (
        ("019a0000-0000-7000-8000-000000000000", "R6.unknown"),
        ("nonsense", "R6.unknown"),
        (theirs["id"], "R6.not_yours"),
    ):
        reply = await say(office, "pm", preflight)
        assert (reply.status_code, reply.json()["code"], reply.json()["rule"]) == (403, code, "R6")
        assert reply.json()["receipt"] and reply.json()["remedy"]
    given = await office.bridge.post(
        f"/api/mcp/tasks/{first}/notes", json={"agentId": "pm", "note": "n"},
        headers=key() | {"X-Homarus-Preflight": bound["id"]},
    )  # fmt: skip
    assert given.status_code == 200, "a local write to one's own task is covered by the claim"
