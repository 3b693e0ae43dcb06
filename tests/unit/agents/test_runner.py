"""The runner: STOP, budgets, the end of a daemon, approvals and real work."""

import asyncio
from typing import Any

import pytest

from homarus.agents.port import Text, ToolResult
from homarus.agents.scripted import Say
from homarus.agents.toolbox import BASIC, Tool, ToolSpec
from homarus.base.action import Effect
from homarus.flows.turn_tools import Result, text_result
from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang, ScriptedModel
from homarus.testing.waiting import eventually
from tests.unit.agents.conftest import WAIT_S

NOTHING: dict[str, Any] = {"type": "object", "properties": {}}


def program(effects: list[str], capability: str = "site.deploy") -> Tool:
    """A tool that has an effect outside the store, as a registered capability."""

    async def do(arguments: dict[str, Any], hands: Any) -> Result:
        target = "company:" if hands.work is None else f"task:{hands.work}"
        await hands.begin(capability, target=target, effect=Effect.EXEC, what="deploy the site")
        effects.append(hands.work or "")
        return text_result("deployed")

    return Tool(ToolSpec("deploy", "Deploy", NOTHING), do)


async def register(chat: Any, approval: bool = False) -> None:
    body = {
        "id": "site.deploy", "title": "Deploy", "argv": ["true"], "grants": ["*"],
        "approval": approval, "trusted": True,
    }  # fmt: skip
    await chat.post("/capabilities", body)


async def test_an_agent_that_is_removed_leaves_no_turn_behind(talk: Any) -> None:
    chat = await talk(Hang("I keep talking"))
    turn = await chat.say("begin")
    await chat.model.hanging.wait()
    (agent,) = (await chat.get("/agents"))["agents"]
    reply = await chat.daemon.owner.delete(f"/api/v1/agents/{agent['id']}", headers=key())
    assert reply.status_code < 300, reply.text
    row = await chat.until(turn, lambda row: row["endedAt"] is not None)
    await eventually(lambda: chat.model.closed == 1)
    assert row["state"] == "aborted"


# -- STOP ------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", ["company", "agent", "trace"])
async def test_stop_closes_a_hanging_stream_at_once(talk: Any, scope: str) -> None:
    chat = await talk(Hang("I keep talking"), "after all")
    turn = await chat.say("begin")
    await chat.model.hanging.wait()
    body: dict[str, Any] = {"scope": scope, "reason": "test"}
    if scope == "agent":
        body["subject"] = "ada"
    if scope == "trace":
        body["subject"] = await chat.daemon.app.store.read(
            lambda rx: rx.one("select t.trace from task t join session s on s.task=t.id")[0]
        )
    stop = (await chat.post("/stops", body))["stop"]["id"]
    row = await chat.until(turn, lambda row: row["state"] == "queued")
    assert (chat.model.closed, row["attempts"]) == (1, 0)
    later = await chat.say("more", sessionKey="side") if scope != "trace" else None
    reply = await chat.daemon.owner.delete(f"/api/v1/stops/{stop}", headers=key())
    assert reply.status_code == 200
    assert (await chat.ended(turn))["outcome"]["text"] == "after all"
    if later is not None:
        assert (await chat.ended(later))["state"] == "done"


async def test_a_message_under_stop_waits_and_costs_nothing(talk: Any) -> None:
    chat = await talk("hello")
    stop = (await chat.post("/stops", {"scope": "company", "reason": "x"}))["stop"]["id"]
    turn = await chat.say("hi")
    other = (await chat.post("/threads", {"type": "team"}))["thread"]["id"]
    await chat.post(f"/threads/{other}/messages", {"text": "commits wake the runner"})
    assert (await chat.get(f"/turns/{turn}"))["turn"]["state"] == "queued"
    assert chat.model.requests == []
    await chat.daemon.owner.delete(f"/api/v1/stops/{stop}", headers=key())
    assert (await chat.ended(turn))["outcome"]["text"] == "hello"


async def test_a_stopped_agent_is_in_nobodys_way(talk: Any) -> None:
    chat = await talk("hello", max_turns=1)
    await chat.agent("bob")
    await chat.post("/stops", {"scope": "agent", "subject": "ada", "reason": "x"})
    for n in range(4):
        await chat.say("hi", sessionKey=f"s{n}")
    assert (await chat.answer("hi", agent="bob"))["outcome"]["text"] == "hello"


async def test_a_suspended_agent_answers_why_not(talk: Any) -> None:
    chat = await talk("hello")
    agents = (await chat.get("/agents"))["agents"]
    reply = await chat.daemon.owner.patch(
        f"/api/v1/agents/{agents[0]['id']}", json={"suspended": True}, headers=key()
    )
    assert reply.status_code == 200
    turn = await chat.answer("hi")
    assert (turn["state"], turn["outcome"]["error"]) == ("failed", "suspended.agent")
    assert chat.model.requests == []


# -- money -----------------------------------------------------------------------------------


async def test_eight_turns_at_once_never_pass_a_budget(talk: Any) -> None:
    """1.00 a month, and each request may cost about a quarter of it."""
    chat = await talk(Hang("A short answer."))
    price = {"model": "scripted", "inputMicros": 100_000_000, "outputMicros": 100_000_000}
    budget = {"scope": "company", "unit": "money", "period": "month", "limit": 1_000_000}
    for path, body in (("/prices", price), ("/budgets", budget)):
        reply = await chat.daemon.owner.put(f"/api/v1{path}", json=body, headers=key())
        assert reply.status_code == 200, reply.text
    turns = [await chat.say(f"n {n}", sessionKey=f"s{n}") for n in range(8)]
    runner = chat.daemon.app.runner
    async with asyncio.timeout(WAIT_S):
        while True:  # each has its money and asks the model, or has failed for want of it
            states = [(await chat.get(f"/turns/{turn}"))["turn"]["state"] for turn in turns]
            failed = states.count("failed")
            if failed and len(chat.model.requests) == runner.busy == 8 - failed:
                break
    (row,) = (await chat.get("/budgets"))["budgets"]
    assert 0 < row["reserved"] <= row["limit"] == 1_000_000
    chat.model.release()
    ended = [await chat.ended(turn) for turn in turns]
    assert {turn["state"] for turn in ended} == {"done", "failed"}
    refused = {turn["outcome"].get("error") for turn in ended} - {None}
    assert refused == {"budget.exhausted"}
    (row,) = (await chat.get("/budgets"))["budgets"]
    assert 0 < row["spent"] <= row["limit"] and row["reserved"] == 0


# -- the end of a daemon ---------------------------------------------------------------------


async def test_a_daemon_that_stops_hands_its_turns_back(talk: Any, tmp_path: Any) -> None:
    from homarus.testing.daemon import running

    model = ScriptedModel(Hang("half"))
    async with running(tmp_path / "home", turns=model.turns()) as daemon:
        from tests.unit.agents.conftest import Talk

        chat = Talk(daemon, model)
        await chat.agent()
        turns = [await chat.say("begin")]
        await model.hanging.wait()
        turns += [await chat.say(f"n {n}") for n in range(10)]
    assert model.closed == 1
    again = ScriptedModel(lambda request: f"answer {len(request.messages)}")
    async with running(tmp_path / "home", turns=again.turns()) as daemon:
        chat = Talk(daemon, again)
        ended = [await chat.ended(turn) for turn in turns]
        assert {(turn["state"], turn["attempts"]) for turn in ended} == {("done", 1)}
        said = await chat.thread()
    asked = [text for who, text in said if who == "human"]
    assert asked == ["begin", *(f"n {n}" for n in range(10))]
    assert len([1 for who, _ in said if who == "agent"]) == 11
    assert len(again.requests) == 11, "each is asked once"


# -- real work -------------------------------------------------------------------------------


async def test_real_work_that_a_person_asks_for_becomes_a_task(talk: Any) -> None:
    done: list[str] = []
    chat = await talk(Say("", (("deploy", {}),)), "It is out.", tools=(*BASIC, program(done)))
    await chat.daemon.project()
    await level(chat, "enforce")
    await register(chat)
    turn = await chat.answer("deploy please")
    assert turn["outcome"]["text"] == "It is out."
    assert done == [turn["taskId"]] and turn["taskId"] is not None
    task = (await chat.get(f"/tasks/{turn['taskId']}"))["task"]
    assert task["state"] == "done"


async def level(chat: Any, value: str) -> None:
    await chat.daemon.app.store.write(_owner(chat), _level, value)


def _owner(chat: Any) -> Any:
    from homarus.base.action import Action

    return Action(chat.daemon.company_id, "turn.run", "company:", system="tests")


def _level(tx: Any, value: str) -> None:
    tx.run("update company set level=? where id=?", (value, tx.company))
    tx.emit("company_updated", tx.company, {})


async def test_an_approval_is_asked_answered_after_a_restart_and_the_work_done_once(
    talk: Any, tmp_path: Any
) -> None:
    from homarus.testing.daemon import running
    from tests.unit.agents.conftest import Talk

    done: list[str] = []
    tools = (*BASIC, program(done))
    first = ScriptedModel(Say("", (("deploy", {}),)), "It is out.")
    async with running(tmp_path / "home", turns=first.turns(tools=tools)) as daemon:
        chat = Talk(daemon, first)
        await chat.agent()
        await daemon.project()
        await level(chat, "enforce")
        await register(chat, approval=True)
        turn = await chat.say("deploy please")
        parked = await chat.until(turn, lambda row: row["state"] == "parked")
        assert done == [] and len(parked["waitsFor"]) == 1
        task = (await chat.get(f"/tasks/{parked['taskId']}"))["task"]
        assert task["state"] == "review", "the wire's word for blocked"
    second = ScriptedModel("It is out.")
    async with running(tmp_path / "home", turns=second.turns(tools=tools)) as daemon:
        chat = Talk(daemon, second)
        assert (await chat.get(f"/turns/{turn}"))["turn"]["state"] == "parked"
        await chat.post(f"/approvals/{parked['waitsFor'][0]}/approve", {})
        row = await chat.ended(turn)
        assert (row["outcome"]["text"], done) == ("It is out.", [parked["taskId"]])
        assert (await chat.get(f"/tasks/{parked['taskId']}"))["task"]["state"] == "done"
        assert await chat.thread() == [("human", "deploy please"), ("agent", "It is out.")]


async def test_a_rejection_is_told_to_the_model(talk: Any) -> None:
    done: list[str] = []
    chat = await talk(Say("", (("deploy", {}),)), "A pity.", tools=(program(done),))
    await chat.daemon.project()
    await level(chat, "enforce")
    await register(chat, approval=True)
    turn = await chat.say("deploy please")
    parked = await chat.until(turn, lambda row: row["state"] == "parked")
    await chat.post(f"/approvals/{parked['waitsFor'][0]}/reject", {"note": "not on a Friday"})
    assert (await chat.ended(turn))["outcome"]["text"] == "A pity."
    shown = chat.model.requests[-1].messages[-1]
    assert isinstance(shown, ToolResult) and done == []
    text = shown.content[0]
    assert isinstance(text, Text) and "not on a Friday" in text.text


@pytest.mark.parametrize("word, worked", [("approve", True), ("reject", False)])
async def test_what_a_relayed_person_asks_for_needs_a_yes(
    talk: Any, word: str, worked: bool
) -> None:
    done: list[str] = []
    chat = await talk(Say("", (("deploy", {}),)), "So.", tools=(program(done),))
    await chat.daemon.project()
    await level(chat, "enforce")
    await register(chat)
    body = {"agentId": "ada", "text": "deploy please"}
    reply = await chat.daemon.company.post("/api/v1/turns", json=body, headers=key())
    turn = reply.json()["turn"]["id"]
    parked = await chat.until(turn, lambda row: row["state"] == "parked" or row["endedAt"])
    assert done == [] and len(parked["waitsFor"]) == 1, parked
    await chat.post(f"/approvals/{parked['waitsFor'][0]}/{word}", {"note": "n"})
    assert (await chat.ended(turn))["outcome"]["text"] == "So."
    assert bool(done) is worked
    system = chat.model.requests[0].messages[-1].content[0].text
    assert system.startswith("<untrusted from=")
