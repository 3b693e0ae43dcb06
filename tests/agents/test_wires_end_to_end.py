"""A daemon, an agent, a provider that speaks its real wire (design, 7).

The provider is the scripted server in its own thread; nothing between it and the row of the reply
is replaced.
"""

import asyncio
from collections.abc import AsyncIterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import httpx2
import pytest

from homarus.agents.endpoint import Dialect
from homarus.store.port import Rx
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.model_server import Call, Fail, Hold, ModelServer, Say, Stall

WAIT_S = 60.0
DIALECTS = pytest.mark.parametrize("dialect", list(Dialect), ids=lambda d: d.value)
ENDED = ("done", "failed", "aborted")


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home", max_task_turns=0) as made:
        yield made


async def ada(daemon: Daemon, provider: ModelServer, dialect: Dialect) -> None:
    """An agent that runs here, and the company's model."""
    body = {"dialect": dialect.value, "baseUrl": provider.base_url(dialect.value), "model": "m-1",
            "key": "sk-scripted"}  # fmt: skip
    added = await daemon.owner.post("/api/v1/models", json=body, headers=key())
    assert added.status_code in (200, 201), added.text
    made = await daemon.owner.post(
        "/api/v1/agents", json={"name": "ada", "executor": "llm"}, headers=key()
    )
    assert made.status_code == 201, made.text


async def begun(daemon: Daemon, text: str, **more: Any) -> str:
    reply = await daemon.owner.post(
        "/api/v1/turns", json={"agentId": "ada", "text": text} | more, headers=key()
    )
    assert reply.status_code == 202, reply.text
    return str(reply.json()["turn"]["id"])


async def said(daemon: Daemon, text: str) -> dict[str, Any]:
    return await ended(daemon.owner, await begun(daemon, text))


async def ended(client: httpx2.AsyncClient, turn: str) -> dict[str, Any]:
    """The turn when it has ended: its own stream says so."""
    path = f"/api/v1/turns/{turn}"
    async with asyncio.timeout(WAIT_S), client.stream("GET", f"{path}/events") as told:
        async for line in told.aiter_lines():
            if line.startswith("event: end"):
                break
    return (await client.get(path)).json()["turn"]


@DIALECTS
async def test_a_message_is_answered_by_a_real_wire(daemon: Daemon, dialect: Dialect) -> None:
    with ModelServer(Say("forty-two"), key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        turn = await said(daemon, "What is 6 x 7?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "forty-two")
    thread = (await daemon.owner.get("/api/v1/threads?type=direct")).json()["threads"][0]
    messages = (await daemon.owner.get(f"/api/v1/threads/{thread['id']}/messages")).json()
    assert [m["text"] for m in messages["messages"]] == ["What is 6 x 7?", "forty-two"]


@DIALECTS
async def test_a_provider_that_stumbles_is_asked_again(daemon: Daemon, dialect: Dialect) -> None:
    script = (Fail(500), Say("here"))
    with ModelServer(*script, key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        turn = await said(daemon, "Are you there?")
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "here")


@DIALECTS
async def test_a_tool_is_called_and_its_result_goes_back(daemon: Daemon, dialect: Dialect) -> None:
    create = Call("task.create", {"title": "Paint the boat", "description": "blue"})
    with ModelServer(create, Say("It is noted."), key="sk-scripted") as provider:
        await ada(daemon, provider, dialect)
        await daemon.project("Boats")
        turn = await said(daemon, "Please have the boat painted.")
        assert len(provider.requests) == 2
    assert (turn["state"], turn["outcome"]["text"]) == ("done", "It is noted.")
    tasks = (await daemon.owner.get("/api/v1/tasks")).json()["tasks"]
    assert [task["title"] for task in tasks] == ["Paint the boat"], "no standing task is listed"


async def test_the_key_is_in_no_file_of_the_home(daemon: Daemon, tmp_path: Path) -> None:
    with ModelServer(Say("hush"), key="sk-scripted") as provider:
        await ada(daemon, provider, Dialect.CHAT)
        await said(daemon, "hello")
    for file in (tmp_path / "home").rglob("*"):
        if file.is_file():
            assert b"sk-scripted" not in file.read_bytes(), file


async def test_stop_closes_the_connection_to_a_provider_that_hangs(daemon: Daemon) -> None:
    """The provider's own view: its client went away. The turn waits as if it had not begun."""
    with ModelServer(Stall("I keep tal"), Say("after all"), key="sk-scripted") as provider:
        await ada(daemon, provider, Dialect.CHAT)
        turn = await begun(daemon, "Talk.")
        await asyncio.to_thread(provider.wait, lambda s: len(s.requests) == 1)
        body = {"scope": "company", "reason": "drill"}
        stop = await daemon.owner.post("/api/v1/stops", json=body, headers=key())
        assert stop.status_code == 201, stop.text
        await asyncio.to_thread(provider.wait, lambda s: s.left == 1)
        assert len(provider.requests) == 1, "under STOP nothing is asked"
        await daemon.owner.delete(f"/api/v1/stops/{stop.json()['stop']['id']}", headers=key())
        row = await ended(daemon.owner, turn)
    assert (row["state"], row["outcome"]["text"]) == ("done", "after all")
    assert (row["attempts"], row["calls"]) == (1, 2)


LIMIT = 1_000_000
"""1.00, in millionths."""


async def test_eight_turns_at_once_stay_within_a_budget_at_every_moment(daemon: Daemon) -> None:
    """The ledger has each reservation and each settlement in its order: nowhere is the sum of what
    was spent and what was held above the limit."""
    with ModelServer(*[Hold(Say("Short."))] * 8, key="sk-scripted") as provider:
        await ada(daemon, provider, Dialect.CHAT)
        price = {"name": "m-1", "inputMicros": 60_000_000, "outputMicros": 20_000_000}
        budget = {"scope": "company", "unit": "money", "period": "month", "limit": LIMIT}
        for path, body in (("prices", price), ("budgets", budget)):
            put = await daemon.owner.put(f"/api/v1/{path}", json=body, headers=key())
            assert put.status_code == 200, put.text
        turns = [await begun(daemon, "Hi.", sessionKey=f"s{n}") for n in range(8)]
        await asyncio.to_thread(provider.wait, lambda s: len(s.requests) >= 2)
        provider.release()
        outcomes = [(await ended(daemon.owner, turn))["outcome"] for turn in turns]
    refused = {outcome.get("error") for outcome in outcomes} - {None}
    assert refused == {"budget.exhausted"}
    sums = await daemon.app.store.read(held_and_spent)
    assert len(sums) >= 4 and max(sums) <= LIMIT
    assert sums[-1] > 0


def held_and_spent(rx: Rx) -> list[int]:
    """Money that is set aside or spent after each receipt that changes it, in millionths."""
    rows = rx.all(
        "select c.receipt_seq, r.money, r.spent_money, o.seq from model_call c "
        "join reservation r on r.id=c.reservation join company k on k.id=c.company "
        "join receipt o on o.company_no=k.no and o.of_seq=c.receipt_seq"
    )
    moves = [(seq, money) for seq, money, _, _ in rows]
    moves += [(seq, spent - money) for _, money, spent, seq in rows]
    return list(accumulate(amount for _, amount in sorted(moves)))
