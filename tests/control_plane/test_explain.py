"""Rules in words, and undo, through the REST surface of a running daemon."""

import pytest

from homarus.kernel.explained import RULES
from homarus.testing.daemon import key


def code(reply):
    return reply.status_code, reply.json().get("code")


async def last(daemon, capability):
    """The newest receipt of a capability."""
    reply = await daemon.owner.get(
        "/api/v1/receipts", params={"capability": capability, "company": daemon.company_id}
    )
    return reply.json()["receipts"][0]


async def undo(daemon, receipt, client=None):
    return await (client or daemon.owner).post(
        f"/api/v1/receipts/{receipt}/undo", json={}, headers=key()
    )


async def task(daemon):
    project = await daemon.project()
    reply = await daemon.owner.post(
        "/api/v1/tasks",
        json={"projectId": project, "taskType": "unit_test", "title": "t",
              "allowUnderspecified": True},
        headers=key(),
    )  # fmt: skip
    return reply.json()["task"]["id"]


async def move(daemon, ref, state):
    reply = await daemon.owner.post(f"/api/v1/tasks/{ref}/move", json={"state": state})
    assert reply.status_code == 200, reply.text


async def state(daemon, ref):
    task = (await daemon.owner.get(f"/api/v1/tasks/{ref}")).json()["task"]
    return task["canonicalState"]


async def test_rules_are_read_by_name_and_by_code(daemon):
    listed = (await daemon.company.get("/api/v1/rules")).json()["rules"]
    assert [row["id"] for row in listed] == list(RULES)
    one = (await daemon.company.get("/api/v1/rules/R5.replayed")).json()["rule"]
    assert (one["id"], one["holdsAlways"]) == ("R5", True)
    assert code(await daemon.company.get("/api/v1/rules/nonsense")) == (404, "rule.unknown")


async def remember(daemon, text):
    reply = await daemon.company.post(
        f"/api/mcp/agents/{daemon.ada}/memory",
        json={"agentId": "ada", "content": text, "snapshot": text},
        headers=key(),
    )
    assert reply.status_code == 201, reply.text
    return (await last(daemon, "memory.write"))["id"]


async def memory(daemon):
    return (await daemon.owner.get(f"/api/v1/agents/{daemon.ada}")).json()["agent"]["memory"]


async def test_a_written_memory_is_undone_once_and_in_order(daemon):
    daemon.ada = await daemon.agent("ada")
    first = await remember(daemon, "one")
    second = await remember(daemon, "two")
    assert code(await undo(daemon, first)) == (409, "undo.superseded")
    reply = await undo(daemon, second)
    assert reply.status_code == 200, reply.text
    assert (await memory(daemon), reply.json()["undone"]["receipt"]) == ("one", second)
    assert code(await undo(daemon, second)) == (409, "undo.superseded")
    named = await last(daemon, "receipt.undo")
    assert named["target"] == f"receipt:{second}" or named["outcome"] == "failed"


async def test_a_first_memory_has_nothing_before_it(daemon):
    daemon.ada = await daemon.agent("ada")
    only = await remember(daemon, "one")
    assert code(await undo(daemon, only)) == (409, "undo.impossible")


async def test_a_move_is_undone_where_there_is_a_way_back(daemon):
    await daemon.agent("ada")
    ref = await task(daemon)
    await move(daemon, ref, "blocked")
    receipt = (await last(daemon, "task.move"))["id"]
    assert (await undo(daemon, receipt)).status_code == 200
    assert await state(daemon, ref) == "queued"
    assert code(await undo(daemon, receipt)) == (409, "undo.superseded")


async def test_an_accepted_task_goes_back_to_review_and_nobody_is_blamed(daemon):
    await daemon.agent("ada")
    ref = await task(daemon)
    for path, body in (("claim", {"agentId": "ada"}),
                       ("result", {"agentId": "ada", "state": "review"})):  # fmt: skip
        await daemon.company.post(f"/api/mcp/tasks/{ref}/{path}", json=body, headers=key())
    await move(daemon, ref, "done")
    assert (await undo(daemon, (await last(daemon, "task.move"))["id"])).status_code == 200
    assert await state(daemon, ref) == "review"
    events = (await daemon.owner.get("/api/v1/agents/ada/trust")).json()["trust"]["events"]
    assert [event["kind"] for event in events] == ["accepted"]


async def test_a_move_without_a_way_back_stays(daemon):
    ref = await task(daemon)
    await daemon.agent("ada")
    for path, body in (("claim", {"agentId": "ada"}),
                       ("result", {"agentId": "ada", "state": "failed"})):  # fmt: skip
        await daemon.company.post(f"/api/mcp/tasks/{ref}/{path}", json=body, headers=key())
    await move(daemon, ref, "queued")
    reply = await undo(daemon, (await last(daemon, "task.move"))["id"])
    assert code(reply) == (409, "task.illegal_move")
    assert await state(daemon, ref) == "queued"


async def test_an_assignment_goes_back_to_whom_it_was_for(daemon):
    ids = [await daemon.agent(name) for name in ("ada", "bob")]
    ref = await task(daemon)
    for name in ("ada", "bob"):
        await daemon.owner.post(
            f"/api/v1/tasks/{ref}/assign", json={"agentId": name}, headers=key()
        )
    assert (await undo(daemon, (await last(daemon, "task.assign"))["id"])).status_code == 200
    shown = (await daemon.owner.get(f"/api/v1/tasks/{ref}")).json()["task"]
    assert shown["assignedAgentId"] == ids[0]


async def test_a_removed_incident_is_listed_again(daemon):
    ref = await task(daemon)
    made = await daemon.owner.post(
        "/api/v1/incidents",
        json={"severity": "low", "reasonCode": "odd", "summary": "odd", "taskId": ref},
        headers=key(),
    )
    incident = made.json()["incident"]["id"]
    await daemon.owner.delete(f"/api/v1/incidents/{incident}", headers=key())
    receipt = (await last(daemon, "incident.delete"))["id"]
    assert (await undo(daemon, receipt)).status_code == 200
    assert (await daemon.owner.get(f"/api/v1/incidents/{incident}")).status_code == 200
    assert code(await undo(daemon, receipt)) == (409, "undo.superseded")


async def test_an_event_that_was_taken_out_is_in_the_calendar_again(daemon):
    body = {"title": "Fair", "start": "2026-05-01T09:00", "end": "2026-05-01T10:00"}
    event = await made(daemon, "/calendar/events", body, "event")
    await daemon.owner.delete(f"/api/v1/calendar/events/{event['id']}", headers=key())
    receipt = (await last(daemon, "event.delete"))["id"]
    assert (await undo(daemon, receipt)).status_code == 200
    reply = await daemon.owner.get(f"/api/v1/calendar/events/{event['number']}")
    assert reply.json()["event"]["title"] == "Fair"
    assert code(await undo(daemon, receipt)) == (409, "undo.superseded")


async def test_a_removed_wiki_document_is_there_again_with_its_versions(daemon):
    """Where it lay; at the top where what it lay below is gone."""
    folder = await made(daemon, "/wiki/docs", {"title": "Folder"}, "doc")
    doc = await made(daemon, "/wiki/docs", {"title": "Way", "parentId": folder["id"]}, "doc")
    for parent in (folder["id"], None):
        await daemon.owner.delete(f"/api/v1/wiki/docs/{doc['number']}", headers=key())
        receipt = (await last(daemon, "wiki.delete"))["id"]
        if parent is None:
            await daemon.owner.delete(f"/api/v1/wiki/docs/{folder['id']}", headers=key())
        assert (await undo(daemon, receipt)).status_code == 200
        reply = await daemon.owner.get(f"/api/v1/wiki/docs/{doc['id']}")
        assert reply.json()["doc"]["parentId"] == parent
        assert code(await undo(daemon, receipt)) == (409, "undo.superseded")


async def test_an_edit_of_a_wiki_document_is_undone_by_a_new_version(daemon):
    doc = await made(daemon, "/wiki/docs", {"title": "Way", "body": "one"}, "doc")
    place = f"/api/v1/wiki/docs/{doc['id']}"
    for base, change in ((1, {"body": "two"}), (2, {"title": "Road", "body": "three"})):
        await daemon.owner.patch(place, json={"baseVersion": base} | change, headers=key())
    receipt = (await last(daemon, "wiki.update"))["id"]
    assert (await undo(daemon, receipt)).status_code == 200
    shown = (await daemon.owner.get(place)).json()["doc"]
    assert (shown["title"], shown["body"], shown["version"]) == ("Way", "two", 4)
    assert code(await undo(daemon, receipt)) == (409, "undo.superseded")


async def test_where_a_wiki_document_lay_is_not_kept(daemon):
    folder = await made(daemon, "/wiki/docs", {"title": "Folder"}, "doc")
    doc = await made(daemon, "/wiki/docs", {"title": "Way"}, "doc")
    change = {"baseVersion": 1, "parentId": folder["id"]}
    await daemon.owner.patch(f"/api/v1/wiki/docs/{doc['id']}", json=change, headers=key())
    receipt = (await last(daemon, "wiki.update"))["id"]
    assert code(await undo(daemon, receipt)) == (409, "undo.impossible")


async def made(daemon, path, body, name):
    reply = await daemon.owner.post(f"/api/v1{path}", json=body, headers=key())
    assert reply.status_code == 201, reply.text
    return reply.json()[name]


@pytest.mark.parametrize("capability", ["agent.create", "task.create", "project.create"])
async def test_what_keeps_no_former_version_says_what_to_do_instead(daemon, capability):
    await daemon.agent("ada")
    await task(daemon)
    reply = await undo(daemon, (await last(daemon, capability))["id"])
    assert code(reply) == (409, "undo.impossible")
    assert reply.json()["remedy"]


async def test_who_may_undo(daemon):
    await daemon.agent("ada")
    receipt = (await last(daemon, "agent.create"))["id"]
    viewer = daemon.client((await daemon.token(kind="operator", role="viewer"))[1])
    for client in (viewer, daemon.company):
        assert code(await undo(daemon, receipt, client)) == (403, "permission.capability")
    assert code(await undo(daemon, "nonsense")) == (404, "receipt.unknown")


async def test_a_refusal_changed_nothing(daemon):
    refused = await daemon.company.post("/api/v1/stops", json={"scope": "company"}, headers=key())
    assert refused.status_code == 403
    reply = await undo(daemon, refused.json()["receipt"])
    assert code(reply) == (409, "undo.nothing")
