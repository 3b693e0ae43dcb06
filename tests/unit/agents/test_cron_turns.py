"""Jobs that let an agent speak: a turn in a session of the job's own, and its end is the run's."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import Fault
from homarus.agents.scripted import Say
from homarus.testing.daemon import furnished
from homarus.testing.scripted_model import Hang, ScriptedModel, failure
from tests.unit.agents.conftest import WAIT_S, Talk


async def add(chat: Any, name: str = "Digest", **more: Any) -> dict[str, Any]:
    work = {"kind": "turn", "message": f"{name}, please."} | more.pop("work", {})
    body = {"name": name, "agentId": "ada", "work": work} | more
    job: dict[str, Any] = (await chat.post("/jobs", body))["job"]
    return job


async def run(chat: Any, job: dict[str, Any]) -> str:
    return str((await chat.post(f"/jobs/{job['id']}/runs", {}))["run"]["number"])


async def until(chat: Any, number: str, *states: str, because: str | None = None) -> dict[str, Any]:
    changed = asyncio.Event()
    undo = chat.daemon.app.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                row: dict[str, Any] = (await chat.get(f"/job-runs/{number}"))["run"]
                if row["state"] in states and because in (None, row["reason"]):
                    return row
                await changed.wait()
    finally:
        undo()


async def test_a_run_is_a_turn_of_a_session_of_its_own(talk: Any) -> None:
    chat = await talk("Three letters came.")
    job = await add(chat)
    for _ in range(2):
        row = await until(chat, await run(chat, job), "done")
        assert (row["output"], row["attempt"], row["apiCalls"]) == ("Three letters came.", 1, 1)
        turn = (await chat.get(f"/turns/{row['turnId']}"))["turn"]
        assert (turn["origin"], turn["state"]) == ("cron", "done")
    said = await chat.lines(f"agent:ada:cron:{job['id']}")
    assert [role for role, _ in said] == ["user", "assistant"] * 2
    assert said[0][1] == "Digest, please."


async def test_it_may_speak_in_the_agents_own_session(talk: Any) -> None:
    chat = await talk("Yes.")
    await until(chat, await run(chat, await add(chat, work={"session": "main"})), "done")
    said = await chat.lines("agent:ada:main")
    assert said[0] == ("user", "Digest, please.")
    assert [role for role, _ in said] == ["user", "assistant"]


async def test_p0_has_a_turn_make_room_and_that_goes_on_later(talk: Any) -> None:
    chat = await talk(Hang("I think"), "The house is saved.", "Done thinking.")
    low = await add(chat, "Think", quotas={"concurrent": 1})
    high = await add(chat, "Fire", priority="P0", quotas={"concurrent": 1})
    first = await run(chat, low)
    await chat.model.hanging.wait()
    urgent = await run(chat, high)
    assert (await until(chat, urgent, "done"))["output"] == "The house is saved."
    row = await until(chat, first, "done")
    assert (row["output"], row["attempt"], row["preemptions"]) == ("Done thinking.", 1, 1)
    assert row["preemptedBy"] == (await chat.get(f"/job-runs/{urgent}"))["run"]["id"]
    said = await chat.lines(f"agent:ada:cron:{low['id']}")
    assert len(said) >= 3 and "Go on where you were" in str(said[-2][1])


@pytest.mark.parametrize("how", ["model", "person"])
async def test_a_turn_that_ends_badly(talk: Any, how: str) -> None:
    chat = await talk(failure(Fault.KEY) if how == "model" else Hang("hm"))
    number = await run(chat, await add(chat))
    if how == "model":
        row = await until(chat, number, "failed")
        assert row["attempt"] == 1 and row["dueAt"] is not None and row["reason"]
        return
    await chat.model.hanging.wait()
    row = await until(chat, number, "running")
    await chat.post(f"/turns/{row['turnId']}/abort", {})
    row = await until(chat, number, "skipped")
    assert row["reason"] == "turn.aborted"


async def test_a_turn_for_which_the_budget_is_too_small_waits_and_spends_no_attempt(
    talk: Any,
) -> None:
    chat = await talk("Three letters came.")
    agent = (await chat.get("/agents"))["agents"][0]["id"]
    budget = {"scope": "agent", "subject": agent, "unit": "tokens", "period": "total", "limit": 10}
    await chat.put("/budgets", budget)
    number = await run(chat, await add(chat))
    row = await until(chat, number, "waiting", because="budget.exhausted")
    assert (row["attempt"], chat.model.requests) == (0, [])
    due = datetime.fromisoformat(row["dueAt"])
    assert due - datetime.now(UTC) > timedelta(minutes=50), "each one that is said stays said"


async def test_a_turn_that_waiting_does_not_pay_for_has_failed(talk: Any) -> None:
    """Its model has no price, and money is limited."""
    chat = await talk("Three letters came.")
    agent = (await chat.get("/agents"))["agents"][0]["id"]
    budget = {"scope": "agent", "subject": agent, "unit": "money", "period": "total"}
    await chat.put("/budgets", budget | {"limit": 1_000_000})
    row = await until(chat, await run(chat, await add(chat)), "failed")
    assert (row["reason"], row["attempt"]) == ("budget.unknown_price", 1)
    assert row["dueAt"] is not None and chat.model.requests == []


async def test_a_turn_that_has_made_the_calls_of_its_jobs_hour_goes_on_in_the_next(
    talk: Any,
) -> None:
    """Twice as many at most, where the hour ends in between."""
    asks = [Say("", (("memory_search", {"query": f"letter {n}"}),)) for n in range(25)]
    chat = await talk(*asks)
    number = await run(chat, await add(chat, quotas={"apiCallsPerHour": 10}))
    row = await until(chat, number, "waiting", because="quota.job")
    assert (row["attempt"], row["dueAt"][13:]) == (0, ":00:00.000Z")
    assert 10 <= row["apiCalls"] == len(chat.model.requests) <= 20


async def test_a_turn_that_takes_longer_than_it_was_given_has_failed(talk: Any) -> None:
    chat = await talk(Hang("Let me"))
    work = {"timeoutSeconds": 1, "thinking": "high"}
    row = await until(chat, await run(chat, await add(chat, work=work)), "failed")
    assert (row["reason"], row["attempt"]) == ("turn.timeout", 1)
    assert "longer than the 1 s" in row["error"] and row["dueAt"] is not None
    assert chat.model.requests[0].thinking == "high"
    assert chat.model.closed == 1, "the request was ended with it"
    turn = (await chat.get(f"/turns/{row['turnId']}"))["turn"]
    assert (turn["state"], turn["outcome"]["error"]) == ("failed", "turn.timeout")


async def test_a_turn_is_held_to_the_tools_that_are_named(talk: Any) -> None:
    """Not offered, and not run either when the model asks for one all the same."""
    chat = await talk(Say("", (("time_now", {}),)), Say("", (("task_create", {"title": "x"}),)),
                      "It cannot be done.")  # fmt: skip
    row = await until(chat, await run(chat, await add(chat, work={"toolsAllow": ["time_*"]})),
                      "done")  # fmt: skip
    assert row["output"] == "It cannot be done."
    asked = chat.model.requests
    assert {tool.name for tool in asked[0].tools} == {"time_now"}
    done, refused = asked[2].messages[2], asked[2].messages[4]
    assert (done.is_error, refused.is_error) == (False, True)
    assert "tool.not_allowed" in str(refused.content)
    assert [task["type"] for task in (await chat.get("/tasks"))["tasks"]] == []


@pytest.mark.parametrize(("named", "offered"), [([], False), (["nothing"], False), (["*"], True)])
async def test_a_turn_may_be_left_its_words_alone_or_everything(
    talk: Any, named: list[str], offered: bool
) -> None:
    chat = await talk("Good morning.", "Good morning.")
    for work in ({"toolsAllow": named}, {}):
        await until(chat, await run(chat, await add(chat, "Hail", work=work)), "done")
    held, free = (request.tools for request in chat.model.requests)
    assert held == (free if offered else ()) and free


async def test_a_job_has_a_model_of_its_own_for_its_turns(tmp_path: Path) -> None:
    """The agent has none: only what names one is answered, and its session has none after it."""
    async with furnished(tmp_path / "home", max_task_turns=0) as daemon:
        chat = Talk(daemon, ScriptedModel())
        await chat.agent()
        own = {"model": "scripted", "session": "main"}
        row = await until(chat, await run(chat, await add(chat, work=own)), "done")
        assert row["output"]
        row = await until(chat, await run(chat, await add(chat, "Plain")), "failed")
        assert row["reason"] == "model.none"
        assert (await chat.get("/sessions/agent:ada:main"))["session"]["model"] is None


async def test_an_agent_that_is_run_elsewhere_has_no_turns(talk: Any) -> None:
    chat = await talk("Yes.")
    other = await chat.daemon.agent("eve")
    reply = await chat.daemon.owner.post(
        "/api/v1/jobs",
        json={"name": "x", "agentId": other, "work": {"kind": "turn", "message": "hi"}},
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "agent.not_run_here")
