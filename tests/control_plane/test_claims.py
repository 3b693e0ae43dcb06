"""Claims and results over the wire, as an unmodified client makes them (contract 3.3, 6, 18)."""

import asyncio

import pytest

from homarus.testing.daemon import key


async def tasks(daemon, project, count):
    made = []
    for n in range(count):
        reply = await daemon.company.post(
            "/api/mcp/tasks",
            json={"projectId": project, "taskType": "unit_test", "title": f"t{n}",
                  "allowUnderspecified": True},
            headers=key(),
        )  # fmt: skip
        assert reply.status_code == 201, reply.text
        made.append(reply.json()["task"]["id"])
    return made


def claim(daemon, agent, text):
    return daemon.company.post(
        "/api/mcp/tasks/claim", json={"agentId": agent}, headers={"Idempotency-Key": text}
    )


def finish(daemon, agent, task, **body):
    return daemon.company.post(
        f"/api/mcp/tasks/{task}/result", json={"state": "done", "agentId": agent} | body,
        headers=key(),
    )  # fmt: skip


async def test_forty_parallel_first_claims_make_no_error(daemon):
    names = [f"a{n}" for n in range(40)]
    for name in names:
        await daemon.agent(name)
    project = await daemon.project(maxActiveAgents=None)
    made = await tasks(daemon, project, 40)
    replies = await asyncio.gather(*(claim(daemon, name, f"first {name}") for name in names))
    assert [reply.status_code for reply in replies] == [200] * 40
    assert {reply.json()["task"]["id"] for reply in replies} == set(made)


async def test_sixteen_parallel_claims_with_one_key_take_one_task(daemon):
    await daemon.agent("ada", concurrencyLimit=16)
    await tasks(daemon, await daemon.project(), 16)
    replies = await asyncio.gather(*(claim(daemon, "ada", "k") for _ in range(16)))
    assert [reply.status_code for reply in replies] == [200] * 16
    assert len({reply.json()["task"]["id"] for reply in replies}) == 1


async def test_a_client_whose_claim_key_repeats_finishes_a_b_c_and_d(daemon):
    await daemon.agent("ada")
    made = await tasks(daemon, await daemon.project(), 4)
    done = []
    for _ in made:
        task = (await claim(daemon, "ada", "claim:startup")).json()["task"]
        assert (await finish(daemon, "ada", task["id"])).status_code == 200
        done.append(task["id"])
    assert done == made


async def test_a_used_key_with_another_body(daemon):
    project = await daemon.project()
    await daemon.agent("ada")
    [task] = await tasks(daemon, project, 1)
    same = key()
    body = {"projectId": project, "taskType": "unit_test", "allowUnderspecified": True}
    for extra, status in (({}, 201), ({}, 201), ({"priority": 1}, 409)):
        reply = await daemon.company.post("/api/mcp/tasks", json=body | extra, headers=same)
        assert reply.status_code == status
    await claim(daemon, "ada", "k")
    path, same = f"/api/mcp/tasks/{task}/result", key()
    for comment, status in (("a", 200), ("a", 200), ("b", 409)):
        body = {"state": "review", "agentId": "ada", "comment": comment}
        reply = await daemon.company.post(path, json=body, headers=same)
        assert reply.status_code == status
    assert reply.json()["code"] == "idempotency.mismatch"


@pytest.mark.parametrize("poison", ["x", "", "T-1", 7, None, {"a": 1}, ["a"]])
async def test_a_poison_dependency_is_refused_and_claims_go_on(daemon, poison):
    await daemon.agent("ada")
    project = await daemon.project()
    [task] = await tasks(daemon, project, 1)
    reply = await daemon.company.post(
        "/api/mcp/tasks",
        json={"projectId": project, "taskType": "unit_test", "allowUnderspecified": True,
              "blockedByTaskIds": [poison]},
        headers=key(),
    )  # fmt: skip
    assert (reply.status_code, reply.json()["code"]) == (400, "task.blocker_unknown")
    assert (await claim(daemon, "ada", "k")).json()["task"]["id"] == task


async def test_an_operator_without_an_agent_claims_nothing(daemon):
    [task] = await tasks(daemon, await daemon.project(), 1)
    reply = await daemon.owner.post(f"/api/mcp/tasks/{task}/claim", json={})
    assert (reply.status_code, reply.json()["code"]) == (400, "claim.agent_missing")


async def test_a_stopped_task_is_out_of_reach_by_number_too(daemon):
    await daemon.agent("ada")
    [task] = await tasks(daemon, await daemon.project(), 1)
    await claim(daemon, "ada", "k")
    number = (await daemon.owner.get(f"/api/mcp/tasks/{task}")).json()["task"]["number"]
    reply = await daemon.owner.post(
        "/api/v1/stops", json={"scope": "task", "subject": task, "reason": "look"}
    )
    assert reply.status_code < 300, reply.text
    for ref in (task, task.upper(), number):
        reply = await finish(daemon, "ada", ref)
        assert (reply.status_code, reply.json()["code"]) == (403, "stop.task"), ref
