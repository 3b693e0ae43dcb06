"""Keys, clients that leave, STOP, budgets, approvals, many at once: a request is a turn, and its
answer the turn's."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import ToolSpec
from homarus.agents.scripted import Say
from homarus.agents.toolbox import BASIC, Hands, Tool
from homarus.flows.turn_tools import Result, text_result
from homarus.testing.daemon import key, running
from homarus.testing.scripted_model import Hang, ScriptedModel
from homarus.testing.waiting import eventually
from tests.gateway.asking import MODEL, Asking, asking
from tests.unit.agents.conftest import Talk
from tests.unit.agents.test_runner import level, program, register

WAIT_S = 20.0
RESPONSES, CHAT = "/v1/responses", "/v1/chat/completions"
R = {"model": MODEL, "input": "Hi"}
C = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}


async def until(ask: Asking, good: Callable[[Any], bool]) -> Any:
    """The newest turn, once `good` holds of it."""
    changed = asyncio.Event()
    undo = ask.daemon.app.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                rows = await ask.turns(limit=1)
                if rows and good(rows[0]):
                    return rows[0]
                await changed.wait()
    finally:
        undo()


def ended(turn: Any) -> bool:
    return turn["endedAt"] is not None


# -- keys ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), [(RESPONSES, R), (CHAT, C)])
async def test_a_key_is_one_turn(tmp_path: Path, path: str, body: Any) -> None:
    async with asking(tmp_path / "home", "One.", "Two.") as ask:
        first = await ask.post(path, body, idempotency_key="k")
        again = await ask.post(path, body, idempotency_key="k")
        assert first.json() == again.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert len(ask.model.requests) == 1
        other = await ask.post(path, body | {"user": "x"}, idempotency_key="k")
        assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency.mismatch")
        assert other.json()["error"]["type"] == "conflict_error"
        assert len(await ask.turns()) == 1
        third = await ask.post(path, body, idempotency_key="l")
        assert third.json()["id"] != first.json()["id"]


async def test_a_stream_is_repeated_whole(tmp_path: Path) -> None:
    """From rows, after the text as it came is gone."""
    replies = (Say("One moment", (("time_now", {}),)), "Noon.")
    async with asking(tmp_path / "home", *replies) as ask:
        body = R | {"stream": True}
        first = await ask.events(RESPONSES, body, **{"idempotency-key": "k"})
        again = await ask.events(RESPONSES, body, **{"idempotency-key": "k"})
        assert first[-2] == again[-2]
        kinds = [[name for name, _ in events if "delta" not in name] for events in (first, again)]
        assert kinds[0] == kinds[1]


async def test_two_with_one_key_at_one_time_hear_one_answer(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", Hang("Slow")) as ask:
        both = [asyncio.create_task(ask.post(RESPONSES, R, idempotency_key="k")) for _ in range(2)]
        await ask.model.hanging.wait()
        ask.model.release()
        first, second = await asyncio.gather(*both)
        assert first.json() == second.json()
        assert len(await ask.turns()) == 1


async def test_keys_of_others_are_other_keys(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.") as ask:
        first = await ask.post(RESPONSES, R, idempotency_key="k")
        _, secret = await ask.daemon.token(kind="operator", role="operator")
        other = ask.daemon.client(secret)
        again = await other.post(RESPONSES, json=R, headers={"idempotency-key": "other"})
        assert again.json()["id"] != first.json()["id"]


# -- clients that leave --------------------------------------------------------------------


async def leave(ask: Asking, path: str, body: Any, **headers: str) -> None:
    """Ask, and go away while the model still says nothing."""
    asked = asyncio.create_task(ask.post(path, body, **headers))
    await ask.model.hanging.wait()
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)


@pytest.mark.parametrize(
    ("path", "body", "headers", "ends"),
    [
        (RESPONSES, R, {}, "aborted"),
        (CHAT, C, {}, "aborted"),
        (CHAT, C | {"stream": True}, {}, "aborted"),
        (RESPONSES, R | {"user": "mia"}, {}, "done"),
        (CHAT, C, {"x_openclaw_session_key": "main"}, "done"),
        (CHAT, C, {"idempotency_key": "k"}, "done"),
    ],
)
async def test_a_client_that_leaves(
    tmp_path: Path, path: str, body: Any, headers: dict[str, str], ends: str
) -> None:
    """Nobody else can hear a stateless answer; a session and a key can be come back to."""
    async with asking(tmp_path / "home", Hang()) as ask:
        await leave(ask, path, body, **headers)
        if ends == "done":
            ask.model.release()
        turn = await until(ask, ended)
        assert turn["state"] == ends
        if ends == "aborted":
            await eventually(lambda: not ask.model.hanging.is_set())
            assert ask.model.closed == 1


async def test_a_key_is_come_back_to(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", Hang("Here")) as ask:
        await leave(ask, CHAT, C, idempotency_key="k")
        ask.model.release()
        reply = await ask.post(CHAT, C, idempotency_key="k")
        assert reply.json()["choices"][0]["message"]["content"] == "Here"
        assert len(ask.model.requests) == 1


async def test_a_daemon_that_stops_says_so(tmp_path: Path) -> None:
    model = ScriptedModel(Hang())
    async with running(tmp_path / "home", turns=model.turns(), drain_s=5.0) as daemon:
        ask = Asking(daemon, model)
        await ask.agent()
        asked = asyncio.create_task(ask.post(CHAT, C, idempotency_key="k"))
        await model.hanging.wait()
        stopping = asyncio.create_task(daemon.service.stop())
        reply = await asked
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "turn.daemon_stops")
        await stopping
    async with asking(tmp_path / "home", "After all.") as ask:
        reply = await ask.post(CHAT, C, idempotency_key="k")
        assert reply.json()["choices"][0]["message"]["content"] == "After all."
        assert len(await ask.turns()) == 1


# -- what the kernel says no to ------------------------------------------------------------


async def put_stop(ask: Asking, **body: Any) -> str:
    reply = await ask.client.post("/api/v1/stops", json={"reason": "drill"} | body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["stop"]["id"])


async def test_under_a_stop_nothing_is_taken(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.", agents=("ada", "bob")) as ask:
        agents = {row["name"]: row["id"] for row in (await ask.get("/agents"))["agents"]}
        stop = await put_stop(ask, scope="agent", subject=agents["ada"])
        reply = await ask.post(RESPONSES, R)
        assert (reply.status_code, reply.json()["error"]["code"]) == (503, "stop.agent")
        assert reply.headers["x-should-retry"] == "false"
        assert f"homarus stop lift {stop}" in reply.json()["error"]["message"]
        assert await ask.turns() == []
        reply = await ask.post(RESPONSES, R | {"model": "openclaw/bob"})
        assert reply.status_code == 200
        await ask.client.delete(f"/api/v1/stops/{stop}")
        assert (await ask.post(RESPONSES, R)).status_code == 200


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_stop_ends_what_hangs(tmp_path: Path, streaming: bool) -> None:
    async with asking(tmp_path / "home", Hang("So far")) as ask:
        body = R | {"stream": streaming}
        work = ask.events(RESPONSES, body) if streaming else ask.post(RESPONSES, body)
        asked = asyncio.ensure_future(work)
        await ask.model.hanging.wait()
        await put_stop(ask, scope="company")
        heard: Any = await asyncio.wait_for(asked, 5)
        if streaming:
            error = heard[-2][1]["response"]["error"]
        else:
            assert heard.status_code == 503
            error = heard.json()["error"]
        assert error["reason"] == "stop.company"
        assert (await until(ask, ended))["state"] == "aborted"


async def test_with_a_key_a_stop_only_puts_it_off(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", Hang(), "Now.") as ask:
        asked = asyncio.create_task(ask.post(RESPONSES, R, idempotency_key="k"))
        await ask.model.hanging.wait()
        stop = await put_stop(ask, scope="company")
        assert (await asked).status_code == 503
        await ask.client.delete(f"/api/v1/stops/{stop}")
        reply = await ask.post(RESPONSES, R, idempotency_key="k")
        assert reply.json()["output"][0]["content"][0]["text"] == "Now."


async def test_a_budget_that_is_spent(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.") as ask:
        budget = {"scope": "company", "subject": ask.daemon.company_id, "unit": "tokens",
                  "period": "day", "limit": 10}  # fmt: skip
        reply = await ask.client.put("/api/v1/budgets", json=budget)
        assert reply.status_code < 300, reply.text
        reply = await ask.post(CHAT, C)
        assert reply.status_code == 429
        error = reply.json()["error"]
        assert (error["type"], error["code"]) == ("insufficient_quota", "budget.exhausted")
        assert reply.headers["x-should-retry"] == "false"
        assert ask.model.requests == []


async def test_a_suspended_agent(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.") as ask:
        (agent,) = (await ask.get("/agents"))["agents"]
        reply = await ask.client.patch(
            f"/api/v1/agents/{agent['id']}", json={"suspended": True}, headers=key()
        )
        assert reply.status_code == 200, reply.text
        reply = await ask.post(CHAT, C)
        assert (reply.status_code, reply.json()["error"]["type"]) == (403, "permission_error")


async def test_an_agent_that_runs_elsewhere(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.") as ask:
        await ask.daemon.agent("far")
        reply = await ask.post(CHAT, C | {"model": "openclaw/far"})
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "agent.not_run_here")


async def test_an_abort_from_elsewhere(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", Hang()) as ask:
        asked = asyncio.create_task(ask.post(RESPONSES, R))
        await ask.model.hanging.wait()
        (turn,) = await ask.turns()
        await ask.client.post(f"/api/v1/turns/{turn['id']}/abort", headers=key())
        reply = await asked
        assert (reply.status_code, reply.json()["error"]["reason"]) == (409, "turn.aborted")
        assert reply.headers["x-request-id"] == turn["id"]


# -- approvals -----------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "done"), [("approve", 1), ("reject", 0)])
async def test_an_approval_is_waited_for(tmp_path: Path, word: str, done: int) -> None:
    """The request waits as its turn does, and the answer comes in it."""
    effects: list[str] = []
    model = ScriptedModel(Say("", (("deploy", {}),)), "That was it.")
    turns = model.turns(tools=(*BASIC, program(effects)))
    async with running(tmp_path / "home", turns=turns) as daemon:
        chat = Talk(daemon, model)
        await chat.agent()
        await daemon.project()
        await level(chat, "enforce")
        await register(chat, approval=True)
        ask = Asking(daemon, model)
        asked = asyncio.create_task(ask.events(RESPONSES, R | {"stream": True}))
        turn = await until(ask, lambda row: row["state"] == "parked")
        await chat.post(f"/approvals/{turn['waitsFor'][0]}/{word}", {"note": "n"})
        (_, last), _ = (await asked)[-2:]
        assert last["response"]["output"][-1]["content"][0]["text"] == "That was it."
        assert len(effects) == done


# -- many ----------------------------------------------------------------------------------


async def test_twenty_at_once(tmp_path: Path) -> None:
    """Each its own session, its own answer, and no session left behind."""

    def echo(request: Any) -> str:
        return f"You said {request.messages[-1].content[0].text}"

    async with asking(tmp_path / "home", echo) as ask:

        async def one(n: int) -> tuple[str, str]:
            messages = [{"role": "user", "content": f"number {n}"}]
            if n % 2:
                body = {"model": MODEL, "messages": messages, "stream": True}
                events = await ask.events(CHAT, body)
                chunks = [data["choices"][0]["delta"] for _, data in events[:-1]]
                return f"number {n}", "".join(delta.get("content", "") for delta in chunks)
            reply = await ask.complete(messages)
            return f"number {n}", reply["choices"][0]["message"]["content"]

        for said, heard in await asyncio.gather(*(one(n) for n in range(20))):
            assert heard == f"You said {said}"
        assert len(await ask.turns(limit=100)) == 20
        assert await ask.session_keys() == []


# -- tools ---------------------------------------------------------------------------------


async def _echo(arguments: dict[str, Any], hands: Hands) -> Result:
    _ = hands
    if arguments.get("fail"):
        raise RuntimeError("inside")
    return text_result(f"echo {arguments}")


def tool(name: str) -> Tool:
    return Tool(ToolSpec(name, "Says it again.", {"type": "object"}), _echo)


async def test_a_tool_is_called_without_a_model(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", tools=(*BASIC, tool("echo"))) as ask:
        reply = await ask.post("/tools/invoke", {"tool": "echo", "args": {"a": 1}, "action": "x"})
        assert reply.status_code == 200
        text = "echo {'a': 1, 'action': 'x'}"
        assert reply.json() == {"ok": True, "result": {"content": [{"type": "text", "text": text}]}}
        reply = await ask.post("/tools/invoke", {"name": "echo", "agentId": "ada"})
        assert reply.json()["ok"] is True
        assert ask.model.requests == []
        assert await ask.session_keys() == []


async def test_a_tool_acts_through_the_door(tmp_path: Path) -> None:
    """A task is made once, with a receipt of the agent's, whatever the client repeats."""
    async with asking(tmp_path / "home") as ask:
        await ask.daemon.project()
        body = {"tool": "task_create", "args": {"title": "Look at the roof"}}
        first = await ask.post("/tools/invoke", body, idempotency_key="k")
        again = await ask.post("/tools/invoke", body, idempotency_key="k")
        assert first.status_code == 200 and first.json() == again.json()
        assert first.json()["result"]["details"]["number"].startswith("T-")
        tasks = (await ask.get("/tasks"))["tasks"]
        assert len(tasks) == 1


INVOKED: list[tuple[str, Any, int, str, str]] = [
    ("unknown", {"tool": "nothing"}, 404, "not_found", "tool.unknown"),
    ("denied", {"tool": "exec"}, 404, "not_found", "tool.unavailable"),
    ("ours that writes", {"tool": "write"}, 404, "not_found", "tool.unavailable"),
    ("denied by a setting", {"tool": "echo"}, 404, "not_found", "tool.unavailable"),
    ("wrong arguments", {"tool": "task_create", "args": {"title": 1}}, 400, "invalid_request",
     "tool.arguments"),
    ("no project", {"tool": "task_create", "args": {"title": "x"}}, 400, "invalid_request",
     "project.unknown"),
    ("one that breaks", {"tool": "shell", "args": {"fail": True}}, 500, "tool_error",
     "tool.failed"),
    ("an unknown agent", {"tool": "time_now", "agentId": "x"}, 404, "not_found", "agent.unknown"),
    ("a reserved session", {"tool": "time_now", "sessionKey": "cron:x"}, 400, "invalid_request",
     "session.reserved"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "status", "kind", "code"), [r[1:] for r in INVOKED], ids=[r[0] for r in INVOKED]
)
async def test_a_tool_that_is_not_to_be_had(
    tmp_path: Path, body: Any, status: int, kind: str, code: str
) -> None:
    kit = (*BASIC, tool("exec"), tool("echo"), tool("shell"))
    async with asking(
        tmp_path / "home", tools=kit, http_tools_deny="echo, x", http_tools_allow="shell"
    ) as ask:
        reply = await ask.post("/tools/invoke", body)
        assert reply.status_code == status, reply.text
        document = reply.json()
        assert document["ok"] is False
        assert (document["error"]["type"], document["error"]["code"]) == (kind, code)


async def test_a_setting_offers_what_is_denied(tmp_path: Path) -> None:
    async with asking(
        tmp_path / "home", tools=(*BASIC, tool("exec")), http_tools_allow="exec"
    ) as ask:
        assert (await ask.post("/tools/invoke", {"tool": "exec"})).status_code == 200
