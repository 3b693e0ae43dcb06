"""Runtimes, sessions, memory and integrations as bridges speak them (contract, 4)."""

import pytest

from homarus.company import memory, sessions
from homarus.control_plane.sessions import FRAMES, ROUTES
from tests.support.engines import BOTH
from tests.support.surface import surface

UNKNOWN = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
async def s(tmp_path, opener):
    async with surface(tmp_path, opener) as made:
        made.ada, made.bob = await made.agent("ada"), await made.agent("bob")
        made.bridge = await made.token(acts_for=[made.ada, made.bob])
        yield made


async def post(s, path, body, **more):
    return await s.call(ROUTES, "POST", path, body, **({"token": s.bridge} | more))


async def start(s, agent=None, **body):
    full = {"openclawSessionId": "main-1"} | body
    return await post(s, f"/agents/{agent or s.ada}/sessions/start", full)


@BOTH
async def test_a_runtime_registers_and_comes_back_under_the_same_id(s):
    body = {"runtimeId": "node-1", "name": "laptop", "capabilitiesJson": ["exec", {"v": 1}]}
    first = await post(s, "/runtime/register", body | {"startedAt": "2026-01-02T03:04:05.678Z"})
    again = await post(s, "/runtime/register", body | {"name": "desktop"})
    node = again.body["runtimeNode"]
    assert (first.status, again.status) == (200, 200)
    assert (node["id"], node["name"], node["runtimeId"], node["status"]) == (
        first.body["runtimeNode"]["id"],
        "desktop",
        "node-1",
        "active",
    )
    assert first.body["runtimeNode"]["startedAt"] == "2026-01-02T03:04:05.678Z"
    assert await s.receipts("runtime.register") == 0


@pytest.mark.parametrize(
    "body, code",
    [
        ({"name": "x"}, "request.schema"),
        ({"runtimeId": "x"}, "request.schema"),
        ({"runtimeId": "", "name": "x"}, "runtime.id"),
        ({"runtimeId": "x", "name": "x" * 201}, "runtime.name"),
        ({"runtimeId": "x", "name": "x", "startedAt": "soon"}, "request.time"),
        ({"runtimeId": "x", "name": "x", "capabilitiesJson": [1] * 501}, "runtime.capabilities"),
    ],
)
async def test_runtimes_that_cannot_be(s, body, code):
    answer = await post(s, "/runtime/register", body)
    assert (answer.status, answer.body["code"]) == (400, code)


@BOTH
async def test_a_session_starts_with_what_its_agent_remembers(s):
    await post(s, f"/agents/{s.ada}/memory", {"content": "first", "snapshot": "I am Ada."})
    await post(s, f"/agents/{s.ada}/memory", {"content": "second"})
    await start(s, openclawSessionId="older")
    await s.run(
        lambda tx: tx.run("update company set context_notes='be kind' where id=?", (s.company,))
    )
    await post(s, "/runtime/register", {"runtimeId": "node-1", "name": "laptop"})
    body = (await start(s, runtimeId="node-1", checkpointJson={"n": 1}, channel="cli")).body
    assert (body["session"]["status"], body["session"]["lifecycleGeneration"]) == ("active", 1)
    assert (body["session"]["checkpointJson"], body["session"]["channel"]) == ({"n": 1}, "cli")
    assert body["session"]["runtimeNodeId"] is not None
    assert body["memory"]["snapshot"]["content"] == "I am Ada."
    assert [e["content"] for e in body["memory"]["entries"]] == ["first", "second"]
    assert body["contextNotes"] == "be kind"
    assert [row["openclawSessionId"] for row in body["recentSessions"]] == ["older"]


@BOTH
async def test_the_life_of_a_session(s):
    session = (await start(s)).body["session"]["id"]
    path = f"/agents/{s.ada}/sessions/{session}"
    mid = await post(s, f"{path}/checkpoint", {"checkpointJson": {"at": 7}, "summary": "half"})
    assert (mid.status, mid.body["session"]["checkpointJson"]) == (200, {"at": 7})
    done = await post(s, f"{path}/end", {"status": "stopped"})
    assert (done.body["session"]["status"], done.body["session"]["summary"]) == ("ended", "half")
    late = await post(s, f"{path}/checkpoint", {"checkpointJson": {}})
    assert (late.status, late.body["code"]) == (409, "session.ended")
    assert (await start(s)).body["session"]["id"] != session


async def test_a_session_of_another_agent_or_company_is_unknown(s):
    session = (await start(s)).body["session"]["id"]
    other = await s.other_company()
    eve = await s.agent("eve", company=other)
    spy = await s.token(company=other, acts_for=[eve])
    for agent, ref, token, status in [
        (s.bob, session, s.bridge, 404),
        (s.ada, UNKNOWN, s.bridge, 404),
        (s.ada, "nonsense", s.bridge, 400),
        (eve, session, spy, 404),
        (s.ada, session, spy, 403),
        (UNKNOWN, session, s.bridge, 403),
    ]:
        for verb, body in [("checkpoint", {"checkpointJson": {}}), ("end", {})]:
            path = f"/agents/{agent}/sessions/{ref}/{verb}"
            answer = await post(s, path, body, token=token)
            assert answer.status == status, (agent, ref, verb)
    row = await s.read(sessions.by_id, s.company, session)
    assert (row.status, row.checkpoint) == ("active", None)


@pytest.mark.parametrize(
    "body, code",
    [
        ({"openclawSessionId": " "}, "session.id"),
        ({"openclawSessionId": 5}, "request.schema"),
        ({"openclawSessionId": "x", "startedAt": "?"}, "request.time"),
        ({"openclawSessionId": "x", "checkpointJson": []}, "request.schema"),
    ],
)
async def test_sessions_that_cannot_be(s, body, code):
    answer = await post(s, f"/agents/{s.ada}/sessions/start", body)
    assert (answer.status, answer.body["code"]) == (400, code)


async def test_memory_belongs_to_sessions_projects_and_tasks_that_exist(s):
    session = (await start(s)).body["session"]["id"]
    project = await s.project()
    foreign = await s.project(company=await s.other_company())
    path = f"/agents/{s.ada}/memory"
    for body, status in [
        ({"sessionId": session, "projectId": project, "kind": "task_claim"}, 201),
        ({"sessionId": UNKNOWN}, 404),
        ({"projectId": UNKNOWN}, 404),
        ({"projectId": foreign}, 404),
        ({"taskId": UNKNOWN}, 404),
        ({"taskId": "x"}, 400),
    ]:
        answer = await post(s, path, {"content": "noted"} | body)
        assert answer.status == status, body
    bobs = await post(s, f"/agents/{s.bob}/memory", {"content": "x", "sessionId": session})
    assert bobs.status == 404
    found = await s.call(ROUTES, "GET", path, query={"limit": "5"})
    assert [e["kind"] for e in found.body["entries"]] == ["task_claim"]
    assert (found.body["agent"]["name"], found.body["snapshot"]) == ("ada", None)


@pytest.mark.parametrize("limit, shown", [(None, 20), ("5", 5), ("1000", 100), ("many", 20)])
async def test_memory_is_read_in_bounds(s, limit, shown):
    def fill(tx):
        for n in range(110):
            memory.write(tx, s.ada, memory.NewEntry(content=f"{n}"))

    await s.run(fill)
    query = {} if limit is None else {"limit": limit}
    found = await s.call(ROUTES, "GET", f"/agents/{s.ada}/memory", query=query)
    entries = [e["content"] for e in found.body["entries"]]
    assert entries == [str(n) for n in range(110 - shown, 110)]


async def test_the_monitors_events_become_frames(s):
    session = (await start(s)).body["session"]["id"]
    for wait_s in (91, 31, 31):
        s.clock.advance(wait_s * 1_000)
        await s.work("session.monitor", sessions.degrade_late, 10)
    for kind, count in (("runtime_checkin_retry", 2), ("runtime_session_degraded", 1)):
        events = await s.events(kind)
        assert len(events) == count
        (frame,) = await s.read(FRAMES[kind], s.company, events[-1])
        assert (frame["type"], frame["session"]["id"]) == (kind, session)
