"""The life of a turn over the store: each unit alone, and what a crash leaves (design, 6, 7)."""

from pathlib import Path
from typing import Any

import pytest

from homarus.agents.steps import Act, Ask, Reply, next_step
from homarus.base.action import Action, Estimate
from homarus.base.errors import Conflict, Refused
from homarus.company import agents
from homarus.conversations import sessions, transcript, turns
from homarus.conversations import sql as talk
from homarus.conversations.turns import State
from homarus.flows import (
    turn_ends,
    turn_inbound,
    turn_models,
    turn_tools,
    turn_waits,
    turning,
)
from homarus.flows.turn_inbound import Inbound
from homarus.flows.turn_models import Said
from homarus.flows.turn_tools import text_result
from homarus.kernel import reservations
from homarus.store.port import Rx
from homarus.testing.ground import ground
from tests.support.traced import Explaining

LATER = 60_000


class Runner:
    """A worker's acts for one agent, as the daemon does them."""

    def __init__(self, shop: Any, agent: str) -> None:
        self.shop = shop
        self.ground = shop.ground
        self.agent = agent

    async def accept(self, text: str, key: str, by: str = "owner", **more: Any) -> turns.Turn:
        inbound = Inbound(agent=self.agent, text=text, key=key, **more)
        return await self.shop.do("turn.accept", by, turn_inbound.accept, inbound)

    def action(self, capability: str, **more: Any) -> Action:
        return Action(
            self.ground.company, capability, "turn:", system="runner", acting=self.agent, **more
        )

    async def run(self, fn: Any, *args: Any, capability: str = "turn.run", **more: Any) -> Any:
        return await self.ground.store.write(self.action(capability, **more), fn, *args)

    async def start(self, turn: turns.Turn) -> turning.Started:
        until = self.ground.clock.now_ms() + LATER
        started = await self.run(turning.start, turn.id, until)
        assert started is not None
        return started

    async def ask(self, started: turning.Started) -> turn_models.Asked:
        return await self.run(
            turn_models.ask, started.turn.id, started.turn.token, "scripted", b"\0" * 32,
            capability="model.call", task=started.task.id,
            estimate=Estimate(tokens=100, output_tokens=50, model="scripted"),
        )  # fmt: skip

    async def answer(
        self, started: turning.Started, text: str, *calls: tuple[str, str, str]
    ) -> int:
        asked = await self.ask(started)
        content: list[dict[str, Any]] = [{"type": "text", "text": text}]
        content += [{"type": "toolCall", "id": r, "name": t, "arguments": a} for r, t, a in calls]
        said = Said({"role": "assistant", "content": content}, calls, "scripted", 40, 10)
        turn = started.turn
        return await self.run(turn_models.answer, turn.id, turn.token, asked.id, said)

    async def finish(self, started: turning.Started, text: str) -> turns.Turn:
        turn = started.turn
        return await self.run(turn_ends.finish, turn.id, turn.token, text, {"stop": "stop"})

    async def state(self, turn: turns.Turn) -> State:
        return (await self.ground.read(turns.need, self.ground.company, turn.id)).state

    async def entries(self, started: turning.Started) -> list[transcript.Entry]:
        return await self.ground.read(transcript.since, started.session.id, 1)

    async def open_calls(self, started: turning.Started) -> list[turn_tools.ToolCall]:
        return await self.ground.read(turn_tools.unfinished, started.turn.id)

    async def step(self, started: turning.Started) -> Any:
        return next_step(await self.entries(started), await self.open_calls(started))

    async def messages(self, started: turning.Started) -> list[tuple[str, str, str]]:
        rows = await self.ground.read(
            lambda rx: talk.page(rx, started.session.conversation, limit=100, forward=True)
        )
        return [(row.sender_type, row.text, row.delivery_state) for row in rows]

    async def recover(self) -> int:
        action = Action(self.ground.company, "turn.run", "turn:", system="runner")
        return await self.ground.store.write(
            action, turning.recover, 10, True, frozenset({"fs.read"})
        )


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Runner(shop, "ada")


def _run_here(tx: Any, name: str) -> None:
    agent = agents.need(tx, tx.company, name)
    agents.update(tx, agent.id, agents.AgentChange(executor="llm"))


async def test_a_message_is_answered_once(ada: Runner) -> None:
    turn = await ada.accept("What is 6 x 7?", "k1")
    assert await ada.accept("What is 6 x 7?", "k1") == turn, "the same key is the same turn"
    started = await ada.start(turn)
    assert isinstance(await ada.step(started), Ask)
    await ada.answer(started, "42")
    step = await ada.step(started)
    assert isinstance(step, Reply)
    done = await ada.finish(started, "42")
    told = {"text": "42", "stop": "stop", "usage": {"input": 40, "output": 10}}
    assert (done.state, done.outcome) == (State.DONE, told)
    assert await ada.messages(started) == [
        ("human", "What is 6 x 7?", "resolved"), ("agent", "42", "resolved"),
    ]  # fmt: skip
    session = await ada.ground.read(sessions.need, ada.ground.company, "agent:ada:main")
    assert (session.entries, session.input_tokens, session.context_tokens) == (2, 40, 50)


async def _ready(ada: Runner) -> list[str]:
    """Of this company: other tests leave turns in a database that they share."""
    rows = await ada.ground.read(turns.ready, 1_000)
    return [turn for company, turn in rows if company == ada.ground.company]


async def test_one_turn_at_a_time_in_their_order(ada: Runner) -> None:
    first, second = await ada.accept("one", "k1"), await ada.accept("two", "k2")
    until = ada.ground.clock.now_ms() + LATER
    started = await ada.start(first)
    assert await ada.run(turning.start, second.id, until) is None
    assert await _ready(ada) == []
    await ada.answer(started, "1")
    await ada.finish(started, "1")
    assert await _ready(ada) == [second.id]


@pytest.mark.parametrize("mode, merged", [("steer", 2), ("followup", 0), ("collect", 0)])
async def test_lines_that_come_meanwhile(ada: Runner, mode: str, merged: int) -> None:
    started = await ada.start(await ada.accept("begin", "k1"))
    for n in range(2):
        await ada.accept(f"more {n}", f"more-{n}", mode=mode)
    turn = started.turn
    assert await ada.run(turning.absorb, turn.id, turn.token) == merged
    assert len(await ada.entries(started)) == 1 + merged


async def test_collected_messages_are_one_turn(ada: Runner) -> None:
    first = await ada.accept("a", "k1", mode="collect")
    second = await ada.accept("b", "k2", mode="collect")
    started = await ada.start(first)
    assert [e.message["content"] for e in await ada.entries(started)] == ["a", "b"]
    assert (await ada.ground.read(turns.need, ada.ground.company, second.id)).state is State.MERGED


async def test_tool_calls_are_rows_before_they_are_done(ada: Runner) -> None:
    started = await ada.start(await ada.accept("look", "k1"))
    await ada.answer(started, "", ("c1", "fs.read", "{}"), ("c2", "exec", "{}"))
    step = await ada.step(started)
    assert isinstance(step, Act)
    assert [(c.ref, c.state) for c in step.calls] == [("c1", "ready"), ("c2", "ready")]
    turn, (one, two) = started.turn, step.calls
    await ada.run(turn_tools.begin, turn.id, turn.token, one.id)
    await ada.run(turn_tools.end, turn.id, turn.token, one.id, text_result("text"))
    assert [c.ref for c in await ada.open_calls(started)] == ["c2"]
    with pytest.raises(Conflict, match=r"turn"):
        await ada.run(turn_tools.begin, turn.id, turn.token, one.id)
    await ada.run(turn_tools.end, turn.id, turn.token, two.id, text_result("no", is_error=True))
    assert isinstance(await ada.step(started), Ask)


async def test_what_a_crash_leaves_goes_on_where_it_stood(ada: Runner) -> None:
    started = await ada.start(await ada.accept("look", "k1"))
    calls = [("c1", "fs.read", "{}"), ("c2", "exec", "{}"), ("c3", "exec", "{}")]
    await ada.answer(started, "", *calls)
    turn = started.turn
    for call in (await ada.open_calls(started))[:2]:
        await ada.run(turn_tools.begin, turn.id, turn.token, call.id)
    assert await ada.recover() == 1
    assert await ada.recover() == 0
    with pytest.raises(Conflict, match=r"somebody else"):
        await ada.run(turning.absorb, turn.id, turn.token)
    again = await ada.start(await ada.ground.read(turns.need, ada.ground.company, turn.id))
    assert (again.turn.token, again.turn.attempts) == (2, 2)
    step = await ada.step(again)
    assert [(c.ref, c.state) for c in step.calls] == [("c1", "ready"), ("c3", "ready")]
    last = (await ada.entries(again))[-1].message
    assert (last["toolCallId"], last["isError"]) == ("c2", True)
    assert "not known" in last["content"][0]["text"]


async def test_an_unanswered_request_is_unknown_and_paid_by_nobody(ada: Runner) -> None:
    started = await ada.start(await ada.accept("hm", "k1"))
    await ada.ask(started)
    assert await ada.recover() == 1
    row = await ada.ground.read(
        lambda rx: rx.one(
            "select state, reservation from model_call where turn=?", (started.turn.id,)
        )
    )
    assert row[0] == "unknown"
    held = await ada.ground.read(reservations.need, ada.ground.company, row[1])
    assert held.state == "held", "it is given back when its time is over"


async def test_a_turn_is_given_up_after_too_many_starts(ada: Runner) -> None:
    turn = await ada.accept("die", "k1")
    until = ada.ground.clock.now_ms() + LATER
    for _ in range(turns.MAX_ATTEMPTS):
        assert await ada.run(turning.start, turn.id, until) is not None
        assert await ada.recover() == 1
    assert await ada.run(turning.start, turn.id, until) is None
    after = await ada.ground.read(turns.need, ada.ground.company, turn.id)
    assert (after.state, after.outcome["error"]) == (State.FAILED, "turn.attempts")


async def test_an_approval_parks_and_its_answer_queues_again(ada: Runner) -> None:
    started = await ada.start(await ada.accept("deploy", "k1"))
    await ada.answer(started, "", ("c1", "exec", "{}"))
    (call,) = await ada.open_calls(started)
    turn = started.turn
    parked = await ada.run(turn_waits.park, turn.id, turn.token, call.id, "approval-1")
    assert parked.state is State.PARKED
    assert await ada.run(turn_waits.resume, "approval-1") == 1
    again = await ada.start(await ada.ground.read(turns.need, ada.ground.company, turn.id))
    assert [c.state for c in (await ada.step(again)).calls] == ["waiting"]


@pytest.mark.parametrize("when", ["queued", "running", "ended"])
async def test_abort(ada: Runner, when: str) -> None:
    turn = await ada.accept("long", "k1")
    started = None if when == "queued" else await ada.start(turn)
    if when == "ended":
        assert started is not None
        await ada.answer(started, "done")
        await ada.finish(started, "done")
    aborted = await ada.shop.do("turn.abort", "owner", turn_ends.abort, turn.id, "so far")
    assert aborted is (when != "ended")
    if when == "running":
        assert started is not None
        with pytest.raises(Conflict, match=r"turn"):
            await ada.finish(started, "late")
        assert (await ada.entries(started))[-1].message["stopReason"] == "aborted"


async def test_a_conversation_does_no_real_work_by_itself(ada: Runner) -> None:
    started = await ada.start(await ada.accept("deploy", "k1"))
    with pytest.raises(Refused) as refused:
        await ada.run(
            turning.absorb, started.turn.id, started.turn.token, capability="command.run",
            preflight=started.turn.preflight, task=started.task.id,
        )  # fmt: skip
    assert refused.value.rule == "wild-task"
    assert refused.value.details.get("route", "create_task") == "create_task"


async def test_agents_run_elsewhere_take_no_turns(shop: Any) -> None:
    await shop.agent("bob")
    with pytest.raises(Conflict) as conflict:
        await shop.do(
            "turn.accept", "owner", turn_inbound.accept, Inbound(agent="bob", text="hi", key="k")
        )
    assert conflict.value.code == "agent.not_run_here"


async def test_what_a_list_of_sessions_says_of_their_turns(ada: Runner) -> None:
    """The newest turn of each, and what is under way there; by two statements for any number."""
    done = await ada.accept("one", "k1")
    started = await ada.start(done)
    await ada.answer(started, "1")
    await ada.finish(started, "1")
    first = await ada.start(await ada.accept("two", "k2", session="agent:ada:busy"))
    queued = await ada.accept("three", "k3", session="agent:ada:busy")
    asked = [started.session.id, first.session.id, "never-heard-of"]
    found = await ada.ground.read(turns.lately, asked)
    said = {
        session: (one.newest and one.newest.id, [turn.id for turn in one.running])
        for session, one in found.items()
    }
    assert said == {asked[0]: (done.id, []), asked[1]: (queued.id, [first.turn.id])}
    assert await ada.ground.read(turns.lately, []) == {}


async def test_no_list_of_sessions_looks_at_all_turns(tmp_path: Path) -> None:
    def plans(rx: Rx) -> list[tuple[str, str]]:
        explaining = Explaining(rx)
        turns.lately(explaining, ["a", "b", "c"])
        return explaining.plans

    async with ground(tmp_path) as g:
        found = await g.read(plans)
    assert len({sql for sql, _ in found}) == 2
    assert not [step for _, step in found if step.startswith("SCAN")], found


async def test_sessions_of_one_moment_page_by_page(ada: Runner) -> None:
    """Time stands still here: none is left out between two pages, none comes twice."""
    for n in range(3):
        await ada.accept("hi", f"k{n}", session=f"agent:ada:s{n}")
    company, seen, after = ada.ground.company, [], None
    for _ in range(4):
        page = await ada.ground.read(
            lambda rx, after=after: sessions.listed(rx, company, limit=1, after=after)
        )
        seen += [row.key for row in page]
        after = (page[0].updated_ms, page[0].id) if page else after
    assert sorted(seen) == [f"agent:ada:s{n}" for n in range(3)]
