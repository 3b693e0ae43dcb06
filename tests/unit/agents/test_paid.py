"""What a model was asked is paid for, also where nobody can use the answer any more (design, 1)."""

import asyncio
from typing import Any

import pytest

from homarus.agents.port import Fault
from homarus.agents.scripted import Say
from homarus.conversations import transcript
from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang, failure
from tests.unit.agents.conftest import WAIT_S

LARGE = "w" * (transcript.MAX_BODY_CHARS + 1)


def _rows(rx: Any) -> list[tuple[str, str, bool]]:
    """State of each request, of its reservation, and whether something was spent."""
    rows = rx.all(
        "select m.state, r.state, r.spent_tokens from model_call m "
        "join reservation r on r.id=m.reservation order by m.n"
    )
    return [(row[0], row[1], bool(row[2])) for row in rows]


async def priced(talk: Any, *replies: Any, **more: Any) -> Any:
    chat = await talk(*replies, **more)
    price = {"model": "scripted", "inputMicros": 1_000_000, "outputMicros": 1_000_000}
    await chat.put("/prices", price)
    budget = {"scope": "company", "unit": "money", "period": "month", "limit": 10**12}
    await chat.put("/budgets", budget)
    return chat


async def spent(chat: Any) -> int:
    """Of the company's budget."""
    (row,) = (await chat.get("/budgets"))["budgets"]
    return int(row["spent"])


PAID = ("failed", "settled", True)


@pytest.mark.parametrize(
    ("reply", "code", "expected"),
    [
        (Say(LARGE), "session.entry_large", [PAID]),
        (ValueError("broken"), "internal.turn", [PAID]),
        (failure(Fault.KEY), "model.key", [("failed", "released", False)]),
    ],
)
async def test_an_answer_that_is_not_kept(
    talk: Any, reply: Any, code: str, expected: list[Any]
) -> None:
    def answers(request: Any) -> Any:
        if isinstance(reply, ValueError):
            raise reply
        return reply

    chat = await priced(talk, answers if isinstance(reply, ValueError) else reply)
    turn = await chat.answer("hi")
    assert (turn["state"], turn["outcome"]["error"]) == ("failed", code)
    assert await chat.daemon.app.store.read(_rows) == expected
    assert (await spent(chat) > 0) is (expected == [PAID])


async def _suspend(chat: Any, turn: str) -> None:
    agent = (await chat.get("/agents"))["agents"][0]["id"]
    reply = await chat.daemon.owner.patch(
        f"/api/v1/agents/{agent}", json={"suspended": True}, headers=key()
    )
    assert reply.status_code == 200, reply.text


async def _abort(chat: Any, turn: str) -> None:
    await chat.post(f"/turns/{turn}/abort", {})


@pytest.mark.parametrize(("what", "state"), [(_suspend, "failed"), (_abort, "aborted")])
async def test_an_answer_whose_turn_is_over_meanwhile(talk: Any, what: Any, state: str) -> None:
    chat = await priced(talk, Hang("w" * 400))
    turn = await chat.say("hi")
    await chat.model.hanging.wait()
    await what(chat, turn)
    chat.model.release()
    assert (await chat.ended(turn))["state"] == state
    await _settled(chat)
    assert await spent(chat) > 0


async def _settled(chat: Any) -> None:
    """The worker says last what it had asked for."""
    changed, store = asyncio.Event(), chat.daemon.app.store
    undo = store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while await store.read(_rows) != [PAID]:
                await changed.wait()
                changed.clear()
    finally:
        undo()


async def test_a_summary_that_is_not_kept(talk: Any) -> None:
    chat = await priced(talk, "one", "two")
    await chat.answer("a " * 1_000)
    await chat.answer("b " * 1_000)
    chat.model.then(Hang("They spoke."))
    summary = (await chat.post("/sessions/agent:ada:main/compact", {}))["turn"]["id"]
    await chat.model.hanging.wait()
    await _suspend(chat, summary)
    chat.model.release()
    assert (await chat.ended(summary))["state"] == "failed"
    assert (await chat.daemon.app.store.read(_rows))[-1] == PAID
