"""Sessions as people handle them, and the ends of a turn that no daemon brings about, on each
engine (flows/conversing.py, turning.py, turn_work.py)."""

from typing import Any

import pytest

from homarus.agents import context
from homarus.agents.messages import messages_of
from homarus.base.errors import Conflict, Invalid
from homarus.conversations import sessions, transcript, turns
from homarus.conversations.turns import State
from homarus.flows import (
    approving,
    conversing,
    hearing,
    turn_ends,
    turn_models,
    turn_tools,
    turn_views,
    turn_waits,
    turn_work,
    turning,
)
from homarus.flows.turn_models import Said
from homarus.kernel import approval_queries, approvals
from tests.unit.flows.test_turning import Runner, _run_here

LATER = 60_000


@pytest.fixture
async def ada(shop: Any) -> Runner:
    await shop.agent("ada", role="coder")
    await shop.do("agent.update", "owner", _run_here, "ada")
    return Runner(shop, "ada")


async def _session(ada: Runner, key: str = "agent:ada:main") -> sessions.Session:
    return await ada.ground.read(sessions.need, ada.ground.company, key)


async def _answered(ada: Runner, text: str, key: str, **more: Any) -> turning.Started:
    started = await ada.start(await ada.accept(text, key, **more))
    await ada.answer(started, f"re: {text}")
    await ada.finish(started, f"re: {text}")
    return started


async def _turn(ada: Runner, turn: str) -> turns.Turn:
    return await ada.ground.read(turns.need, ada.ground.company, turn)


async def test_reset_frees_the_key_and_keeps_the_rest(ada: Runner) -> None:
    await _answered(ada, "one", "k1")
    old = await _session(ada)
    await ada.shop.do("turn.accept", "owner", conversing.change, old.key, {"label": "Desk"})
    fresh = await ada.shop.do("turn.abort", "owner", conversing.reset, old.key)
    assert (fresh.id != old.id, fresh.label, fresh.entries) == (True, "Desk", 0)
    assert (fresh.conversation, await _session(ada)) == (old.conversation, fresh)
    assert (await _session(ada, old.id)).ended_ms is not None
    with pytest.raises(Conflict, match="has ended"):
        await ada.shop.do("turn.abort", "owner", conversing.reset, old.id)
    found = await ada.ground.read(sessions.changed, ada.ground.company, 0, "", 10)
    assert {row.id for row in found} == {old.id, fresh.id}


async def test_a_branch_takes_the_context_along(ada: Runner) -> None:
    await _answered(ada, "one", "k1")
    made = await ada.shop.do("turn.accept", "owner", conversing.fork, "agent:ada:main", "x")
    ours = await ada.ground.read(transcript.since, made.id, 1)
    theirs = await ada.ground.read(transcript.since, (await _session(ada)).id, 1)
    assert [(e.seq, e.id, e.body) for e in ours] == [(e.seq, e.id, e.body) for e in theirs]
    assert await ada.ground.read(transcript.count, made.id) == 2
    assert (await ada.ground.read(sessions.at, ada.ground.company, made.conversation)) == made
    with pytest.raises(Conflict, match="exists"):
        await ada.shop.do("turn.accept", "owner", conversing.fork, "agent:ada:main", "x")


@pytest.mark.parametrize("values", [{"queue_mode": "shout"}, {"label": "x" * 201}, {"model": ""}])
async def test_bad_settings_of_a_session(ada: Runner, values: Any) -> None:
    await _answered(ada, "one", "k1")
    with pytest.raises(Invalid):
        await ada.shop.do("turn.accept", "owner", conversing.change, "agent:ada:main", values)


async def test_the_mode_of_a_session_is_the_default_of_its_turns(ada: Runner) -> None:
    await _answered(ada, "one", "k1")
    await ada.shop.do(
        "turn.accept", "owner", conversing.change, "agent:ada:main", {"queue_mode": "collect"}
    )
    assert (await ada.accept("two", "k2")).mode == "collect"
    assert (await ada.accept("three", "k3", mode="steer")).mode == "steer"
    listed = await ada.ground.read(lambda rx: turns.listed(rx, ada.ground.company, limit=2))
    assert [row.key for row in listed] == ["k3", "k2"]
    session = await _session(ada)
    where = {"session": session.id, "agent": session.agent, "only_open": True, "before": 3}
    only = await ada.ground.read(lambda rx: turns.listed(rx, ada.ground.company, limit=9, **where))
    assert [row.key for row in only] == ["k2"]


async def test_handing_back_is_no_failed_start(ada: Runner) -> None:
    started = await ada.start(await ada.accept("look", "k1"))
    await ada.answer(started, "", ("c1", "read", "{}"), ("c2", "exec", "{}"))
    turn = started.turn
    for call in await ada.open_calls(started):
        await ada.run(turn_tools.begin, turn.id, turn.token, call.id)
    back = await ada.run(turning.hand_back, turn.id, turn.token, frozenset({"read"}))
    assert (back.state, back.attempts) == (State.QUEUED, 0)
    assert [(c.ref, c.state) for c in await ada.open_calls(started)] == [("c1", "ready")]
    again = await ada.start(back)
    assert again.turn.attempts == 1


async def test_a_failed_turn_leaves_no_call_without_a_result(ada: Runner) -> None:
    started = await ada.start(await ada.accept("look", "k1"))
    await ada.answer(started, "", ("c1", "read", "{}"))
    turn = started.turn
    row = await ada.run(turn_ends.fail, turn.id, turn.token, "model.busy", "too busy", "Wait.")
    assert row.outcome == {"error": "model.busy", "stop": "error", "text": "too busy",
                           "remedy": "Wait."}  # fmt: skip
    assert await ada.open_calls(started) == []
    seen = await ada.ground.read(turn_views.view, ada.ground.company, turn.id)
    assert [(t.tool, t.state) for t in seen.tools] == [("read", "failed")]


async def test_a_turn_that_may_not_start_is_refused(ada: Runner) -> None:
    turn = await ada.accept("hi", "k1")
    await ada.shop.ground.store.write(
        ada.shop.ground.action("turn.run"),
        turn_ends.refuse,
        turn.id,
        "suspended.agent",
        "no",
        "ask",
    )
    assert (await _turn(ada, turn.id)).outcome["error"] == "suspended.agent"


async def test_a_summary_stands_for_the_older_part(ada: Runner) -> None:
    await _answered(ada, "one", "k1")
    await _answered(ada, "two", "k2")
    started = await ada.start(await ada.accept("three", "k3"))
    asked = await ada.ask(started)
    said = Said({}, (), "scripted", 7, 3)
    turn = started.turn
    await ada.run(turn_models.compact, turn.id, turn.token, asked.id, "They counted.", 5, said)
    seen = await ada.ground.read(context.gather, started)
    messages = messages_of(seen.entries, seen.foreign)
    assert [len(m.content) for m in messages] == [2], "the summary and the line are one message"
    assert "They counted." in messages[0].content[0].text
    row = await _session(ada)
    assert (row.first_kept, row.compactions, row.context_tokens) == (5, 1, 0)


def _lines(tx: Any, session: str, roles: str) -> None:
    """Lines by their letters: a question, an answer with a call, its result, a summary."""
    row = sessions.need(tx, tx.company, session)
    part = {"type": "toolCall", "id": "c", "name": "read", "arguments": {}}
    bodies: dict[str, Any] = {
        "q": {"message": {"role": "user", "content": "q"}},
        "c": {"message": {"role": "assistant", "content": [part]}},
        "r": {"message": {"role": "toolResult", "toolCallId": "c", "toolName": "read",
                          "content": [], "isError": False}},
        "s": {"summary": "before", "firstKeptEntryId": "e"},
    }  # fmt: skip
    for role in roles:
        kind = transcript.COMPACTION if role == "s" else transcript.MESSAGE
        transcript.append(tx, row, kind, bodies[role], None)


@pytest.mark.parametrize(
    ("roles", "shown", "full"),
    [
        ("qqq", "qqq", False),
        ("qqqqq", "qqqq", True),
        ("qqcrqq", "crqq", True),
        ("qqcrrqq", "qq", True),
        ("qcrrr", "crrr", True),
        ("cqrrrr", "", True),
        ("sqqqqqq", "sqqqq", True),
        ("sqcrqqq", "sqqq", True),
        ("ssqqq", "sqqq", True),
    ],
)
async def test_a_window_begins_with_no_result_and_knows_the_last_summary(
    ada: Runner, roles: str, shown: str, full: bool
) -> None:
    started = await ada.start(await ada.accept("hi", "k1"))
    await ada.run(_lines, started.session.id, roles)
    found = await ada.ground.read(transcript.shown, started.session.id, 2, 4)
    letters = {"user": "q", "assistant": "c", "toolResult": "r"}
    said = "".join(
        "s" if entry.kind == transcript.COMPACTION else letters[entry.message["role"]]
        for entry in found.entries
    )
    assert (said, found.full) == (shown, full)


@pytest.mark.parametrize("word", ["approve", "reject", "cancel", "before", "void"])
async def test_an_answer_queues_the_parked_turn_again(ada: Runner, word: str) -> None:
    started = await ada.start(await ada.accept("work", "k1"))
    await ada.answer(started, "", ("c1", "exec", "{}"))
    (call,) = await ada.open_calls(started)
    turn = started.turn
    ask = await ada.run(turn_work.ask, turn.id, turn.token, call.id, b"\0" * 32, "deploy",
                        capability="approval.request")  # fmt: skip
    if word == "before":
        await ada.shop.do("approval.decide", "owner", _approve, ask)
    await ada.run(turn_waits.park, turn.id, turn.token, call.id, ask)
    if word in ("approve", "reject"):
        await ada.shop.do("approval.decide", "owner", _approve, ask, word == "approve")
    elif word == "cancel":
        await ada.shop.do("approval.cancel", "owner", approving.cancel, ask)
    elif word == "void":
        await ada.shop.do("turn.abort", "owner", _void, ask)
        assert ada.ground.company in await ada.ground.read(turn_waits.companies_to_wake)
        own = ada.shop.ground.action("turn.run")
        assert await ada.shop.ground.store.write(own, turn_waits.wake, 10) == 1
    assert (await _turn(ada, turn.id)).state is State.QUEUED
    assert ada.ground.company not in await ada.ground.read(turn_waits.companies_to_wake)
    yes = await ada.ground.read(turn_work.approved, ada.ground.company, ask)
    assert yes is (word in ("approve", "before"))
    no = await ada.ground.read(turn_work.answered_no, ada.ground.company, ask)
    assert (no is None) is yes


def _approve(tx: Any, ref: str, yes: bool = True) -> None:
    approving.decide(tx, ref, approve=yes, note="because")


def _void(tx: Any, ref: str) -> None:
    approvals.move(tx, approval_queries.need(tx, tx.company, ref), "void", note="changed")


async def test_real_work_is_one_task_a_turn(ada: Runner) -> None:
    started = await ada.start(await ada.accept("deploy", "k1"))
    turn = started.turn
    args = (turn.id, turn.token, "Deploy", "why", "")
    made = await ada.run(turn_work.make, *args, capability="task.create")
    assert await ada.run(turn_work.make, *args, capability="task.create") == made
    row = await _turn(ada, turn.id)
    assert row.work == made
    assert await ada.ground.read(turn_work.held_by_turn, row) is None
    assert await ada.shop.claim("ada", task=made) is not None
    assert await ada.ground.read(turn_work.held_by_turn, row) == made
    await ada.shop.do("task.result", "ada", turn_work.report, made, "done", "It is out.",
                      target=f"task:{made}", task=made)  # fmt: skip
    assert await ada.ground.read(turn_work.held_by_turn, row) is None


async def test_only_who_is_spoken_to_hears(ada: Runner) -> None:
    from homarus.conversations import service as talk
    from homarus.conversations.model import Draft, Sender, SenderType

    def say(tx: Any) -> str:
        place = talk.direct(tx, ada.shop.agents["ada"])
        draft = Draft(Sender(SenderType.HUMAN, None), "hello", platform_message="p-1")
        return hearing.post(tx, place, draft)[0].id

    message = await ada.shop.do("message.send", "owner", say)
    assert await ada.shop.do("message.send", "owner", say) == message
    turn = await _turn(ada, f"message:{message}")
    assert (turn.message, turn.origin, turn.person) == (message, "chat", True)
    aborted = await ada.shop.do("turn.abort", "owner", conversing.abort, "agent:ada:main")
    assert aborted == [turn.id]
