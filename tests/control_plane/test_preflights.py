"""Preflights over the wire of a running daemon: the four steps, and R6 for whoever names one."""

from typing import Any

import pytest

from homarus.kernel.preflights import claim_id
from homarus.tasks.model import LEASE_MS
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

CONFIG = {
    "id": "openclaw-config.editor",
    "title": "Edit the OpenClaw config file",
    "description": "Checks the format, keeps a backup, then writes the configuration.",
    "argv": ["true"],
}


@pytest.fixture
async def office(tmp_path: Any) -> Any:
    """Agents `pm` and `scoder` of a company that enforces, with one capability."""
    clock = ManualClock()
    async with running(tmp_path / "home", clock=clock) as daemon:
        daemon.clock = clock  # type: ignore[attr-defined]
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


async def call(daemon: Any, agent: str, task: str, **more: Any) -> str:
    """A call of the capability: `accepted`, or the code that refused it."""
    body = {"capability": CONFIG["id"], "taskId": task, "agentId": agent} | more
    reply = await daemon.bridge.post("/api/v1/calls", json=body, headers=key())
    if reply.status_code == 202:
        return "accepted"
    told = reply.json()
    if told["code"].startswith("R6."):
        assert (reply.status_code, told["rule"]) == (403, "R6")
        assert told["receipt"] and told["remedy"]
    return str(told["code"])


async def state(daemon: Any, task: str) -> tuple[str, Any]:
    row = (await daemon.owner.get(f"/api/v1/tasks/{task}")).json()["task"]
    return row["canonicalState"], row.get("blockedReason")


UNKNOWN = "019a0000-0000-7000-8000-000000000000"


async def test_a_calls_preflight_is_that_of_its_claim(office: Any) -> None:
    first = await task(office, "a", capability=CONFIG["id"])
    assert await call(office, "pm", first) == "R6.none"
    held = await claim(office, "pm")
    assert held["id"] == first
    assert await call(office, "pm", first) == "accepted"
    assert await call(office, "pm", first.upper()) == "accepted"
    assert await call(office, "pm", held["number"]) == "accepted"


async def test_what_a_claim_does_not_cover_is_refused_and_blocks_the_task(office: Any) -> None:
    first = await task(office, "a")
    await claim(office, "pm")
    assert await call(office, "pm", first) == "R6.none"
    assert await state(office, first) == ("blocked", "preflight")


async def test_a_claims_preflight_ends_with_it(office: Any) -> None:
    first = await task(office, "a", capability=CONFIG["id"])
    held = await claim(office, "pm")
    named = claim_id(first, int(held["leaseToken"]))
    shown = (await office.bridge.get(f"/api/v1/preflights/{named}")).json()["preflight"]
    assert (shown["kind"], shown["status"], shown["expiresAt"]) == ("claim", "live", None)
    assert await call(office, "pm", first, preflightId=named) == "accepted"
    released = await office.bridge.post(
        f"/api/mcp/tasks/{first}/result",
        json={"agentId": "pm", "state": "inbox", "leaseToken": held["leaseToken"]}, headers=key(),
    )  # fmt: skip
    assert released.status_code == 200, released.text
    shown = (await office.bridge.get(f"/api/v1/preflights/{named}")).json()["preflight"]
    assert shown["status"] == "expired"
    assert await call(office, "pm", first, preflightId=named) == "R6.expired"


async def test_a_thought_one_is_over_at_its_last_millisecond(office: Any) -> None:
    first = await task(office, "a", capability=CONFIG["id"])
    mine = await think(office, "pm", "modify openclaw config file", taskId=first)
    office.clock.advance(1_800_000 - 1)
    assert (await claim(office, "pm"))["id"] == first
    assert await call(office, "pm", first, preflightId=mine["id"]) == "accepted"
    office.clock.advance(1)
    assert await call(office, "pm", first, preflightId=mine["id"]) == "R6.expired"


async def test_a_claims_one_is_over_with_the_lease(office: Any) -> None:
    first = await task(office, "a", capability=CONFIG["id"])
    held = await claim(office, "pm")
    named = claim_id(first, int(held["leaseToken"]))
    office.clock.advance(LEASE_MS - 1)
    assert await call(office, "pm", first) == "accepted"
    office.clock.advance(1)
    assert await call(office, "pm", first, preflightId=named) == "R6.expired"


async def test_a_new_fence_ends_the_old_one(office: Any) -> None:
    first = await task(office, "a", capability=CONFIG["id"])
    held = await claim(office, "pm")
    again = await office.bridge.post(
        "/api/mcp/tasks/claim", json={"agentId": "pm", "readopt": True}, headers=key()
    )
    assert again.json()["task"]["id"] == first
    old = claim_id(first, int(held["leaseToken"]))
    assert await call(office, "pm", first) == "accepted"
    assert await call(office, "pm", first, preflightId=old) == "R6.expired"


async def test_named_preflights_over_the_wire(office: Any) -> None:
    first = await task(office, "a", priority=9, capability=CONFIG["id"])
    second = await task(office, "b", capability=CONFIG["id"])
    intent = "modify openclaw config file"
    mine = await think(office, "pm", intent, taskId=first)
    theirs = await think(office, "scoder", intent, taskId=first)
    loose = await think(office, "pm", intent)
    nothing = await think(office, "pm", "brew coffee", taskId=first)
    assert nothing["how"]["capability"] == CONFIG["id"], "the task is bound to it"
    assert (await claim(office, "pm"))["id"] == first
    assert await call(office, "pm", first, preflightId=mine["id"]) == "accepted"
    for preflight, task_id, more, code in (
        (mine["id"], second, {}, "R6.wrong_task"),
        (theirs["id"], first, {}, "R6.not_yours"),
        (UNKNOWN, first, {}, "R6.unknown"),
        ("nonsense", first, {}, "R6.unknown"),
        (loose["id"], first, {}, "R6.outside"),
        (mine["id"], first, {"target": "workspace:notes"}, "R6.outside"),
    ):
        assert await call(office, "pm", task_id, preflightId=preflight, **more) == code
        assert await call(office, "pm", first, preflightId=mine["id"]) in RESTRICTED
        await office.owner.post("/api/v1/agents/pm/trust/review", json={"note": "r"}, headers=key())


RESTRICTED = ("task.lease_lost", "suspended.agent")
"""The breach took the task, and the second one the agent's permission to act."""


async def test_the_second_breach_within_a_day_makes_the_agent_read_only(office: Any) -> None:
    first = await task(office, "a")
    assert await call(office, "pm", first) == "R6.none"
    assert (await office.bridge.get("/api/v1/tasks")).status_code == 200
    assert await call(office, "pm", first, preflightId=UNKNOWN) == "R6.unknown"
    assert await call(office, "pm", first) == "suspended.agent"
    assert (await say(office, "pm", None)).json()["code"] == "suspended.agent"
    [incident] = (await office.owner.get("/api/v1/incidents")).json()["incidents"]
    assert incident["reasonCode"] == "agent_restricted"
    await office.owner.post("/api/v1/agents/pm/trust/review", json={"note": "r"}, headers=key())
    assert (await say(office, "pm", None)).status_code == 200


async def test_an_agent_may_always_talk(office: Any) -> None:
    mine = await think(office, "pm", "talk")
    theirs = await think(office, "scoder", "talk")
    assert (await say(office, "pm", None)).status_code == 200
    assert (await say(office, "pm", mine["id"])).status_code == 200
    for preflight, code in (
        (UNKNOWN, "R6.unknown"),
        ("nonsense", "R6.unknown"),
        (theirs["id"], "R6.not_yours"),
    ):
        reply = await say(office, "pm", preflight)
        assert (reply.status_code, reply.json()["code"]) == (403, code)


async def spawn(daemon: Any, task: str, preflight: str | None) -> Any:
    more = {} if preflight is None else {"X-Homarus-Preflight": preflight}
    note = (
        f"[DISPATCHER_ROUTING_NOTE]\n[KERNEL_CONTEXT] caller=pm, task_id={task}, "
        "trace_id={trace}, perm=read_write"
    )
    row = (await daemon.owner.get(f"/api/v1/tasks/{task}")).json()["task"]
    return await daemon.bridge.post(
        "/api/v1/spawns",
        json={"agentId": "pm", "targetAgentId": "scoder", "task": "Draw it",
              "routingNote": note.format(trace=row["traceId"])},
        headers=key() | more,
    )  # fmt: skip


async def test_work_is_given_to_others_under_a_claim_or_a_preflight(office: Any) -> None:
    held = await task(office, "a")
    await claim(office, "pm")
    theirs = await think(office, "scoder", "design a high-availability architecture")
    refused = await spawn(office, held, theirs["id"])
    assert (refused.status_code, refused.json()["code"]) == (403, "R6.not_yours"), refused.text
    asked = await think(office, "pm", "design a high-availability architecture")
    assert asked["verdict"] == "other"
    for preflight in (None, asked["id"]):
        allowed = await spawn(office, held, preflight)
        assert allowed.status_code == 201, allowed.text
