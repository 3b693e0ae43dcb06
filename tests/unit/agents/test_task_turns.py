"""Tasks of the queue done by turns of a model (design, 6, 7): one claim, one turn, one result."""

import asyncio
from typing import Any

import pytest

from homarus.agents.port import Fault
from homarus.agents.scripted import Say
from homarus.agents.toolbox import Tool, ToolSpec
from homarus.agents.tools.hands import need_work
from homarus.base.action import Action
from homarus.conversations import turns
from homarus.flows import by_hand, leases, running, task_turns
from homarus.flows.turn_tools import Result, text_result
from homarus.records import artifacts
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import State
from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang, failure
from tests.support.engines import ENGINES
from tests.unit.agents.conftest import WAIT_S
from tests.unit.agents.test_runner import _owner, level, program, register
from tests.unit.agents.working import NOTHING, TOOLS, working


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "sqlite":
        return {}
    return {"store": request.getfixturevalue("migrated_url")}


async def test_a_task_is_claimed_worked_on_and_done(settings: dict[str, Any], talk: Any) -> None:
    work = await working(talk, Say("", (("keep", {}),)), "Seven ships.", tools=TOOLS, **settings)
    task = await work.task(
        "Count the ships", description="In the harbour.", args={"harbour": "east"},
        definitionOfDone=["a number", "artifact:report"],
    )  # fmt: skip
    row = await work.in_state(task, State.DONE)
    result = await work.result(task)
    made = [id_ for _, id_ in await work.store.read(artifacts.of_task, task)]
    assert (result.output["text"], result.output["artifacts"]) == ("Seven ships.", made)
    assert (result.comment, len(made), row.lease_until_ms) == ("Seven ships.", 1, None)
    (turn,) = await work.turns()
    assert (turn.state, turn.work, turn.asked_by) == (turns.State.DONE, task, f"agent:{row.agent}")
    first = work.chat.model.requests[0]
    for told in ("Count the ships", "In the harbour.", "east", "a number", "kind 'report'"):
        assert told in first.system
    assert "untrusted" not in first.messages[-1].content[0].text
    session = f"agent:ada:task:{row.number.lower()}"
    assert await work.chat.thread(session) == [("agent", "Seven ships.")]
    assert await work.recount() == []


@pytest.mark.parametrize(
    "done, state",
    [
        (["artifact:report"], State.REVIEW),
        (["review:editor"], State.REVIEW),
        (["words alone"], State.DONE),
    ],
)
async def test_what_wants_more_than_a_word_waits_for_it(
    talk: Any, done: list[str], state: State
) -> None:
    work = await working(talk, "It is done.")
    task = await work.task(definitionOfDone=done)
    row = await work.in_state(task, State.DONE, State.REVIEW)
    assert row.state is state
    assert (await work.result(task)).output["text"] == "It is done."


async def test_a_persons_word_ends_what_wants_it(talk: Any) -> None:
    work = await working(talk, "It is done.")
    task = await work.task(humanApprovalRequired=True)
    row = await work.in_state(task, State.BLOCKED, State.REVIEW)
    assert row.lease_until_ms is None
    (turn,) = await work.turns()
    assert turn.state is turns.State.DONE, "nobody waits for the answer"
    (waiting,) = (await work.chat.get("/approvals", status="pending"))["approvals"]
    await work.chat.post(f"/approvals/{waiting['id']}/approve", {})
    await work.in_state(task, State.DONE)
    assert len(await work.turns()) == 1


async def test_an_aborted_turn_gives_its_task_back(talk: Any) -> None:
    work = await working(talk, Hang("so"), "Seven.")
    task = await work.task()
    await work.chat.model.hanging.wait()
    (turn,) = await work.turns()
    await work.chat.post(f"/turns/{turn.id}/abort", {})
    row = await work.in_state(task, State.DONE)
    first, second = await work.turns()
    assert (first.state, second.state) == (turns.State.ABORTED, turns.State.DONE)
    assert row.retries == 1
    assert await work.recount() == []


async def test_a_failure_is_typed_and_keeps_what_was_said(talk: Any) -> None:
    work = await working(talk, Say("I look first.", (("time_now", {}),)), failure(Fault.KEY))
    task = await work.task()
    await work.in_state(task, State.FAILED)
    output = (await work.result(task)).output
    assert output["error"].startswith("model.")
    assert (output["text"], output["tools"]) == ("I look first.", ["time_now"])
    (turn,) = await work.turns()
    assert (turn.state, turn.outcome["error"]) == (turns.State.FAILED, output["error"])


async def test_without_a_model_nothing_is_claimed(talk: Any) -> None:
    work = await working(talk, "hi", agent=False)
    app = work.chat.daemon.app

    async def none(company: str, agent: Any, session: Any) -> Any:
        raise running.Conflict("model.none", "no model", "Add one.")

    app.taker._resolve = none
    await work.chat.agent()
    task = await work.task()
    await app.taker._offer()
    assert (await work.read(task)).state is State.QUEUED
    assert await work.notes(task) == [] and await work.turns() == []


async def test_stop_cuts_the_turn_and_it_goes_on_where_it_was(talk: Any) -> None:
    work = await working(talk, Say("", (("time_now", {}),)), Hang("thinking"), "Done after all.")
    task = await work.task()
    await work.chat.model.hanging.wait()
    body = {"scope": "project", "subject": work.project, "reason": "test"}
    stop = (await work.chat.post("/stops", body))["stop"]["id"]
    row = await work.in_state(task, State.BLOCKED)
    assert (row.reason, row.lease_until_ms) == ("stop", None)
    await work.chat.daemon.owner.delete(f"/api/v1/stops/{stop}", headers=key())
    await work.in_state(task, State.DONE)
    (turn,) = await work.turns()
    assert (turn.state, len(work.chat.model.requests)) == (turns.State.DONE, 3)
    assert await work.recount() == []


async def test_what_waits_is_in_nobodys_way(talk: Any) -> None:
    work = await working(talk, Hang("thinking"), "Done.", max_task_turns=1)
    first = await work.task("one")
    await work.chat.model.hanging.wait()
    body = {"scope": "task", "subject": first, "reason": "test"}
    stop = (await work.chat.post("/stops", body))["stop"]["id"]
    await work.in_state(first, State.BLOCKED)
    await work.in_state(await work.task("two"), State.DONE)
    await work.chat.daemon.owner.delete(f"/api/v1/stops/{stop}", headers=key())
    await work.in_state(first, State.DONE)


async def test_an_approval_parks_turn_and_task(talk: Any) -> None:
    effects: list[str] = []
    tools = (*TOOLS, program(effects))
    work = await working(talk, Say("", (("deploy", {}),)), "Deployed.", tools=tools)
    await register(work.chat, approval=True)
    task = await work.task("Deploy the site", capability="site.deploy")
    row = await work.in_state(task, State.BLOCKED)
    assert (row.reason, effects) == ("approval", [])
    (waiting,) = (await work.chat.get("/approvals", status="pending"))["approvals"]
    await work.chat.post(f"/approvals/{waiting['id']}/approve", {})
    await work.in_state(task, State.DONE)
    (turn,) = await work.turns()
    assert (effects, turn.state) == ([task], turns.State.DONE)
    assert await work.recount() == []


async def test_an_act_is_thought_about_before_it_is_judged(talk: Any) -> None:
    """A task that is bound to nothing: what was granted is used under a preflight of this task."""
    effects: list[str] = []
    work = await working(
        talk, Say("", (("deploy", {}),)), "Deployed.", tools=(*TOOLS, program(effects))
    )
    await register(work.chat)
    await level(work.chat, "enforce")
    task = await work.task("Deploy the site")
    await work.in_state(task, State.DONE)
    assert effects == [task]


async def test_a_lost_claim_cuts_the_turn_and_the_next_holder_sees_what_there_is(talk: Any) -> None:
    work = await working(talk, Say("I look.", (("time_now", {}),)), Hang("so"), "Mine.")
    task = await work.task()
    await work.chat.model.hanging.wait()
    bob = await work.chat.agent("bob")
    await work.store.write(_owner(work.chat), _hand_on, task, bob)
    row = await work.in_state(task, State.DONE)
    first, second = await work.turns()
    assert (row.agent, second.agent, second.state) == (bob, bob, turns.State.DONE)
    assert (first.state, work.chat.model.closed) == (turns.State.ABORTED, 1)
    told = work.chat.model.requests[-1].system
    assert "ada noted: Partial work (taken)" in told and "I look." in told
    assert await work.recount() == []


def _hand_on(tx: Tx, task: str, agent: str) -> None:
    leases.take_back(tx, sql.need(tx, tx.company, task), "taken")
    by_hand.assign(tx, task, agent)


def _end_lease(tx: Tx, task: str) -> None:
    tx.run("update task set lease_until_ms=? where id=?", (tx.now_ms - 1, task))
    leases.expire_due(tx, 10)


async def test_a_claim_after_the_lease_goes_on_with_the_same_turn(talk: Any) -> None:
    work = await working(talk, Say("I look.", (("time_now", {}),)), Hang("so"), "Seven.")
    task = await work.task()
    await work.chat.model.hanging.wait()
    before = await work.read(task)
    work.takes(0)  # else it may be claimed again before the lost claim has cut the turn off
    action = Action(work.company, "task.expire", "task:", system="maintenance")
    await work.store.write(action, _end_lease, task)
    await work.until_turn(turns.State.QUEUED)
    work.takes(4)
    await work.in_state(task, State.DONE)
    (turn,) = await work.turns()
    after = await work.read(task)
    assert (turn.state, after.token, after.retries) == (turns.State.DONE, before.token + 1, 1)
    (note,) = await work.notes(task)
    assert "its lease ran out" in note and "time_now" in note and "I look." in note
    assert "I look." in work.chat.model.requests[-1].system
    assert await work.recount() == []


async def test_a_budget_holds_the_task_until_an_owner_raises_it(talk: Any) -> None:
    work = await working(talk, "Paid.")
    budget = {"scope": "project", "subject": work.project, "unit": "tokens", "period": "total"}
    await work.chat.put("/budgets", budget | {"limit": 10})
    task = await work.task()
    row = await work.in_state(task, State.BLOCKED)
    assert (row.reason, work.chat.model.requests) == (task_turns.BUDGET, [])
    await work.chat.put("/budgets", budget | {"limit": 1_000_000})
    await work.in_state(task, State.DONE)
    assert len(await work.turns()) == 1


async def test_a_turn_that_reports_by_itself_says_its_last_word(talk: Any) -> None:
    from homarus.agents.tools import chores

    work = await working(talk, "unused", tools=TOOLS)
    tool = next(t for t in chores.tools() if t.name == "task_result")
    box = work.chat.daemon.app.runner._loop.tools
    box._tools = dict(box._tools) | {
        "task_result": type(TOOLS[0])(tool.spec, lambda given, hands: tool.run(given, hands))
    }
    work.chat.model.then(
        lambda request: (
            Say("", (("task_result", {"task": "T-2", "state": "done"}),))
            if len(work.chat.model.requests) == 1
            else Say("That was it.")
        )
    )
    task = await work.task()
    await work.in_state(task, State.DONE)
    (turn,) = await work.turns()
    assert (await work.chat.ended(turn.id))["outcome"]["text"] == "That was it."


async def test_conversations_and_their_work_are_let_be(talk: Any) -> None:
    """What a conversation made and claims is no second turn."""
    effects: list[str] = []
    work = await working(
        talk, Say("", (("deploy", {}),)), "Deployed.", tools=(*TOOLS, program(effects))
    )
    await register(work.chat)
    await level(work.chat, "enforce")
    assert (await work.chat.answer("deploy"))["outcome"]["text"] == "Deployed."
    assert len(effects) == 1 and await work.turns() == []
    assert (await work.in_state(effects[0], State.DONE)).state is State.DONE


async def test_work_of_an_aborted_conversation_is_done_by_nobody(talk: Any) -> None:
    begun = asyncio.Event()
    done: list[str] = []

    async def deploy(arguments: Any, hands: Any) -> Result:
        done.append(need_work(hands, "site.deploy"))
        begun.set()
        await asyncio.Event().wait()
        return text_result("deployed")

    tool = Tool(ToolSpec("deploy", "deploy", NOTHING), deploy)
    work = await working(talk, Say("", (("deploy", {}),)), "Other.", tools=(*TOOLS, tool))
    turn = await work.chat.say("deploy")
    async with asyncio.timeout(WAIT_S):
        await begun.wait()
    await work.chat.post(f"/turns/{turn}/abort", {})
    row = await work.in_state(done[0], State.FAILED)
    assert (row.reason, row.lease_until_ms) == ("its turn was aborted", None)
    await work.in_state(await work.task(), State.DONE)
    assert (len(done), [one.work == done[0] for one in await work.turns()]) == (1, [False])
    assert await work.recount() == []
