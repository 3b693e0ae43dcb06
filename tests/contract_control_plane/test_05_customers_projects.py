"""Contract, section 5: customers, projects, what a project remembers."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Wire, frame

POLICIES = (
    "requireApprovalForDone",
    "requireReviewBeforeDone",
    "commentRequiredForReview",
    "blockStatusChangesWithPendingApproval",
    "onlyLeadCanChangeStatus",
)


def name() -> str:
    return f"n-{uuid4()}"


# -- customers ---------------------------------------------------------------------------------


def test_customers_are_made_once_by_exact_name(wire: Wire) -> None:
    called = name()
    made = wire.post("/customers", {"name": called, "notes": "first"})
    again = wire.post("/customers", {"name": called, "notes": "second"})
    assert (made.status, again.status) == (201, 200)
    assert made["message"] and again["message"]
    assert again["customer"]["id"] == made["customer"]["id"]
    assert again["customer"]["notes"] == "second"
    assert wire.post("/customers", {"name": called.upper()}).status == 201


@pytest.mark.parametrize("body", [{"name": "new"}, {"notes": "n"}, {"name": "b", "notes": "n"}])
def test_a_customer_changes(wire: Wire, body: dict[str, str]) -> None:
    given = {field: f"{value} {uuid4()}" for field, value in body.items()}
    changed = wire.patch(f"/customers/{wire.customer()['id']}", given)
    assert changed.status == 200 and changed["message"]
    assert {field: changed["customer"][field] for field in given} == given


@pytest.mark.parametrize("body", [{}, {"other": 1}])
def test_a_customer_needs_something_to_change(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.patch(f"/customers/{wire.customer()['id']}", body).status == 400


def test_a_name_that_another_customer_has_is_409(wire: Wire) -> None:
    one, other = wire.customer(), wire.customer()
    assert wire.patch(f"/customers/{one['id']}", {"name": other["name"]}).status == 409


def test_a_null_clears_the_notes(wire: Wire) -> None:
    customer = wire.customer(notes="n")["id"]
    assert wire.patch(f"/customers/{customer}", {"notes": None})["customer"]["notes"] is None


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " "}, {"name": 1}, {"name": None}, {"name": "x" * 400}]
)
def test_customers_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.post("/customers", body).status == 400


@pytest.mark.parametrize("verb", ["PATCH", "DELETE"])
def test_an_unknown_customer(wire: Wire, verb: str) -> None:
    body = {"notes": "n"} if verb == "PATCH" else None
    assert wire.call(verb, f"/customers/{uuid4()}", body).status == 404


def test_customers_go_on_from_page_to_page(found: Callable[..., Wire]) -> None:
    wire = found()
    made = [wire.customer()["id"] for _ in range(5)]
    seen, cursor = [], ""
    for _ in range(5):
        page = wire.get(f"/customers?limit=2&cursor={cursor}")
        seen += [row["id"] for row in page["customers"]]
        cursor = page.body.get("nextCursor")
        if not cursor:
            break
    assert seen == made[::-1]


# -- projects ----------------------------------------------------------------------------------


def test_defaults_of_a_project(wire: Wire) -> None:
    made = wire.post("/projects", {"goal": "ship it"})
    assert made.status == 201 and made["message"]
    project = made["project"]
    assert (project["goal"], project["status"]) == ("ship it", "active")
    assert project["maxActiveAgents"] == 3
    assert [project[policy] for policy in POLICIES] == [False] * 5
    assert (project["customerId"], project["leadAgentId"]) == (None, None)


def test_all_given_fields_come_back(wire: Wire) -> None:
    given = {
        "customerId": wire.customer()["id"],
        "leadAgentId": wire.agent()["id"],
        "status": "paused",
        "maxActiveAgents": 1,
        **dict.fromkeys(POLICIES, True),
    }
    project = wire.project(**given)
    assert {field: project[field] for field in given} == given


@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy_is_switched_by_itself(wire: Wire, policy: str) -> None:
    project = wire.project()["id"]
    for on in (True, False):
        changed = wire.patch(f"/projects/{project}", {policy: on})["project"]
        assert [changed[name] for name in POLICIES] == [on and name == policy for name in POLICIES]


@pytest.mark.parametrize("status", ["active", "paused", "killed", "completed"])
def test_statuses_of_a_project(wire: Wire, status: str) -> None:
    project = wire.project()["id"]
    assert wire.patch(f"/projects/{project}", {"status": status})["project"]["status"] == status
    listed = wire.get(f"/projects?status={status}&limit=500")["projects"]
    assert project in {row["id"] for row in listed}
    assert {row["status"] for row in listed} == {status}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"goal": ""},
        {"goal": 5},
        {"goal": "g", "status": "sleeping"},
        {"goal": "g", "maxActiveAgents": 0},
        {"goal": "g", "maxActiveAgents": "3"},
        {"goal": "g", "requireApprovalForDone": "yes"},
    ],
)
def test_projects_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    reply = wire.post("/projects", body)
    assert reply.status == 400 and reply["error"]


@pytest.mark.parametrize("field", ["customerId", "leadAgentId"])
def test_what_a_project_names_must_be_there(wire: Wire, field: str) -> None:
    assert wire.post("/projects", {"goal": "g", field: str(uuid4())}).status == 404


@pytest.mark.parametrize("body", [{}, {"status": "asleep"}, {"maxActiveAgents": 0}, {"goal": " "}])
def test_patches_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.patch(f"/projects/{wire.project()['id']}", body).status == 400


def test_the_list_names_the_customer(wire: Wire) -> None:
    customer = wire.customer()
    project = wire.project(customerId=customer["id"])
    row = next(r for r in wire.get("/projects")["projects"] if r["id"] == project["id"])
    assert row["customer"]["name"] == customer["name"]


def test_delete_is_soft(wire: Wire) -> None:
    project = wire.project()["id"]
    gone = wire.delete(f"/projects/{project}")
    assert gone.status == 200 and gone["project"]["deletedAt"]
    assert project not in {row["id"] for row in wire.get("/projects?limit=500")["projects"]}
    assert wire.patch(f"/projects/{project}", {"goal": "g"}).status == 404


def test_frames_of_projects(wire: Wire) -> None:
    with wire.socket() as socket:
        frame(socket, "connected")
        project = wire.project()["id"]
        assert frame(socket, "project_created")["project"]["id"] == project
        wire.patch(f"/projects/{project}", {"goal": "another"})
        assert frame(socket, "project_updated")["project"]["goal"] == "another"
        added = wire.post(f"/projects/{project}/memory", {"content": "a fact"}, key=None)["data"]
        got = frame(socket, "project_memory_added")
        assert (got["projectId"], got["memory"]) == (project, added)


# -- project memory ----------------------------------------------------------------------------


def test_a_project_remembers(wire: Wire) -> None:
    project, agent = wire.project()["id"], wire.agent()
    body = {"content": "the key is under the mat", "tags": ["house", "key"], "agentId": agent["id"]}
    made = wire.post(f"/projects/{project}/memory", body, key=None)
    assert made.status == 201
    row = made["data"]
    assert set(row) >= {"id", "companyId", "projectId", "content", "tags", "createdAt"}
    assert (row["content"], row["tags"]) == (body["content"], body["tags"])
    assert (row["createdByAgentId"], row["projectId"]) == (agent["id"], project)
    assert wire.get(f"/projects/{project}/memory")["data"] == [row]


def test_an_agent_may_be_named_or_left_out(wire: Wire) -> None:
    project, agent = wire.project()["id"], wire.agent()
    path = f"/projects/{project}/memory"
    named = wire.post(path, {"content": "c", "agentId": agent["name"]}, key=None)
    assert named["data"]["createdByAgentId"] == agent["id"]
    assert wire.post(path, {"content": "c"}, key=None)["data"]["createdByAgentId"] is None


def test_the_memory_of_a_project_is_bounded_and_goes_on(wire: Wire) -> None:
    """The original answers with all there is."""
    project = wire.project()["id"]
    path = f"/projects/{project}/memory"
    made = [wire.post(path, {"content": f"{n}"}, key=None)["data"]["id"] for n in range(105)]
    page = wire.get(path)
    assert [row["id"] for row in page["data"]] == made[::-1][:100]
    rest = wire.get(f"{path}?cursor={page['nextCursor']}")
    assert [row["id"] for row in rest["data"]] == made[::-1][100:]
    assert "nextCursor" not in rest.body


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": ""},
        {"content": 5},
        {"content": "c", "tags": "t"},
        {"content": "c", "tags": [1]},
    ],
)
def test_memories_that_are_refused(wire: Wire, body: dict[str, Any]) -> None:
    assert wire.post(f"/projects/{wire.project()['id']}/memory", body, key=None).status == 400


def test_an_unknown_project_remembers_nothing(wire: Wire) -> None:
    path = f"/projects/{uuid4()}/memory"
    assert wire.get(path).status == 404
    assert wire.post(path, {"content": "c"}, key=None).status == 404
