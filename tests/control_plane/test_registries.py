"""Faces, jobs, recorded pipelines, execution logs and proposals on both engines: their SQL."""

import pytest

from homarus.control_plane import actions, cron, jobs, legacy, people, pipelines, profiles
from homarus.jobs import service
from homarus.jobs.model import SCHEDULE, JobChange
from tests.support.engines import BOTH
from tests.support.surface import surface

pytestmark = BOTH
ROUTES = (
    *profiles.ROUTES, *jobs.ROUTES, *cron.ROUTES, *pipelines.ROUTES, *actions.ROUTES,
    *legacy.ROUTES, *people.ROUTES,
)  # fmt: skip


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada = await made.agent("ada")
        made.bridge = await made.token(acts_for=[made.ada])
        made.project_id = await made.project()
        yield made


async def ask(s, method, path, body=None, **query):
    answer = await s.call(ROUTES, method, path, body, token=s.bridge, query=query)
    assert answer.status < 300, answer.text
    return answer.body


async def test_faces(s):
    path = f"/projects/{s.project_id}/agent-profiles"
    body = {"agentId": "ada", "displayName": "Ada", "resourcePolicyJson": {"k": ["ö"]}}
    face = (await ask(s, "POST", path, body))["profile"]
    assert (await ask(s, "POST", path, {"agentId": s.ada, "roleType": "lead"}))["profile"] == (
        face | {"roleType": "lead", "updatedAt": face["updatedAt"]}
    )
    assert (await ask(s, "PATCH", f"{path}/{face['id']}", {"displayName": None}))["profile"][
        "displayName"
    ] is None
    assert len((await ask(s, "GET", path, limit="1", cursor="99"))["profiles"]) == 1
    await ask(s, "DELETE", f"{path}/{face['id']}")
    assert (await ask(s, "GET", path))["profiles"] == []
    assert (await ask(s, "POST", path, body))["profile"]["id"] != face["id"]


async def test_people(s):
    users = (await ask(s, "GET", "/users"))["users"]
    assert [(u["displayName"], u["role"], u["instanceRole"]) for u in users] == [
        ("Olivia", "owner", "instance_admin")
    ]
    assert (await ask(s, "GET", "/users", id=users[0]["id"]))["user"] == users[0]


async def test_jobs(s):
    path = f"/projects/{s.project_id}/recurring-tasks"
    body = {
        "name": "Weekly", "taskType": "weekly_report", "cronExpression": "0 9 * * 1",
        "payloadJson": {"goal": "ö"}, "proofTypesJson": ["a"], "agentId": "ada",
    }  # fmt: skip
    row = (await ask(s, "POST", path, body))["recurringTask"]
    assert row["number"] == "J-1"
    spawned = await ask(s, "POST", f"{path}/{row['id']}/spawn")
    assert (spawned["recurringTask"]["runs"], spawned["task"]["taskKind"]) == (1, "recurrent")
    assert spawned["task"]["assignedAgentId"] == s.ada
    assert (await ask(s, "PATCH", f"{path}/{row['id']}", {"active": False}))["recurringTask"][
        "nextRunAt"
    ] is None
    for name, status in (("a", 201), ("b", 201), ("a", 200)):
        answer = await s.call(
            ROUTES, "POST", "/schedules", {"name": name, "cronExpression": "0 9 * * 1"},
            token=s.bridge,
        )  # fmt: skip
        assert answer.status == status
    page = await ask(s, "GET", "/schedules", page="2", limit="2")
    assert [row["id"] for row in page["schedules"]] == [row["id"]]
    assert page["pagination"]["total"] == 3
    await ask(s, "DELETE", f"{path}/{row['id']}")
    assert (await ask(s, "GET", path))["recurringTasks"] == []
    kinds = [event.kind for event in await s.events("recurring_task_spawned")]
    assert kinds == ["recurring_task_spawned"]


async def test_a_schedules_name_is_unique_in_the_table_too(s):
    """What the route checks, the index keeps; a removed one frees its name."""

    def twice(tx):
        row = service.create(tx, SCHEDULE, JobChange(name="one", cron="0 9 * * 1"))
        service.archive(tx, row)
        return service.create(tx, SCHEDULE, JobChange(name="one", cron="0 9 * * 1"))

    row = await s.run(twice)
    found = await s.read(service.schedule_named, s.company, "one")
    assert found == row


async def test_records_and_runs(s):
    body = {
        "name": "Leads", "purpose": "p", "docMarkdown": "d", "status": "active",
        "trigger": "cron", "triggerConfig": {"cronExpression": "0 6 * * *"},
        "steps": [{"name": "One", "gate": "ö"}], "projectId": s.project_id, "agentId": "ada",
        "contextTagFilters": ["x"], "contextResourceIds": [s.ada], "contextMaxChars": 5,
    }  # fmt: skip
    row = (await ask(s, "POST", "/pipelines", body))["pipeline"]
    assert (row["steps"], row["agentId"]) == ([{"name": "One", "gate": "ö"}], s.ada)
    for query in ({"name": "Leads"}, {"status": "active"}, {"projectId": s.project_id}):
        shown = (await ask(s, "GET", "/pipelines", **query))["pipelines"]
        assert row in shown
    path = f"/pipelines/{row['id']}/runs"
    run = (await ask(s, "POST", path, {"status": "running", "stats": {"n": 0}}))["run"]
    done = {"runId": run["id"], "status": "partial", "summary": "half"}
    ended = (await ask(s, "POST", path, done))["run"]
    assert (ended["stats"], ended["summary"], ended["status"]) == ({"n": 0}, "half", "partial")
    assert (await ask(s, "GET", path, limit="1", cursor="99"))["runs"] == [ended]
    assert (await ask(s, "GET", f"/pipelines/{row['id']}/context"))["resources"] == []
    await ask(s, "POST", "/playbooks", {"name": "Leads", "instructionsJson": ["ö"]})
    assert [p["name"] for p in (await ask(s, "GET", "/playbooks"))["playbooks"]] == ["Leads"]
    await ask(s, "DELETE", f"/pipelines/{row['id']}")
    again = (await ask(s, "POST", "/pipelines", {"name": "Leads"}))["pipeline"]
    assert again["id"] != row["id"]


async def test_execution_logs(s):
    ids = [
        (await ask(s, "POST", "/actions", {"agentId": "ada", "projectId": s.project_id}))[
            "actionRun"
        ]["id"]
        for _ in range(3)
    ]
    body = {"status": "failed", "metadataJson": {"ö": 1}}
    ended = (await ask(s, "PATCH", f"/actions/{ids[0]}", body | {"agentId": "ada"}))["actionRun"]
    assert (ended["status"], ended["metadataJson"]) == ("failed", {"ö": 1})
    first = await ask(s, "GET", "/actions", agentId="ada", limit="2")
    rest = await ask(s, "GET", "/actions", agentId="ada", cursor=first["nextCursor"])
    assert [r["id"] for r in (*first["actionRuns"], *rest["actionRuns"])] == sorted(ids)[::-1]
    chosen = await ask(s, "GET", "/actions", projectId=s.project_id, status="failed")
    assert [r["id"] for r in chosen["actionRuns"]] == [ids[0]]


async def test_proposals(s):
    made = (await ask(s, "POST", "/skills/promote", {"name": "Öl b", "stepsJson": {"a": 1}}))[
        "tactic"
    ]
    assert made["id"] == "tactic.l_b"
    assert (await ask(s, "GET", "/tactics", status="proposed"))["tactics"] == [made]
    assert (await ask(s, "GET", "/tactics", status="retired"))["tactics"] == []
    await ask(s, "DELETE", f"/tactics/{made['id']}")
    assert (await ask(s, "GET", "/tactics"))["tactics"] == []
    again = (await ask(s, "POST", "/skills/promote", {"name": "Öl b"}))["tactic"]
    assert again["version"] == 1


async def test_another_companys_rows_are_not_found(s):
    other = await s.other_company()
    spy = await s.token(company=other)
    record = (await ask(s, "POST", "/pipelines", {"name": "Mine"}))["pipeline"]["id"]
    run = (await ask(s, "POST", "/actions", {}))["actionRun"]["id"]
    job = (await ask(s, "POST", "/schedules", {"name": "Mine", "cronExpression": "0 9 * * 1"}))[
        "schedule"
    ]["id"]
    tactic = (await ask(s, "POST", "/skills/promote", {"name": "Mine"}))["tactic"]["id"]
    for method, path, body in [
        ("GET", f"/pipelines/{record}", None),
        ("GET", f"/pipelines/{record}/runs", None),
        ("GET", f"/pipelines/{record}/context", None),
        ("PATCH", f"/pipelines/{record}", {"purpose": "x"}),
        ("DELETE", f"/pipelines/{record}", None),
        ("POST", f"/pipelines/{record}/runs", {"status": "failed"}),
        ("GET", f"/actions/{run}", None),
        ("PATCH", f"/actions/{run}", {"status": "x"}),
        ("GET", f"/jobs/{job}", None),
        ("GET", "/jobs/J-1", None),
        ("POST", f"/jobs/{job}/run", None),
        ("PATCH", f"/schedules/{job}", {"status": "paused"}),
        ("DELETE", f"/schedules/{job}", None),
        ("DELETE", f"/tactics/{tactic}", None),
        ("GET", f"/projects/{s.project_id}/agent-profiles", None),
        ("GET", f"/projects/{s.project_id}/recurring-tasks", None),
    ]:
        answer = await s.call(ROUTES, method, path, body, token=spy)
        assert answer.status == 404, (method, path, answer.text)
