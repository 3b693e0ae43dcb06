"""Checklists and the course of new agents, over the wire of a running daemon."""

from typing import Any

import pytest

from homarus.flows.course import WEEKS
from homarus.testing.daemon import Daemon, key


async def visit(daemon: Daemon, client: Any, **body: Any) -> Any:
    return await client.post("/api/v1/agents/ada/onboarding", json=body, headers=key())


def right(week: int) -> dict[str, str]:
    return {question.id: question.right for question in WEEKS[week - 1].questions}


async def test_the_checklist_of_an_agent(daemon: Daemon) -> None:
    ada = await daemon.agent("ada", role="coder")
    reply = await daemon.company.get("/api/v1/agents/ada/checklist")
    told = reply.json()["checklist"]
    assert (told["agentId"], len(told["items"])) == (ada, 25)
    assert {item["answer"] for item in told["items"]} <= {"yes", "no", "unknown"}
    assert all(item["evidence"] for item in told["items"])
    by_id = await daemon.company.get(f"/api/v1/agents/{ada}/checklist", params={"taskId": "T-1"})
    assert (by_id.status_code, by_id.json()["code"]) == (404, "task.unknown")
    nobody = await daemon.company.get("/api/v1/agents/nobody/checklist")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "agent.unknown")


async def test_a_week_of_the_course(daemon: Daemon) -> None:
    await daemon.agent("ada")
    shown = (await daemon.company.get("/api/v1/agents/ada/onboarding")).json()["onboarding"]
    assert [week["state"] for week in shown["weeks"]] == ["open", "closed", "closed", "closed"]
    for question in shown["weeks"][0]["questions"]:
        assert question.keys() == {"id", "text", "options"}, "no answer is given away"
    opened = (await visit(daemon, daemon.company, week=1)).json()["onboarding"]
    practice = opened["weeks"][0]["taskId"]
    assert opened["weeks"][0]["missing"] == ["quiz", "practice"]
    wrong = await visit(daemon, daemon.company, week=1, answers=right(1) | {"1.1": "a"})
    assert wrong.json()["onboarding"]["wrong"] == ["1.1"]
    handed_in = await visit(daemon, daemon.company, week=1, answers=right(1))
    assert handed_in.json()["onboarding"]["weeks"][0]["missing"] == ["practice"]
    for path, body in (
        (f"/api/mcp/tasks/{practice}/claim", {"agentId": "ada"}),
        (f"/api/mcp/tasks/{practice}/result", {"agentId": "ada", "state": "done", "output": {}}),
    ):
        done = await daemon.company.post(path, json=body, headers=key())
        assert done.status_code == 200, done.text
    after = (await visit(daemon, daemon.company, week=1)).json()["onboarding"]
    assert after["passed"] == [1]
    trust = (await daemon.owner.get("/api/v1/agents/ada/trust")).json()
    assert "training" in str(trust)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"week": 9}, 400, "onboarding.week"),
        ({"week": 2}, 409, "onboarding.closed"),
        ({"week": 1, "answers": {"9.9": "a"}}, 400, "onboarding.answers"),
        ({}, 400, "request.schema"),
    ],
)
async def test_what_is_refused(
    daemon: Daemon, body: dict[str, Any], status: int, code: str
) -> None:
    await daemon.agent("ada")
    reply = await visit(daemon, daemon.company, **body)
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_nobody_answers_for_an_agent_that_is_not_theirs(daemon: Daemon) -> None:
    reply = await daemon.owner.post("/api/v1/agents", json={"name": "ada"}, headers=key())
    assert reply.status_code == 201
    refused = await visit(daemon, daemon.company, week=1)
    assert (refused.status_code, refused.json()["code"]) == (403, "identity.not_granted")
