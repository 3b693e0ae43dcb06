"""Contract, section 7: incidents, with the list and the reading that the original lacks."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from tests.contract_control_plane.wire import Answer, Wire, frame

INCIDENT = {
    "id", "companyId", "projectId", "taskId", "severity", "reasonCode", "summary",
    "recommendedActionJson", "status", "createdAt", "updatedAt",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(wire: Wire) -> str:
    return str(wire.project()["id"])


def report(wire: Wire, **body: Any) -> Answer:
    given = {"severity": "medium", "reasonCode": "build_failed", "summary": "the build is red"}
    return wire.post("/incidents", given | body)


def test_an_incident_comes_back_whole(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    action = {"do": ["restart"], "by": "ops"}
    reply = report(wire, taskId=task, projectId=project, recommendedActionJson=action)
    assert reply.status == 201 and reply["message"]
    row = reply["incident"]
    assert set(row) >= INCIDENT
    assert (row["severity"], row["reasonCode"]) == ("medium", "build_failed")
    assert (row["taskId"], row["projectId"]) == (task, project)
    assert (row["recommendedActionJson"], row["status"]) == (action, "open")


def test_a_task_alone_names_its_project(wire: Wire, project: str) -> None:
    task = wire.task(project)["id"]
    assert report(wire, taskId=task)["incident"]["projectId"] == project


@pytest.mark.parametrize("severity", ["low", "medium", "high", "odd"])
def test_severities_are_words(wire: Wire, project: str, severity: str) -> None:
    assert report(wire, projectId=project, severity=severity)["incident"]["severity"] == severity


@pytest.mark.parametrize(
    "body, status",
    [
        ({}, 400),
        ({"projectId": None, "taskId": None}, 400),
        ({"projectId": str(uuid4())}, 404),
        ({"taskId": str(uuid4())}, 404),
        ({"severity": ""}, 400),
        ({"reasonCode": None}, 400),
        ({"summary": " "}, 400),
    ],
)
def test_incidents_that_are_refused(
    wire: Wire, project: str, body: dict[str, Any], status: int
) -> None:
    if body and not {"projectId", "taskId"} & body.keys():
        body = body | {"projectId": project}
    reply = report(wire, **body)
    assert reply.status == status and reply["error"]


@pytest.mark.parametrize("status", ["acknowledged", "resolved", "open"])
def test_statuses_of_an_incident(wire: Wire, project: str, status: str) -> None:
    incident = report(wire, projectId=project)["incident"]["id"]
    changed = wire.patch(f"/incidents/{incident}", {"status": status})
    assert changed.status == 200 and changed["message"]
    assert changed["incident"]["status"] == status
    assert bool(changed["incident"]["resolvedAt"]) == (status == "resolved")


def test_a_patch_changes_the_words_too(wire: Wire, project: str) -> None:
    incident = report(wire, projectId=project)["incident"]["id"]
    body = {"status": "acknowledged", "summary": "new", "recommendedActionJson": {"a": 1}}
    row = wire.patch(f"/incidents/{incident}", body)["incident"]
    assert {field: row[field] for field in body} == body


@pytest.mark.parametrize("body", [{}, {"status": "closed"}, {"status": 1}, {"summary": ""}])
def test_patches_that_are_refused(wire: Wire, project: str, body: dict[str, Any]) -> None:
    incident = report(wire, projectId=project)["incident"]["id"]
    assert wire.patch(f"/incidents/{incident}", body).status == 400


def test_incidents_are_readable(wire: Wire, project: str) -> None:
    """The original has neither a list nor a way to read one."""
    made = report(wire, projectId=project)["incident"]
    assert wire.get(f"/incidents/{made['id']}")["incident"] == made
    assert wire.get(f"/incidents/{made['number']}")["incident"] == made
    assert wire.get("/incidents")["incidents"][0] == made
    assert wire.get(f"/incidents/{uuid4()}").status == 404


def test_lists_have_filters_and_a_cursor(found: Callable[..., Wire]) -> None:
    wire = found()
    project, other = wire.project()["id"], wire.project()["id"]
    task = wire.task(project)["id"]
    a = report(wire, projectId=other, severity="high")["incident"]["id"]
    b = report(wire, taskId=task)["incident"]["id"]
    c = report(wire, projectId=project)["incident"]["id"]
    wire.patch(f"/incidents/{c}", {"status": "resolved"})
    for query, expected in (
        ("", [c, b, a]),
        ("?status=open", [b, a]),
        ("?status=resolved", [c]),
        ("?severity=high", [a]),
        (f"?projectId={project}", [c, b]),
        (f"?taskId={task}", [b]),
        ("?limit=1", [c]),
    ):
        assert [row["id"] for row in wire.get(f"/incidents{query}")["incidents"]] == expected
    cursor = wire.get("/incidents?limit=1")["nextCursor"]
    assert [r["id"] for r in wire.get(f"/incidents?cursor={cursor}")["incidents"]] == [b, a]


def test_frames_of_incidents(wire: Wire, person: Wire, project: str) -> None:
    """The original tells nobody of a new one; here it is an update from nothing."""
    with wire.socket() as socket:
        frame(socket, "connected")
        incident = report(wire, projectId=project)["incident"]["id"]
        assert frame(socket, "incident_updated")["incident"]["id"] == incident
        wire.patch(f"/incidents/{incident}", {"status": "resolved"})
        assert frame(socket, "incident_updated")["incident"]["status"] == "resolved"
        assert person.delete(f"/incidents/{incident}").status == 200
        assert frame(socket, "incident_deleted")["incidentId"] == incident
    assert wire.get(f"/incidents/{incident}").status == 404


def test_quirk_no_company_token_removes_an_incident(wire: Wire, project: str) -> None:
    """In the original whoever caused one may make it vanish."""
    incident = report(wire, projectId=project)["incident"]["id"]
    assert wire.delete(f"/incidents/{incident}").status == 403
    assert wire.get(f"/incidents/{incident}").status == 200
