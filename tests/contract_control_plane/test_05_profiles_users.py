"""Contract, sections 5 (users, project memory) and 5.1 (project agent profiles); 18.22, 18.27."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import NOBODY, Wire

PROFILE = {
    "id", "companyId", "projectId", "agentId", "roleType", "displayName", "signature",
    "memorySeed", "resourcePolicyJson", "createdAt", "updatedAt", "deletedAt",
}  # fmt: skip
USER = {"id", "membershipId", "email", "displayName", "roleTitle", "role", "instanceRole"}


def of(wire: Wire, project: str, **body: Any) -> Any:
    return wire.post(f"/projects/{project}/agent-profiles", body, key=None)


# -- people --------------------------------------------------------------------------------


def test_users_are_the_people_of_the_company(wire: Wire, person: Wire) -> None:
    for name, role in (("Petra", "approver"), ("Otto", "operator"), ("petra", "viewer")):
        minted = person.post("/api/v1/tokens", {"kind": "operator", "name": name, "role": role})
        assert minted.status == 201, minted.body
    reply = wire.get("/users")
    assert reply.status == 200 and reply["ok"] is True
    assert all(set(user) == USER for user in reply["users"])
    found = {user["displayName"]: (user["role"], user["roleTitle"]) for user in reply["users"]}
    assert found["Petra"] == ("admin", "approver")  # two tokens of one name: one person
    assert found["Otto"] == ("member", "operator")
    assert "petra" not in found
    [home] = [user for user in reply["users"] if user["instanceRole"] == "instance_admin"]
    assert (home["displayName"], home["role"]) == ("owner", "owner")


def test_one_user_by_id(wire: Wire) -> None:
    first = wire.get("/users")["users"][0]
    reply = wire.get(f"/users?id={first['id']}")
    assert (reply.status, reply.body) == (200, {"ok": True, "user": first})


@pytest.mark.parametrize("ref", ["nobody", NOBODY, "%27--", "x" * 1_000])
def test_an_unknown_user_is_404(wire: Wire, ref: str) -> None:
    assert wire.get(f"/users?id={ref}").status == 404


def test_people_of_another_company_are_not_seen(
    wire: Wire, person: Wire, found: Callable[..., Wire]
) -> None:
    person.post("/api/v1/tokens", {"kind": "operator", "name": "Inga", "role": "owner"})
    other = found()
    assert "Inga" not in {user["displayName"] for user in other.get("/users")["users"]}
    other.close()


# -- faces of agents -----------------------------------------------------------------------


def test_a_face_from_creation_to_removal_without_a_key(wire: Wire) -> None:
    agent, project = wire.agent(), wire.project()["id"]
    made = of(
        wire, project, agentId=agent["name"], displayName="Ada of Acme", signature="-- Ada",
        memorySeed="Acme likes short notes.", resourcePolicyJson={"mailbox": "acme"},
    )  # fmt: skip
    assert made.status == 201 and set(made["profile"]) == PROFILE
    assert (made["profile"]["agentId"], made["profile"]["roleType"]) == (agent["id"], "worker")
    path = f"/projects/{project}/agent-profiles/{made['profile']['id']}"
    assert wire.get(path)["profile"] == made["profile"]
    assert wire.get(f"/projects/{project}/agent-profiles")["profiles"] == [made["profile"]]
    changed = wire.patch(path, {"roleType": "lead", "signature": None}, key=None)
    assert changed.status == 200
    assert (changed["profile"]["roleType"], changed["profile"]["signature"]) == ("lead", None)
    assert changed["profile"]["memorySeed"] == "Acme likes short notes."
    gone = wire.delete(path, key=None)
    assert gone.status == 200 and gone["profile"]["deletedAt"]
    assert wire.get(path).status == 404
    assert wire.get(f"/projects/{project}/agent-profiles")["profiles"] == []


def test_quirk_one_live_face_for_an_agent_in_a_project(wire: Wire) -> None:
    """The original keeps several; here a second POST changes the one that is there."""
    agent, project = wire.agent(), wire.project()["id"]
    first = of(wire, project, agentId=agent["id"], displayName="One", signature="kept")
    again = of(wire, project, agentId=agent["id"], displayName="Two")
    assert (first.status, again.status) == (201, 200)
    assert again["profile"]["id"] == first["profile"]["id"]
    assert (again["profile"]["displayName"], again["profile"]["signature"]) == ("Two", "kept")
    wire.delete(f"/projects/{project}/agent-profiles/{first['profile']['id']}", key=None)
    fresh = of(wire, project, agentId=agent["id"])
    assert fresh.status == 201 and fresh["profile"]["id"] != first["profile"]["id"]


def test_the_face_is_in_the_context_of_the_agents_tasks(wire: Wire) -> None:
    agent, project = wire.agent(), wire.project()["id"]
    task = wire.task(project, assignedAgentId=agent["id"])
    free = wire.task(project)
    assert wire.get(f"/tasks/{task['id']}/context")["agentProfile"] is None
    face = of(wire, project, agentId=agent["id"], displayName="Ada of Acme")["profile"]
    assert wire.get(f"/tasks/{task['id']}/context")["agentProfile"] == face
    assert wire.get(f"/tasks/{free['id']}/context")["agentProfile"] is None


def test_quirk_the_project_must_exist(wire: Wire, found: Callable[..., Wire]) -> None:
    """The original does not look."""
    agent = wire.agent()["id"]
    gone = wire.project()["id"]
    wire.delete(f"/projects/{gone}")
    other = found()
    foreign = other.project()["id"]
    other.close()
    for project in (str(uuid4()), gone, foreign):
        assert of(wire, project, agentId=agent).status == 404
        assert wire.get(f"/projects/{project}/agent-profiles").status == 404


def test_a_face_of_one_project_is_not_found_under_another(wire: Wire) -> None:
    agent, project, other = wire.agent()["id"], wire.project()["id"], wire.project()["id"]
    face = of(wire, project, agentId=agent)["profile"]["id"]
    path = f"/projects/{other}/agent-profiles/{face}"
    assert [wire.get(path).status, wire.patch(path, {}).status, wire.delete(path).status] == [
        404, 404, 404,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({}, 400, "request.schema"),
        ({"agentId": 5}, 400, "request.schema"),
        ({"agentId": "nobody"}, 404, "agent.unknown"),
        ({"agentId": NOBODY}, 404, "agent.unknown"),
        ({"roleType": ""}, 400, "profile.role_type"),
        ({"roleType": "x" * 101}, 400, "profile.role_type"),
        ({"displayName": "x" * 201}, 400, "profile.display_name"),
        ({"signature": "x" * 10_001}, 400, "profile.signature"),
        ({"memorySeed": "x" * 100_001}, 400, "profile.memory_seed"),
        ({"resourcePolicyJson": []}, 400, "request.schema"),
        ({"resourcePolicyJson": {"k": "x" * 65_536}}, 400, "profile.resource_policy"),
        ([], 400, "request.schema"),
    ],
)
def test_faces_that_cannot_be(wire: Wire, body: Any, status: int, code: str) -> None:
    project = wire.project()["id"]
    if isinstance(body, dict) and body and "agentId" not in body:
        body = {"agentId": wire.agent()["id"]} | body
    reply = wire.post(f"/projects/{project}/agent-profiles", body, key=None)
    assert (reply.status, reply["code"]) == (status, code) and reply["error"]
    assert wire.get(f"/projects/{project}/agent-profiles")["profiles"] == []


@pytest.mark.parametrize("path", ["/projects/x/agent-profiles", "/projects/{p}/agent-profiles/x"])
def test_quirk_ids_that_are_none_are_400(wire: Wire, path: str) -> None:
    reply = wire.get(path.replace("{p}", wire.project()["id"]))
    assert (reply.status, reply["code"]) == (400, "request.bad_id")


def test_weak_spot_27_faces_come_in_pages(wire: Wire) -> None:
    project = wire.project()["id"]
    ids = [of(wire, project, agentId=wire.agent()["id"])["profile"]["id"] for _ in range(3)]
    path = f"/projects/{project}/agent-profiles?limit=2"
    first = wire.get(path)
    rest = wire.get(f"{path}&cursor={first['nextCursor']}")
    seen = [row["id"] for row in (*first["profiles"], *rest["profiles"])]
    assert seen == ids[::-1] and "nextCursor" not in rest.body
    assert wire.get(f"{path}&cursor=x").status == 400


# -- project memory -----------------------------------------------------------------------


def test_weak_spot_27_project_memory_is_bounded(wire: Wire) -> None:
    project = wire.project()["id"]
    path = f"/projects/{project}/memory"
    for n in range(3):
        wire.post(path, {"content": f"line {n}"}, key=None)
    assert [row["content"] for row in wire.get(f"{path}?limit=2")["data"]] == ["line 2", "line 1"]
