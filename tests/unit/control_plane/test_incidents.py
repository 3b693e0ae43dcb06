"""Incidents: opened about something that exists, seen by those who listen, closed by a status."""

import json

import pytest

from homarus.base.errors import HomarusError
from homarus.company import projects
from homarus.control_plane import incidents as routes
from homarus.control_plane.incidents import IncidentChange, NewIncident
from homarus.records import incidents
from homarus.store.port import Event
from homarus.testing.ground import ground
from homarus.testing.streams import call
from tests.unit.control_plane.work import make_task

NOWHERE = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def g(tmp_path):
    async with ground(tmp_path) as made:
        made.project = (await made.write("project.create", projects.create, {"goal": "Ship"})).id
        made.task = await make_task(made, made.project)
        yield made


async def opened(g, **more):
    body = NewIncident(
        **({"severity": "high", "reason_code": "broken", "summary": "It broke"} | more)
    )
    reply = await g.write("incident.open", routes.opened, call(g.company, body=body))
    return json.loads(reply.body)["incident"]


async def patched(g, ref, **change):
    made = call(g.company, path={"id": ref}, body=IncidentChange(**change))
    return json.loads((await g.write("incident.update", routes.changed, made)).body)["incident"]


async def listed(g, **query):
    return json.loads((await g.read(routes.listed, call(g.company, query=query))).body)


async def test_open_read_change_delete(g):
    row = await opened(g, task_id=g.task.number)
    assert (row["status"], row["taskId"], row["projectId"]) == ("open", g.task.id, g.project)
    row = await patched(g, row["number"], status="resolved", summary="Mended")
    assert (row["status"], row["summary"]) == ("resolved", "Mended")
    assert row["resolvedAt"] is not None
    again = json.loads((await g.read(routes.read, call(g.company, path={"id": row["id"]}))).body)
    assert again["incident"] == row
    await g.write("incident.delete", routes.deleted, call(g.company, path={"id": row["id"]}))
    assert (await listed(g))["incidents"] == []


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "incident.about"),
        ({"task_id": "T-99"}, "task.unknown"),
        ({"task_id": "x"}, "request.bad_id"),
        ({"project_id": NOWHERE}, "project.unknown"),
        ({"task_id": "T-1", "severity": ""}, "incident.severity"),
        ({"task_id": "T-1", "reason_code": "x" * 101}, "incident.reason_code"),
        ({"task_id": "T-1", "summary": "  "}, "incident.summary"),
        ({"task_id": "T-1", "recommended_action_json": "x" * 70_000}, "incident.action"),
    ],
)
async def test_what_cannot_be_opened(g, more, code):
    with pytest.raises(HomarusError) as caught:
        await opened(g, **more)
    assert caught.value.code == code
    assert (await listed(g))["incidents"] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": "closed"}, "incident.status"),
        ({}, "incident.nothing"),
        ({"summary": ""}, "incident.summary"),
    ],
)
async def test_what_cannot_be_changed(g, change, code):
    row = await opened(g, task_id="T-1")
    with pytest.raises(HomarusError) as caught:
        await patched(g, row["id"], **change)
    assert caught.value.code == code


async def test_one_open_incident_a_reason_and_task(g):
    about = {"severity": "low", "reason_code": "stale", "summary": "s", "task": g.task.id}

    def once(tx):
        return incidents.open_once(tx, project=g.project, **about)

    first = await g.write("incident.open", once)
    assert await g.write("incident.open", once) is None
    await patched(g, first.id, status="resolved")
    assert await g.write("incident.open", once) is not None


async def test_filters_and_pages(g):
    for n in range(3):
        await opened(g, task_id="T-1", severity="low" if n else "high")
    page = await listed(g, limit="2")
    assert [i["number"] for i in page["incidents"]] == ["I-3", "I-2"]
    rest = await listed(g, limit="2", cursor=page["nextCursor"])
    assert [i["number"] for i in rest["incidents"]] == ["I-1"]
    assert [i["number"] for i in (await listed(g, severity="high"))["incidents"]] == ["I-1"]
    assert (await listed(g, status="resolved"))["incidents"] == []


async def test_frames_show_the_incident_flat(g):
    row = await opened(g, task_id="T-1")

    def event(kind):
        return Event(1, 0, kind, row["id"], "operator:x", {}, "e")

    for kind in ("incident_opened", "incident_updated"):
        frames = await g.read(routes.FRAMES[kind], g.company, event(kind))
        assert frames == [{"type": "incident_updated", "incident": row}]
    assert routes.FRAMES["incident_deleted"](None, g.company, event("incident_deleted")) == [
        {"type": "incident_deleted", "incidentId": row["id"]}
    ]
