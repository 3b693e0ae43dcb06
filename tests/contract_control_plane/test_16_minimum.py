"""Contract, section 16: every client's way through a day, on the minimum surface.

Each test is the order of calls of one shipped client, with its spellings, and no more than it
reads of each reply.
"""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire, frame

SURFACE: list[tuple[str, str]] = [
    ("POST", "/runtime/register"),
    ("GET", "/runtime/health"),
    ("GET", "/agents"),
    ("POST", "/agents"),
    ("PATCH", "/agents/{agent}"),
    ("POST", "/agents/heartbeat"),
    ("POST", "/agents/{agent}/sessions/start"),
    ("POST", "/agents/{agent}/sessions/{some}/checkpoint"),
    ("POST", "/agents/{agent}/sessions/{some}/end"),
    ("POST", "/agents/{agent}/memory"),
    ("GET", "/agents/{agent}/integrations"),
    ("GET", "/tasks"),
    ("POST", "/tasks"),
    ("POST", "/tasks/claim"),
    ("POST", "/tasks/{task}/notes"),
    ("POST", "/tasks/{task}/result"),
    ("POST", "/tasks/{task}/assign"),
    ("GET", "/tasks/{task}"),
    ("GET", "/tasks/{task}/context"),
    ("POST", "/tasks/{task}/claim"),
    ("POST", "/tasks/{task}/complete"),
    ("POST", "/messages/send"),
    ("GET", "/messages/sync?mode=all"),
    ("POST", "/chat/status"),
    ("POST", "/chat/status/"),
    ("GET", "/threads?type=team"),
    ("GET", "/threads?thread_type=team&whatever=1"),
    ("GET", "/threads/{thread}/messages"),
    ("POST", "/threads/{thread}/messages"),
    ("GET", "/customers"),
    ("POST", "/customers"),
    ("GET", "/projects"),
    ("POST", "/projects"),
    ("GET", "/projects/{project}/memory"),
    ("POST", "/projects/{project}/memory"),
    ("GET", "/resources"),
    ("POST", "/resources"),
    ("GET", "/resources/{some}"),
    ("PATCH", "/resources/{some}"),
    ("POST", "/actions"),
    ("POST", "/actions/{some}/steps"),
    ("POST", ""),
]


@pytest.fixture(scope="module")
def places(wire: Wire) -> dict[str, str]:
    project = wire.project()["id"]
    agent = wire.agent()["id"]
    wire.post("/messages/send", {"text": "t", "agentId": agent}, key=None)
    return {
        "agent": agent,
        "project": project,
        "task": wire.task(project)["id"],
        "thread": wire.post("/threads", {"type": "team"}, key=None)["thread"]["id"],
        "some": str(uuid4()),
    }


@pytest.mark.parametrize("method, path", SURFACE, ids=[f"{m} {p}" for m, p in SURFACE])
def test_must_offer_the_route(wire: Wire, places: dict[str, str], method: str, path: str) -> None:
    """An empty body may be refused; the route is there, and an unknown row is said to be one."""
    where = "!/api/mcp" if not path else path.format(**places)
    reply = wire.call(method, where, {} if method != "GET" else None)
    assert reply.status < 500 and reply.status not in (401, 405), reply.body
    if reply.status == 403:
        assert reply["code"] == "identity.agent_missing"
    if reply.status == 404:
        assert reply["code"] != "route.unknown"


def test_the_json_rpc_summary(wire: Wire) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "status.summary", "params": {}}
    result = wire.post("!/api/mcp", call, key=None)["result"]
    assert set(result) >= {"agents", "projects", "tasks", "status"}
    assert result["status"] == "online"


def test_a_bridges_day(found: Callable[..., Wire]) -> None:
    """The python bridge: start, work on a task, talk, end."""
    wire = found()
    runtime = f"box:{uuid4()}"
    node = wire.post("/runtime/register", {"runtimeId": runtime, "name": "Bridge"}, key=None)
    assert node["runtimeNode"]["runtimeId"] == runtime
    name = f"Worker {uuid4()}"
    assert name not in {a["name"] for a in wire.get("/agents?limit=200")["agents"]}
    agent = wire.post("/agents", {"name": name, "role": "operator"})["agent"]["id"]
    body = {"openclawSessionId": f"s-{runtime}", "runtimeId": runtime}
    started = wire.post(f"/agents/{agent}/sessions/start", body, key=None)
    session = started["session"]["id"]
    assert wire.get(f"/agents/{agent}/integrations")["integrations"] == []

    with wire.socket() as socket:
        frame(socket, "connected")
        task = wire.task(wire.project()["id"])["id"]
        beat = {"agentId": agent, "currentLoad": 0}
        assert wire.post("/agents/heartbeat", beat, key=None).status == 200
        waiting = [t for t in wire.get("/tasks")["tasks"] if t["state"] in ("inbox", "queued")]
        assert waiting
        reason = {"agentId": agent, "strictOwnerRole": False}
        claimed = wire.post("/tasks/claim", reason, key="claim:" + "a" * 64)["task"]
        assert claimed["id"] == task
        told = frame(socket, "task_updated")["task"]
        assert (told["id"], told["assignedAgentId"]) == (task, agent)
        handoff = {"fromRole": "operator", "toRole": "executor", "summary": "s", "nextStep": "n"}
        note = {"note": "claimed", "agentId": agent, "handoff": handoff}
        key = f"task-note:{task}:startup:claim"
        assert wire.post(f"/tasks/{task}/notes", note, key=key)["event"]["id"]
        point = {"checkpointJson": {"task": task}, "status": "active"}
        path = f"/agents/{agent}/sessions/{session}"
        assert wire.post(f"{path}/checkpoint", point, key=None).status == 200
        done = {"state": "done", "agentId": agent, "outputJson": {"ok": True}}
        assert wire.post(f"/tasks/{task}/result", done)["task"]["state"] == "done"
        assert (
            frame(
                socket,
                "task_updated",
            )["task"]["id"]
            == task
        )

        team = wire.get("/threads?type=team")["threads"]
        thread = team[0]["id"] if team else None
        said = wire.post(
            "/messages/send", {"text": "done", "agentId": agent, "thread_id": thread}, key="m-1"
        )
        assert said["message_id"]
        assert frame(socket, "thread_message")["message"]["senderId"] == agent
    status = {"threadId": said["thread_id"], "agentId": agent, "typing": False}
    assert wire.post("/chat/status/", status, key=None).body == {"ok": True}
    entry = {"content": "it went well", "kind": "thread_observation", "sessionId": session}
    assert wire.post(f"/agents/{agent}/memory", entry, key=None).status == 201
    assert wire.post(f"{path}/end", {"status": "ended"}, key=None)["session"]["endedAt"]


def test_the_doctors_visit(wire: Wire) -> None:
    """The companion's doctor: everything by the agent's name, and its own echo on the socket."""
    assert wire.get("/agents?limit=1").status == 200
    name = f"doctor-{uuid4()}"
    with wire.socket() as socket:
        frame(socket, "connected")
        wire.post("/runtime/register", {"runtimeId": name, "name": name}, key=None)
        wire.get("/agents?limit=500")
        agent = wire.post("/agents", {"name": name})["agent"]["id"]
        body = {"openclawSessionId": name, "runtimeId": name}
        started = wire.post(f"/agents/{agent}/sessions/start", body, key=None)
        session = started["session"]["id"]
        beat = {"agentId": name, "currentLoad": 0}
        assert wire.post("/agents/heartbeat", beat, key=None).status == 200
        sent = wire.post(
            "/messages/send", {"chat_id": "team", "text": "echo", "agentId": name}, key=None
        )
        got = frame(socket, "thread_message")
        assert got["message"]["id"] == sent["message_id"]
    path = f"/agents/{agent}/sessions/{session}"
    assert wire.post(f"{path}/checkpoint", {"checkpointJson": {}}, key=None).status == 200
    assert wire.post(f"{path}/end", {}, key=None).status == 200


@pytest.mark.parametrize("body", [{"agentId": "NAME"}, {"agentId": "NAME", "outputJson": {"a": 1}}])
def test_the_shell_helper_works_without_a_key(wire: Wire, body: dict[str, Any]) -> None:
    """Two routes that the original does not have, called without a key."""
    agent = wire.agent()
    named = body | {"agentId": agent["name"]}
    task = wire.task(wire.project()["id"])["id"]
    claimed = wire.post(f"/tasks/{task}/claim", {"agentId": agent["name"]}, key=None)
    assert (claimed.status, claimed["task"]["id"]) == (200, task)
    done = wire.post(f"/tasks/{task}/complete", named, key=None)
    assert (done.status, done["task"]["state"]) == (200, "done")
    assert done["task"]["outputJson"] == body.get("outputJson")
