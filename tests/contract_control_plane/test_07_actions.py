"""Contract, section 7: actions, the execution log; the original neither finishes nor reads one."""

from typing import Any

import pytest

from tests.contract_control_plane.wire import NOBODY, Wire

RUN = {
    "id", "companyId", "agentId", "sessionId", "projectId", "taskId", "kind", "status", "summary",
    "metadataJson", "startedAt", "endedAt", "createdAt",
}  # fmt: skip


def start(wire: Wire, **body: Any) -> dict[str, Any]:
    made = wire.post("/actions", body, key=None)
    assert made.status == 201, made.body
    return dict(made["actionRun"])


def test_must_start_a_run_and_add_steps_without_a_key(wire: Wire) -> None:
    project = wire.project()["id"]
    agent, task = wire.agent(), wire.task(project)
    run = start(wire, agentId=agent["id"], projectId=project, taskId=task["id"])
    assert set(run) == RUN
    assert (run["kind"], run["status"], run["endedAt"]) == ("task_execution", "running", None)
    path = f"/actions/{run['id']}/steps"
    body = {"stepType": "tool_call", "toolName": "grep", "status": "completed",
            "inputSummaryJson": {"q": "x"}, "startedAt": "2026-01-02T03:04:05.678Z"}  # fmt: skip
    step = wire.post(path, body, key=None)
    assert step.status == 201 and body.items() <= step["step"].items()


def test_a_run_is_finished_and_read(wire: Wire) -> None:
    run = start(wire, metadataJson={"a": 1})
    for n in range(3):
        wire.post(f"/actions/{run['id']}/steps", {"toolName": f"tool-{n}"}, key=None)
    body = {"status": "succeeded", "summary": "all green", "metadataJson": {"b": 2}}
    ended = wire.patch(f"/actions/{run['id']}", body, key=None)
    assert ended.status == 200 and ended["actionRun"]["endedAt"]
    assert ended["actionRun"]["metadataJson"] == {"a": 1, "b": 2}
    assert wire.patch(f"/actions/{run['id']}", body, key=None).body == ended.body
    for other in ({"status": "failed"}, {"summary": "else"}, {"metadataJson": {"c": 3}}):
        reply = wire.patch(f"/actions/{run['id']}", other, key=None)
        assert (reply.status, reply["code"]) == (409, "action.ended")
    shown = wire.get(f"/actions/{run['id']}")
    assert shown["actionRun"] == ended["actionRun"]
    assert [step["toolName"] for step in shown["steps"]] == ["tool-0", "tool-1", "tool-2"]


def test_more_can_be_said_before_the_end(wire: Wire) -> None:
    run = start(wire)
    said = wire.patch(f"/actions/{run['id']}", {"summary": "half"}, key=None)["actionRun"]
    assert (said["summary"], said["status"], said["endedAt"]) == ("half", "running", None)
    ended = wire.patch(
        f"/actions/{run['id']}", {"status": "failed", "endedAt": "2026-01-02T03:04:05Z"}, key=None
    )["actionRun"]
    assert (ended["summary"], ended["endedAt"]) == ("half", "2026-01-02T03:04:05.000Z")


def test_filters(wire: Wire) -> None:
    project = wire.project()["id"]
    agent, task = wire.agent(), wire.task(project)
    one = start(wire, agentId=agent["id"], kind="review")
    two = start(wire, projectId=project, taskId=task["id"])
    wire.patch(f"/actions/{two['id']}", {"status": "done"}, key=None)

    def ids(**query: str) -> list[str]:
        words = "&".join(f"{name}={value}" for name, value in query.items())
        return [row["id"] for row in wire.get(f"/actions?{words}")["actionRuns"]]

    assert ids(agentId=agent["name"]) == ids(agentId=agent["id"]) == [one["id"]]
    assert ids(taskId=task["id"]) == ids(projectId=project) == [two["id"]]
    assert ids(taskId=task["id"], status="running") == []
    assert ids(projectId=project, status="done") == [two["id"]]
    assert ids(agentId=agent["id"], kind="review") == [one["id"]]
    assert wire.get("/actions?agentId=nobody").status == 404


def test_weak_spot_27_runs_and_steps_come_in_pages(wire: Wire) -> None:
    agent = wire.agent()["id"]
    ids = {start(wire, agentId=agent)["id"] for _ in range(5)}
    seen: list[str] = []
    path = f"/actions?agentId={agent}&limit=2"
    for _ in range(5):
        page = wire.get(path if not seen else f"{path}&cursor={seen[-1]}")
        seen += [row["id"] for row in page["actionRuns"]]
        if "nextCursor" not in page.body:
            break
    assert len(seen) == 5 and set(seen) == ids and seen == sorted(seen, reverse=True)
    run = start(wire)["id"]
    for _ in range(3):
        wire.post(f"/actions/{run}/steps", {}, key=None)
    first = wire.get(f"/actions/{run}?limit=2")
    rest = wire.get(f"/actions/{run}?limit=2&cursor={first['nextCursor']}")
    assert [step["number"] for step in (*first["steps"], *rest["steps"])] == [1, 2, 3]
    assert "nextCursor" not in rest.body


def test_weak_spot_15_an_agent_writes_its_own_log_alone(wire: Wire, person: Wire) -> None:
    one, two = wire.agent(), wire.agent()
    run = start(wire, agentId=one["id"])
    reply = wire.patch(
        f"/actions/{run['id']}", {"agentId": two["id"], "status": "failed"}, key=None
    )
    assert (reply.status, reply["code"]) == (409, "action.not_yours")
    minted = person.post("/api/v1/tokens", {"kind": "agent", "name": "two", "agentId": two["id"]})
    own = Wire(wire.url, minted["secret"])
    for reply in (
        own.patch(f"/actions/{run['id']}", {"status": "failed"}, key=None),
        own.post(f"/actions/{run['id']}/steps", {}, key=None),
    ):
        assert (reply.status, reply["code"]) == (409, "action.not_yours")
    own.close()
    done = wire.patch(f"/actions/{run['id']}", {"agentId": one["id"], "status": "ok"}, key=None)
    assert done.status == 200


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({}, 400, "action.nothing"),
        ({"status": ""}, 400, "action.word"),
        ({"status": "x" * 201}, 400, "action.word"),
        ({"status": 5}, 400, "request.schema"),
        ({"summary": "x" * 10_001}, 400, "action.text"),
        ({"metadataJson": []}, 400, "request.schema"),
        ({"status": "ok", "endedAt": "now"}, 400, "request.time"),
        ({"agentId": "nobody", "status": "ok"}, 404, "agent.unknown"),
    ],
)
def test_changes_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    run = start(wire)
    reply = wire.patch(f"/actions/{run['id']}", body, key=None)
    assert (reply.status, reply["code"]) == (status, code)
    assert wire.get(f"/actions/{run['id']}")["actionRun"] == run


@pytest.mark.parametrize("ref, status", [("x", 400), (NOBODY, 404)])
def test_runs_that_are_not_there(wire: Wire, ref: str, status: int) -> None:
    assert wire.get(f"/actions/{ref}").status == status
    assert wire.patch(f"/actions/{ref}", {"status": "ok"}, key=None).status == status
    assert wire.post(f"/actions/{ref}/steps", {}, key=None).status == status


@pytest.mark.parametrize("cursor", ["x", "5", "%27"])
def test_an_unreadable_cursor_is_400(wire: Wire, cursor: str) -> None:
    assert wire.get(f"/actions?cursor={cursor}")["code"] == "request.cursor"
