"""Contract, section 6.8: recurring tasks; and schedules, the legacy face of the same rows."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire, frame

NAME = "Weekly report"
TASK = {"name": NAME, "taskType": "weekly_report"}


def define(wire: Wire, project: str, **body: Any) -> dict[str, Any]:
    made = wire.post(f"/projects/{project}/recurring-tasks", TASK | body)
    assert made.status == 201, made.body
    return dict(made["recurringTask"])


def path_of(row: dict[str, Any]) -> str:
    return f"/projects/{row['projectId']}/recurring-tasks/{row['id']}"


def test_a_definition_from_creation_to_archive(wire: Wire) -> None:
    project, agent = wire.project()["id"], wire.agent()
    made = wire.post(
        f"/projects/{project}/recurring-tasks",
        TASK | {
            "cronExpression": "0 9 * * 1", "payloadJson": {"goal": "numbers"}, "priority": 50,
            "proofRequired": True, "humanApprovalRequired": True, "proofTypesJson": ["report"],
            "active": True, "agentId": agent["name"],
        },
    )  # fmt: skip
    assert made.status == 201 and made["message"]
    row = made["recurringTask"]
    expected = {
        "projectId": project, "name": NAME, "taskType": "weekly_report",
        "cronExpression": "0 9 * * 1", "payloadJson": {"goal": "numbers"}, "priority": 50,
        "proofRequired": True, "humanApprovalRequired": True, "proofTypesJson": ["report"],
        "active": True, "agentId": agent["id"], "deletedAt": None,
    }  # fmt: skip
    assert expected.items() <= row.items()
    assert row["nextRunAt"].endswith("T09:00:00.000Z")
    assert wire.get(f"/projects/{project}/recurring-tasks")["recurringTasks"] == [row]
    changed = wire.patch(path_of(row), {"priority": 0, "agentId": None, "cronExpression": ""})
    assert changed.status == 200 and changed["message"]
    after = changed["recurringTask"]
    assert (after["priority"], after["agentId"], after["cronExpression"]) == (0, None, None)
    assert after["nextRunAt"] is None and after["name"] == NAME
    gone = wire.delete(path_of(row))
    assert gone.status == 200 and gone["recurringTask"]["deletedAt"]
    assert wire.get(f"/projects/{project}/recurring-tasks")["recurringTasks"] == []
    for call in (wire.patch(path_of(row), {"priority": 1}), wire.post(f"{path_of(row)}/spawn")):
        assert call.status == 404


def test_the_spawned_task_keeps_everything(wire: Wire) -> None:
    customer, agent = wire.customer(), wire.agent()
    project = wire.project(customerId=customer["id"])["id"]
    row = define(
        wire, project, agentId=agent["id"], priority=7, proofRequired=True,
        proofTypesJson=["report"],
        payloadJson={"description": "Count it", "deliverables": ["report.md"]},
    )  # fmt: skip
    made = wire.post(f"{path_of(row)}/spawn")
    assert made.status == 201 and made["message"]
    assert (made["recurringTask"]["id"], made["recurringTask"]["runs"]) == (row["id"], 1)
    assert made["recurringTask"]["lastRunAt"]
    task = wire.get(f"/tasks/{made['task']['id']}")["task"]
    expected = {
        "taskKind": "recurrent", "recurringTaskDefinitionId": row["id"], "projectId": project,
        "taskType": "weekly_report", "assignedAgentId": agent["id"], "priority": 7,
        "state": "inbox", "title": NAME, "description": "Count it", "proofRequired": True,
        "proofTypesJson": ["report"], "humanApprovalRequired": False,
    }  # fmt: skip
    assert expected.items() <= task.items()
    assert task["customer"]["id"] == customer["id"]
    again = wire.post(f"{path_of(row)}/spawn")
    assert again["task"]["id"] != made["task"]["id"] and again["recurringTask"]["runs"] == 2


def test_a_spawn_repeated_with_its_key_spawns_once(wire: Wire) -> None:
    row = define(wire, wire.project()["id"])
    key = f"spawn-{uuid4()}"
    first, second = (wire.post(f"{path_of(row)}/spawn", key=key) for _ in range(2))
    assert first["task"]["id"] == second["task"]["id"]
    jobs = wire.get(f"/projects/{row['projectId']}/recurring-tasks")["recurringTasks"]
    assert [job["runs"] for job in jobs] == [1]


def test_the_spawned_task_is_claimed_like_any_other(wire: Wire) -> None:
    agent, row = wire.agent(), define(wire, wire.project()["id"])
    task = wire.post(f"{path_of(row)}/spawn")["task"]["id"]
    claimed = wire.post(f"/tasks/{task}/claim", {"agentId": agent["id"]})["task"]
    assert (claimed["state"], claimed["task_kind"]) == ("in_progress", "recurrent")


def test_frames(wire: Wire) -> None:
    project = wire.project()["id"]
    with wire.socket() as socket:
        row = define(wire, project)
        created = frame(socket, "recurring_task_definition_created")
        assert created["definition"] == row
        wire.patch(path_of(row), {"priority": 3})
        assert frame(socket, "recurring_task_definition_updated")["definition"]["priority"] == 3
        task = wire.post(f"{path_of(row)}/spawn")["task"]["id"]
        seen = {got["type"]: got for got in (frame_of_two(socket), frame_of_two(socket))}
        assert seen["new_task"]["task"]["id"] == task
        assert seen["recurring_task_spawned"]["task"]["id"] == task
        assert seen["recurring_task_spawned"]["definition"]["id"] == row["id"]
        wire.delete(path_of(row))
        archived = frame(socket, "recurring_task_definition_archived")
        assert archived["definition"]["deletedAt"]


def frame_of_two(socket: Any) -> dict[str, Any]:
    """The next frame that a spawn makes."""
    for _ in range(50):
        got = dict(json.loads(socket.recv(timeout=10)))
        if got.get("type") in ("new_task", "recurring_task_spawned"):
            return got
    raise AssertionError("no frame of a spawn")


@pytest.mark.parametrize("act", ["create", "patch", "delete", "spawn"])
def test_every_mutation_needs_a_key(wire: Wire, act: str) -> None:
    row = define(wire, wire.project()["id"])
    listed, one = path_of(row).rsplit("/", 1)[0], path_of(row)
    calls = {
        "create": lambda: wire.post(listed, TASK, key=None),
        "patch": lambda: wire.patch(one, {"priority": 1}, key=None),
        "delete": lambda: wire.delete(one, key=None),
        "spawn": lambda: wire.post(f"{one}/spawn", key=None),
    }
    assert calls[act]().status == 400


@pytest.mark.parametrize(
    "text",
    ["x", "* * * *", "60 * * * *", "0 0 30 2 *", "0 0 32 * *", "@daily", "* * * * * * *",
     "0 9 * * 8", "*/0 * * * *", "0 9 * * 1; rm -rf /", "0 " * 200],
)  # fmt: skip
def test_cron_text_is_checked_when_it_is_written(wire: Wire, text: str) -> None:
    """The original stores any text, and evaluates none."""
    project = wire.project()["id"]
    reply = wire.post(f"/projects/{project}/recurring-tasks", TASK | {"cronExpression": text})
    assert (reply.status, reply["code"]) == (400, "job.cron")
    assert "0 9 * * 1-5" in reply["remedy"]
    row = define(wire, project)
    assert wire.patch(path_of(row), {"cronExpression": text}).status == 400
    [kept] = wire.get(f"/projects/{project}/recurring-tasks")["recurringTasks"]
    assert kept == row


@pytest.mark.parametrize(
    "body, next_run",
    [
        ({}, None),
        ({"cronExpression": "  0   9 * *  1 "}, "T09:00:00.000Z"),
        ({"cronExpression": "0 0 29 2 *"}, "-02-29T00:00:00.000Z"),
        ({"cronExpression": "*/30 * * * * *"}, "0.000Z"),  # with seconds
        ({"cronExpression": "0 9 * * 1", "active": False}, None),
        ({"nextRunAt": "2031-05-06T07:08:09.010Z"}, "2031-05-06T07:08:09.010Z"),
        ({"cronExpression": "0 9 * * 1", "nextRunAt": "2031-05-06T07:08:09Z"}, "07:08:09.000Z"),
    ],
)
def test_when_it_is_due_next(wire: Wire, body: Any, next_run: str | None) -> None:
    row = define(wire, wire.project()["id"], **body)
    if next_run is None:
        assert row["nextRunAt"] is None
    else:
        assert row["nextRunAt"].endswith(next_run)


def test_pausing_takes_the_due_time_and_resuming_gives_it_back(wire: Wire) -> None:
    row = define(wire, wire.project()["id"], cronExpression="0 9 * * 1")
    paused = wire.patch(path_of(row), {"active": False})["recurringTask"]
    assert (paused["active"], paused["nextRunAt"]) == (False, None)
    assert wire.post(f"{path_of(row)}/spawn").status == 201  # by hand it still runs
    resumed = wire.patch(path_of(row), {"active": True})["recurringTask"]
    assert resumed["nextRunAt"] == row["nextRunAt"]


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"name": ""}, 400, "job.missing"),
        ({"name": "   "}, 400, "job.name"),
        ({"name": "x" * 301}, 400, "job.name"),
        ({"name": 5}, 400, "request.schema"),
        ({"taskType": ""}, 400, "job.missing"),
        ({"taskType": "x" * 101}, 400, "job.task_type"),
        ({"payloadJson": []}, 400, "request.schema"),
        ({"payloadJson": {"k": "x" * 65_536}}, 400, "job.payload"),
        ({"priority": 1_000_001}, 400, "job.priority"),
        ({"priority": "high"}, 400, "request.schema"),
        ({"proofTypesJson": ["x"] * 51}, 400, "job.proof_types"),
        ({"active": "yes"}, 400, "request.schema"),
        ({"nextRunAt": "tomorrow"}, 400, "request.time"),
        ({"agentId": "nobody"}, 404, "agent.unknown"),
    ],
)
def test_definitions_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    project = wire.project()["id"]
    reply = wire.post(f"/projects/{project}/recurring-tasks", TASK | body)
    assert (reply.status, reply["code"]) == (status, code)
    assert wire.get(f"/projects/{project}/recurring-tasks")["recurringTasks"] == []


def test_what_is_missing_is_named(wire: Wire) -> None:
    reply = wire.post(f"/projects/{wire.project()['id']}/recurring-tasks", {})
    assert (reply.status, reply["missingFields"]) == (400, ["name", "taskType"])


def test_nothing_to_change_is_400(wire: Wire) -> None:
    row = define(wire, wire.project()["id"])
    assert wire.patch(path_of(row), {})["code"] == "job.nothing"


def test_projects_that_are_none_of_its(wire: Wire) -> None:
    row = define(wire, wire.project()["id"])
    other = wire.project()["id"]
    assert wire.patch(f"/projects/{other}/recurring-tasks/{row['id']}", {"name": "x"}).status == 404
    assert wire.get(f"/projects/{uuid4()}/recurring-tasks").status == 404
    assert wire.get("/projects/x/recurring-tasks").status == 400
    wire.patch(f"/projects/{row['projectId']}", {"status": "killed"})
    assert wire.post(f"{path_of(row)}/spawn").status == 409


def test_weak_spot_27_definitions_come_in_pages(wire: Wire) -> None:
    project = wire.project()["id"]
    ids = [define(wire, project)["id"] for _ in range(3)]
    first = wire.get(f"/projects/{project}/recurring-tasks?limit=2")
    rest = wire.get(f"/projects/{project}/recurring-tasks?limit=2&cursor={first['nextCursor']}")
    seen = [row["id"] for row in (*first["recurringTasks"], *rest["recurringTasks"])]
    assert seen == ids[::-1] and "nextCursor" not in rest.body


# -- schedules -----------------------------------------------------------------------------


def test_a_schedule_is_upserted_by_name(wire: Wire) -> None:
    name, project = f"s-{uuid4()}", wire.project()["id"]
    body = {"name": name, "cronExpression": "0 9 * * 1", "targetProjectId": project,
            "agentPattern": "writer-*"}  # fmt: skip
    made = wire.post("/schedules", body)
    assert (made.status, made["message"]) == (201, "Schedule registered")
    row = made["schedule"]
    assert body.items() <= row.items() and row["status"] == "active"
    again = wire.post("/schedules", {"name": name, "cronExpression": "30 8 * * *"})
    assert (again.status, again["schedule"]["id"]) == (200, row["id"])
    assert again["schedule"]["targetProjectId"] == project
    assert again["schedule"]["nextRunAt"].endswith("T08:30:00.000Z")
    paused = wire.patch(f"/schedules/{row['id']}", {"status": "paused"})["schedule"]
    assert (paused["status"], paused["nextRunAt"]) == ("paused", None)
    gone = wire.delete(f"/schedules/{row['id']}")
    assert gone.status == 200 and gone["schedule"]["deletedAt"]
    fresh = wire.post("/schedules", {"name": name, "cronExpression": "0 9 * * 1"})
    assert fresh.status == 201 and fresh["schedule"]["id"] != row["id"]


def test_schedules_and_recurring_tasks_are_rows_of_one_table(wire: Wire) -> None:
    row = define(wire, wire.project()["id"], cronExpression="0 9 * * 1")
    [seen] = [s for s in wire.get("/schedules?limit=500")["schedules"] if s["id"] == row["id"]]
    assert (seen["cronExpression"], seen["targetProjectId"]) == ("0 9 * * 1", row["projectId"])
    [job] = [j for j in wire.get("/jobs?limit=500")["jobs"] if j["id"] == row["id"]]
    assert job | row == job, "and what a job has besides"
    assert wire.get(f"/jobs/{row['number']}")["job"] == job
    ran = wire.post(f"/jobs/{row['number']}/run")
    assert ran.status == 201 and ran["task"]["recurringTaskDefinitionId"] == row["id"]


def test_schedules_come_in_pages_with_totals(found: Any) -> None:
    wire = found()
    for n in range(3):
        wire.post("/schedules", {"name": f"n{n}", "cronExpression": "0 9 * * 1"})
    first, second = wire.get("/schedules?limit=2"), wire.get("/schedules?limit=2&page=2")
    assert [row["name"] for row in (*first["schedules"], *second["schedules"])] == [
        "n2", "n1", "n0",
    ]  # fmt: skip
    assert first["pagination"] == {
        "page": 1, "limit": 2, "total": 3, "totalPages": 2, "hasMore": True,
    }  # fmt: skip
    assert second["pagination"]["hasMore"] is False
    for page in ("0", "x", "-1", "9999999"):
        assert wire.get(f"/schedules?page={page}")["pagination"]["page"] == 1
    assert wire.get("/schedules?page=999")["schedules"] == []
    wire.close()


def test_a_schedule_follows_a_playbook_and_can_be_made_to_spawn(wire: Wire) -> None:
    playbook = wire.post("/playbooks", {"name": f"p-{uuid4()}"})["playbook"]["id"]
    body = {"name": f"s-{uuid4()}", "cronExpression": "0 9 * * 1", "playbookId": playbook}
    row = wire.post("/schedules", body)["schedule"]
    assert row["playbookId"] == playbook
    assert wire.post(f"/jobs/{row['id']}/run")["code"] == "job.no_project"
    more = {"targetProjectId": wire.project()["id"], "taskType": "weekly_report"}
    wire.patch(f"/schedules/{row['id']}", more)
    assert wire.post(f"/jobs/{row['id']}/run").status == 201


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({}, 400, "job.missing"),
        ({"name": "s"}, 400, "job.missing"),
        ({"name": "s", "cronExpression": "soon"}, 400, "job.cron"),
        ({"name": "s", "cronExpression": "0 9 * * 1", "status": "done"}, 400, "job.status"),
        ({"name": "s", "cronExpression": "0 9 * * 1", "playbookId": "x"}, 404, "playbook.unknown"),
        ({"name": "s", "cronExpression": "0 9 * * 1", "targetProjectId": "x"}, 404,
         "project.unknown"),
        ({"name": "s", "cronExpression": "0 9 * * 1", "agentPattern": "x" * 301}, 400,
         "job.agent_pattern"),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    reply = wire.post("/schedules", body)
    assert (reply.status, reply["code"]) == (status, code)


def test_a_schedules_name_is_its_own(wire: Wire) -> None:
    one, two = (
        wire.post("/schedules", {"name": f"s-{uuid4()}", "cronExpression": "0 9 * * 1"})["schedule"]
        for _ in range(2)
    )
    reply = wire.patch(f"/schedules/{one['id']}", {"name": two["name"]})
    assert (reply.status, reply["code"]) == (409, "job.exists")


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
def test_schedule_mutations_need_a_key(wire: Wire, method: str) -> None:
    path = "/schedules" if method == "POST" else f"/schedules/{uuid4()}"
    assert wire.call(method, path, {"name": "x"}, key=None).status == 400
    assert wire.call(method, path, {"name": "x"}).status in (400, 404)


# -- scope ---------------------------------------------------------------------------------


def test_notes_and_results_keep_the_scope_of_their_task(wire: Wire) -> None:
    """Project and customer, also when the project is removed later."""
    customer, agent = wire.customer()["id"], wire.agent()["id"]
    project = wire.project(customerId=customer)["id"]
    row = define(wire, project)
    task = wire.post(f"{path_of(row)}/spawn")["task"]["id"]
    scope = {"projectId": project, "customerId": customer}
    wire.post(f"/tasks/{task}/claim", {"agentId": agent})
    with wire.socket() as socket:
        said = wire.post(f"/tasks/{task}/notes", {"agentId": agent, "note": "half"})
        assert scope.items() <= said["event"].items()
        assert scope.items() <= frame(socket, "task_note_added", taskId=task).items()
    result = wire.post(
        f"/tasks/{task}/result", {"agentId": agent, "state": "done", "outputJson": {"n": 1}}
    )
    assert result.status == 200 and scope.items() <= result["task"].items()
    wire.delete(f"/projects/{project}")
    for event in wire.get(f"/tasks/{task}/notes")["events"]:
        assert scope.items() <= event.items()
    assert scope.items() <= wire.get(f"/tasks/{task}")["task"].items()
