"""What the end of a turn leaves of what it began: its real work, its questions, its money
(flows/turn_ends.py), on each engine."""

from typing import Any

import pytest

from homarus.conversations import sessions, turns
from homarus.flows import (
    claiming,
    conversing,
    parking,
    reporting,
    turn_ends,
    turn_inbound,
    turn_models,
    turn_waits,
    turn_work,
    turning,
)
from homarus.flows.turn_inbound import Inbound
from homarus.kernel import approval_queries, approvals, reservations
from homarus.store.port import Tx
from homarus.tasks import sql
from homarus.tasks.model import State, Task
from tests.unit.flows.test_turning import Runner, _run_here

END_WORDS = ("abort", "reset", "interrupt", "fail", "refuse", "give_up")


@pytest.fixture
async def ada(shop: Any) -> Runner:
    for name in ("ada", "bob"):
        await shop.agent(name, role="coder")
        await shop.do("agent.update", "owner", _run_here, name)
    return Runner(shop, "ada")


async def _with_work(ada: Runner) -> tuple[turning.Started, str]:
    """A turn that asked for a tool call and made a real task of it; the task."""
    started = await ada.start(await ada.accept("deploy it", "k1"))
    await ada.answer(started, "", ("c1", "deploy", "{}"))
    turn = started.turn
    work = await ada.run(turn_work.make, turn.id, turn.token, "deploy", "because", "site.deploy",
                         capability="task.create")  # fmt: skip
    request = claiming.ClaimRequest(owner=turn.agent, task=work)
    await ada.run(claiming.claim, request, capability="task.claim", task=work)
    return started, work


async def _task(ada: Runner, ref: str) -> Task:
    return await ada.ground.read(lambda rx: sql.need(rx, ada.ground.company, ref, archived=True))


def _give_up(tx: Tx, turn: str) -> None:
    row = turns.need(tx, tx.company, turn)
    turn_ends.give_up(tx, row, sessions.need(tx, tx.company, row.session), "it died")


def _interrupt(tx: Tx, agent: str) -> None:
    turn_inbound.accept(tx, Inbound(agent=agent, text="no", key="k9", mode="interrupt"))


async def _end(ada: Runner, started: turning.Started, how: str) -> None:
    """However a turn ends without an answer."""
    turn = await ada.ground.read(turns.need, ada.ground.company, started.turn.id)
    own = ada.shop.ground.action("turn.run")
    write = ada.ground.store.write
    if how in ("refuse", "give_up") and turn.state is turns.State.RUNNING:
        await write(own, turning.hand_back, turn.id, turn.token, frozenset())
    match how:
        case "abort":
            await ada.shop.do("turn.abort", "owner", turn_ends.abort, turn.id)
        case "reset":
            await ada.shop.do("turn.abort", "owner", _reset, started.session.id)
        case "interrupt":
            await ada.shop.do("turn.accept", "owner", _interrupt, turn.agent)
        case "fail":
            await write(own, turn_ends.fail, turn.id, turn.token, "turn.timeout", "no", "ask")
        case "refuse":
            await write(own, turn_ends.refuse, turn.id, "suspended.agent", "no", "ask")
        case "give_up":
            await write(own, _give_up, turn.id)


def _reset(tx: Tx, session: str) -> None:
    conversing.reset(tx, session, abort_open=True)


@pytest.mark.parametrize("how", END_WORDS)
async def test_work_in_hand_fails_with_the_turn(ada: Runner, how: str) -> None:
    """Nobody takes it up again when its lease is over."""
    started, work = await _with_work(ada)
    await _end(ada, started, how)
    assert (await _task(ada, work)).state is State.FAILED
    await ada.shop.let_leases_end()
    assert (await _task(ada, work)).state is State.FAILED


def _ask_for(tx: Tx, call: str, turn: str, token: int, work: str | None) -> str:
    """A call waits for an approval: of its task, or of the turn itself."""
    made = approvals.request(
        tx, capability="site.deploy", target=f"turn:{turn}", payload=b"\1" * 32, task=work,
        agent=turns.need(tx, tx.company, turn).agent, reason="", what="deploy",
    )  # fmt: skip
    if work is not None:
        parking.park(tx, sql.need(tx, tx.company, work))
    turn_waits.park(tx, turn, token, call, made.id)
    return made.id


@pytest.mark.parametrize("about", ["task", "turn"])
@pytest.mark.parametrize("how", ["abort", "reset", "interrupt"])
async def test_what_waits_for_an_answer_is_withdrawn(ada: Runner, how: str, about: str) -> None:
    started, work = await _with_work(ada)
    (call,) = await ada.open_calls(started)
    turn = started.turn
    ask = await ada.run(_ask_for, call.id, turn.id, turn.token, work if about == "task" else None)
    await _end(ada, started, how)
    found = await ada.ground.read(approval_queries.need, ada.ground.company, ask)
    assert (found.status.value, (found.note or "").split()[:2]) == ("cancelled", ["its", "turn"])
    ended = State.ARCHIVED if about == "task" else State.FAILED
    assert (await _task(ada, work)).state is ended
    row = await ada.ground.read(turns.need, ada.ground.company, turn.id)
    assert row.state is turns.State.ABORTED, "the answer queued nothing"


async def test_what_a_turn_waits_for_a_person_takes_none_of_its_time(ada: Runner) -> None:
    started = await ada.start(await ada.accept("deploy it", "k1", options={turns.TIMEOUT_S: 600}))
    await ada.answer(started, "", ("c1", "deploy", "{}"))
    (call,) = await ada.open_calls(started)
    turn = started.turn
    ask = await ada.run(_ask_for, call.id, turn.id, turn.token, None)
    ada.ground.clock.advance(3_600_000)
    await ada.shop.do("approval.decide", "owner", turn_waits.resume, ask)
    row = await ada.ground.read(turns.need, ada.ground.company, turn.id)
    assert (row.state, row.options) == (turns.State.QUEUED, {turns.TIMEOUT_S: 4_200})


async def test_a_question_that_another_turn_waits_for_stays(ada: Runner) -> None:
    started, _ = await _with_work(ada)
    (call,) = await ada.open_calls(started)
    turn = started.turn
    ask = await ada.run(_ask_for, call.id, turn.id, turn.token, None)
    other = await ada.start(await ada.accept("deploy it", "k2", session="agent:ada:side"))
    await ada.answer(other, "", ("c2", "deploy", "{}"))
    (second,) = await ada.open_calls(other)
    await ada.run(turn_waits.park, other.turn.id, other.turn.token, second.id, ask)
    await _end(ada, started, "abort")
    found = await ada.ground.read(approval_queries.need, ada.ground.company, ask)
    assert found.status.value == "pending"


def _report(tx: Tx, work: str) -> None:
    reporting.result(tx, reporting.ResultRequest(work, "review", comment="look"))


async def test_work_that_was_reported_on_stays(ada: Runner) -> None:
    started, work = await _with_work(ada)
    await ada.run(_report, work, capability="task.result", task=work)
    await _end(ada, started, "abort")
    assert (await _task(ada, work)).state is State.REVIEW


def _ask_whether_done(tx: Tx, work: str, state: str) -> str:
    """The work is reported; a person is to say whether it is done."""
    task = sql.need(tx, tx.company, work)
    made = parking.open_done(tx, task, agent=task.agent, reason="look",
                             payload=parking.done_payload(tx, [work]))  # fmt: skip
    if state == "parked":
        parking.park(tx, task)
    else:
        _report(tx, work)
    return made.id


@pytest.mark.parametrize("state", ["parked", "review"])
@pytest.mark.parametrize("how", ["abort", "fail"])
async def test_finished_work_that_waits_for_a_yes_goes_on_waiting(
    ada: Runner, how: str, state: str
) -> None:
    started, work = await _with_work(ada)
    ask = await ada.run(_ask_whether_done, work, state, capability="task.result", task=work)
    before = (await _task(ada, work)).state
    await _end(ada, started, how)
    found = await ada.ground.read(approval_queries.need, ada.ground.company, ask)
    assert ((await _task(ada, work)).state, found.status.value) == (before, "pending")


async def test_work_that_somebody_else_has_by_now_stays(ada: Runner) -> None:
    started, work = await _with_work(ada)
    await ada.shop.let_leases_end()
    assert (await ada.shop.claim("bob", task=work)) is not None
    await _end(ada, started, "abort")
    assert (await _task(ada, work)).state is State.IN_PROGRESS


async def test_work_whose_lease_ran_out_meanwhile_waits_for_nobody(ada: Runner) -> None:
    started, work = await _with_work(ada)
    await ada.shop.let_leases_end()
    assert (await _task(ada, work)).state is State.QUEUED
    await _end(ada, started, "abort")
    assert (await _task(ada, work)).state is State.ARCHIVED


async def _cost(ada: Runner, asked: turn_models.Asked) -> tuple[str, str, int | None]:
    """State of the request and of its reservation, tokens spent."""
    row = await ada.ground.read(
        lambda rx: rx.one("select state, reservation from model_call where id=?", (asked.id,))
    )
    held = await ada.ground.read(reservations.need, ada.ground.company, row[1])
    return row[0], held.state, held.spent_tokens


UNANSWERED = ("unknown", "held", None)


@pytest.mark.parametrize("how", END_WORDS)
async def test_no_request_stays_open_and_what_comes_late_is_paid(ada: Runner, how: str) -> None:
    started = await ada.start(await ada.accept("hm", "k1"))
    asked = await ada.ask(started)
    await _end(ada, started, how)
    assert await _cost(ada, asked) == UNANSWERED
    own = ada.shop.ground.action("turn.run")
    for used in ((40, 10), (7, 7)):
        await ada.ground.store.write(own, turn_models.unanswered, asked.id, "not kept", *used)
        assert await _cost(ada, asked) == ("failed", "settled", 50), "once"


async def test_what_is_unknown_is_given_back_once_nothing_was_used(ada: Runner) -> None:
    started = await ada.start(await ada.accept("hm", "k1"))
    asked = await ada.ask(started)
    await _end(ada, started, "abort")
    own = ada.shop.ground.action("turn.run")
    await ada.ground.store.write(own, turn_models.unanswered, asked.id, "no key")
    assert await _cost(ada, asked) == ("failed", "released", None)
