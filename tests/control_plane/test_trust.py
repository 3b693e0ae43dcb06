"""Trust through the REST surface of a running daemon: bands, instincts, review (contract, 12)."""

import asyncio

import pytest

from homarus.base.action import Action
from homarus.flows import trusting
from homarus.kernel.trust_rules import DAY_MS
from homarus.tasks.model import LEASE_MS
from homarus.testing.daemon import key, running
from homarus.testing.ground import ManualClock


@pytest.fixture
async def office(tmp_path):
    """A daemon whose time stands still until a test moves it, and a project."""
    async with running(tmp_path, clock=ManualClock()) as daemon:
        daemon.project_id = await daemon.project(maxActiveAgents=None)
        yield daemon


def _set(tx, agent, score):
    tx.run("update agent set trust=? where id=?", (score, agent))
    tx.emit("agent_updated", agent)


async def hire(daemon, name, score=60, *, online=True, **body):
    agent = await daemon.agent(name, **body)
    act = Action(daemon.company_id, "trust.recompute", f"agent:{agent}", system="tests")
    await daemon.app.store.write(act, _set, agent, score)
    if online:
        reply = await daemon.company.post(
            "/api/mcp/agents/heartbeat", json={"agentId": name, "currentLoad": 0}
        )
        assert reply.status_code == 200
    return agent


async def recompute(daemon, agent):
    act = Action(daemon.company_id, "trust.recompute", f"agent:{agent}", system="tests")
    await daemon.app.store.write(act, _recompute, agent)


def _recompute(tx, agent):
    trusting.recompute(tx, agent)


async def task(daemon, **spec):
    reply = await daemon.owner.post(
        "/api/v1/tasks",
        json={"projectId": daemon.project_id, "taskType": "unit_test", "title": "t",
              "allowUnderspecified": True} | spec,
        headers=key(),
    )  # fmt: skip
    assert reply.status_code == 201, reply.text
    return reply.json()["task"]["id"]


async def claim(daemon, name, **more):
    return await daemon.company.post(
        "/api/mcp/tasks/claim", json={"agentId": name} | more, headers=key()
    )


async def report(daemon, name, task_id, state="done", **more):
    return await daemon.company.post(
        f"/api/mcp/tasks/{task_id}/result", json={"agentId": name, "state": state} | more,
        headers=key(),
    )  # fmt: skip


async def trust(daemon, name):
    reply = await daemon.owner.get(f"/api/v1/agents/{name}/trust")
    assert reply.status_code == 200, reply.text
    return reply.json()["trust"]


def code(reply):
    return reply.json().get("code")


# -- bands ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "band", "claims", "lands"),
    [
        (80, "high", True, "done"),
        (79, "normal", True, "done"),
        (50, "normal", True, "done"),
        (49, "low", True, "review"),
        (30, "low", True, "review"),
        (29, "untrusted", False, None),
        (0, "untrusted", False, None),
    ],
)
async def test_what_each_band_may(office, score, band, claims, lands):
    await hire(office, "ada", score)
    assert (await trust(office, "ada"))["band"] == band
    made = await task(office)
    reply = await claim(office, "ada")
    if not claims:
        assert (reply.status_code, code(reply)) == (403, "trust.untrusted")
        assert reply.json()["rule"] == "trust"
        assert (await office.company.get("/api/mcp/tasks")).status_code == 200
        return
    assert reply.json()["task"]["id"] == made
    assert (await report(office, "ada", made)).json()["task"]["state"] == lands


@pytest.mark.parametrize(
    ("mine", "other", "age_ms", "gets"),
    [
        (79, 80, 1_999, False), (79, 80, 2_000, True), (79, 79, 0, True),
        (49, 50, 29_999, False), (49, 50, 30_000, True), (49, 49, 0, True),
        (80, 100, 0, True),
    ],
)  # fmt: skip
async def test_head_starts(office, mine, other, age_ms, gets):
    await hire(office, "me", mine)
    await hire(office, "other", other)
    await task(office)
    office.app.clock.advance(age_ms)
    reply = await claim(office, "me")
    assert (reply.json()["task"] is not None) is gets
    if not gets:
        assert (await claim(office, "other")).json()["task"] is not None


async def test_low_work_is_accepted_by_another_identity(office):
    await hire(office, "ada", 49, online=False)
    await hire(office, "rev", 60, role="reviewer", online=False)
    made = await task(office)
    await claim(office, "ada")
    assert (await report(office, "ada", made)).json()["task"]["state"] == "review"
    again = await report(office, "ada", made, comment="really")
    assert (again.status_code, code(again)) == (409, "trust.acceptance")
    assert (await claim(office, "rev", review=True)).json()["task"]["id"] == made
    assert (await report(office, "rev", made)).json()["task"]["state"] == "done"
    events = (await trust(office, "ada"))["events"]
    assert [event["kind"] for event in events] == ["accepted"]


# -- review --------------------------------------------------------------------------------


async def test_an_operators_review_restores_to_50_and_says_so(office):
    agent = await hire(office, "ada", 12)
    for client in (office.company, office.anybody):
        refused = await client.post(f"/api/v1/agents/{agent}/trust/review", json={"note": "me"})
        assert refused.status_code in (401, 403)
    viewer = office.client((await office.token(kind="operator", role="viewer"))[1])
    refused = await viewer.post(f"/api/v1/agents/{agent}/trust/review", json={})
    assert (refused.status_code, code(refused)) == (403, "permission.capability")
    reply = await office.owner.post(
        "/api/v1/agents/ada/trust/review", json={"note": "talked it over"}
    )
    assert reply.status_code == 200, reply.text
    assert (reply.json()["trust"]["score"], reply.json()["trust"]["band"]) == (50, "normal")
    await task(office)
    assert (await claim(office, "ada")).json()["task"] is not None
    history = (await office.owner.get("/api/v1/agents/ada/trust/history")).json()["changes"]
    assert [(row["before"], row["after"]) for row in history] == [(12, 50)]
    assert history[0]["causes"] == ["reviewed by an operator: talked it over"]
    assert history[0]["by"].startswith("operator:")
    again = await office.owner.post("/api/v1/agents/ada/trust/review", json={})
    assert (again.status_code, code(again)) == (409, "trust.nothing")


async def test_unknown_agents(office):
    for path in ("trust", "trust/history"):
        reply = await office.owner.get(f"/api/v1/agents/nobody/{path}")
        assert (reply.status_code, code(reply)) == (404, "agent.unknown")
    reply = await office.owner.post("/api/v1/agents/nobody/trust/review", json={})
    assert (reply.status_code, code(reply)) == (404, "agent.unknown")


# -- instincts -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["done", "failed", "review", "in_progress", "inbox"])
async def test_a_wild_task_is_diverted_and_never_counted(office, state):
    agent = await hire(office, "ada")
    made = await task(office)
    reply = await report(office, "ada", made, state)
    assert (reply.status_code, code(reply)) == (409, "divert.wild_task")
    assert (await office.owner.get(f"/api/v1/tasks/{made}")).json()["task"]["state"] == "inbox"
    await recompute(office, agent)
    found = await trust(office, "ada")
    acts = {d["name"]: d["acts"] for d in found["computed"]["dimensions"]}
    assert acts == {"completion": 0, "compliance": 1, "preflight": 0, "quality": 0}
    assert found["score"] == 55


async def test_unmet_definition_of_done_keeps_it_in_progress_and_counts(office):
    agent = await hire(office, "ada")
    made = await task(office, inputJson={"definitionOfDone": ["artifact:report"]})
    await claim(office, "ada")
    reply = await report(office, "ada", made)
    assert (reply.status_code, code(reply)) == (409, "task.dod_unmet")
    state = (await office.owner.get(f"/api/v1/tasks/{made}")).json()["task"]["state"]
    assert state == "in_progress"
    await recompute(office, agent)
    found = await trust(office, "ada")
    assert found["score"] == 58
    history = (await office.owner.get("/api/v1/agents/ada/trust/history")).json()["changes"]
    assert history[0]["causes"] == ["1 x said done while something was missing"]


async def test_no_write_back_opens_an_incident(office):
    await hire(office, "ada")
    made = await task(office)
    await claim(office, "ada")
    office.app.clock.advance(LEASE_MS)
    await office.app.maintenance.expire_leases()
    rows = (await office.owner.get("/api/v1/incidents")).json()["incidents"]
    assert [(row["reasonCode"], row["taskId"]) for row in rows] == [("no_write_back", made)]
    events = (await trust(office, "ada"))["events"]
    assert [event["kind"] for event in events] == ["no_write_back"]


# -- the week ------------------------------------------------------------------------------


async def test_the_weekly_duty_computes_each_agent_once(office):
    names = [f"a{n}" for n in range(5)]
    for name in names:
        await hire(office, name)
        made = await task(office)
        await claim(office, name)
        await report(office, name, made)
    await office.app.maintenance.recompute_trust()
    assert {(await trust(office, name))["score"] for name in names} == {60}
    office.app.clock.advance(7 * DAY_MS)
    await asyncio.gather(*(office.app.maintenance.recompute_trust() for _ in range(3)))
    for name in names:
        found = await trust(office, name)
        assert (found["score"], found["causes"]) == (63, [])
        changes = (await office.owner.get(f"/api/v1/agents/{name}/trust/history")).json()
        assert len(changes["changes"]) == 1


async def test_the_number_is_explained(office):
    agent = await hire(office, "ada")
    for _ in range(3):
        made = await task(office)
        await claim(office, "ada")
        await report(office, "ada", made)
    found = await trust(office, "ada")
    assert (found["score"], found["computed"]["score"]) == (60, 70)
    assert found["causes"] == ["3 x task done", "3 x task worked on within the rules"]
    parts = {d["name"]: (d["weight"], d["value"], d["points"]) for d in
             found["computed"]["dimensions"]}  # fmt: skip
    assert parts["completion"] == (0.35, 75.0, 26.25)
    assert sum(points for _, _, points in parts.values()) == pytest.approx(69.75)
    assert found["raise"][-1] == "pass a training (+5)"
    await recompute(office, agent)
    assert (await trust(office, "ada"))["score"] == 70
