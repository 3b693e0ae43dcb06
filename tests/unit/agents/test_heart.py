"""The heart: what an idle company costs, and each kind of news through a whole daemon."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.heart import FILE, Heart, seen
from homarus.agents.port import ModelRequest, Text, UserMessage
from homarus.agents.tools.space import of_agent
from homarus.company import agents
from homarus.company import heartbeats as rows
from homarus.company.heartbeats import Change
from homarus.flows import heartbeats
from homarus.testing.daemon import key, running
from homarus.testing.ground import ManualClock, ground
from homarus.testing.scripted_model import Hang, ScriptedModel
from tests.support.profile import chosen_profile
from tests.unit.agents.conftest import Talk

MIN = 60_000
HALF_HOUR = 30 * MIN
DAY = 24 * 60 * MIN
IDLE_AGENTS = 20
IDLE_DAYS = 10
TABLES = ("event", "receipt", "outcome", "turn", "entry", "message", "heartbeat", "task",
          "session", "model_call", "idempotency")  # fmt: skip


def _counts(rx: Any) -> dict[str, int]:
    names = [row[0] for row in rx.all("select name from sqlite_master where type='table'")]
    found = {name: rx.one(f"select count(*) from {name}")[0] for name in names}
    return {name: n for name, n in found.items() if not name.startswith("sqlite_")}


def _hire(tx: Any, name: str, every_ms: int) -> str:
    made = agents.create(tx, agents.AgentChange(name=name, executor="llm"))
    heartbeats.change(tx, made.id, Change(enabled=True, every_ms=every_ms))
    return made.id


async def test_twenty_agents_idle_for_ten_days_at_no_cost(tmp_path: Path) -> None:
    clock = ManualClock()
    async with ground(tmp_path, clock) as g:
        for n in range(IDLE_AGENTS):
            id_ = await g.write("company.create", _hire, f"agent-{n}", HALF_HOUR)
            _write(g.home, id_, "# Heartbeat\n")
        heart = Heart(g.store, clock, g.home)
        ends = clock.now_ms() + IDLE_DAYS * DAY
        before = await g.read(_counts)
        while (at_ms := await g.read(rows.next_ms)) <= ends:
            clock.at_ms = at_ms
            assert await heart.beat() == []
        assert await g.read(_counts) == before, "and not one row more"
        found = await g.read(lambda rx: rows.listed(rx, g.company, limit=100))
        assert {row.looks for row in found} == {IDLE_DAYS * 48}
        assert {(row.turns, row.reason) for row in found} == {(0, "unchanged")}


def _write(home: Path, agent: str, text: str) -> None:
    folder = of_agent(home, agent)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text, "utf-8")


@pytest.mark.skipif(chosen_profile().name != "full", reason="ten minutes by the clock")
@pytest.mark.timeout(900)
async def test_twenty_agents_idle_for_ten_real_minutes(tmp_path: Path) -> None:
    model = ScriptedModel("HEARTBEAT_OK")
    async with running(tmp_path / "home", turns=model.turns()) as daemon:
        chat = Talk(daemon, model)
        for n in range(IDLE_AGENTS):
            id_ = await chat.agent(f"agent-{n}")
            await put(chat, f"/agents/{id_}/heartbeat", {"enabled": True, "every": "1m"})
        before = await daemon.app.store.read(_counts)
        await asyncio.sleep(600)
        after = await daemon.app.store.read(_counts)
        assert model.requests == []
        assert {name: n for name, n in after.items() if name in TABLES} == {
            name: n for name, n in before.items() if name in TABLES
        }
        reply = await chat.get("/heartbeats")
        assert {9, 10} >= {row["cost"]["looks"] for row in reply["heartbeats"]}


# -- through a daemon ------------------------------------------------------------------------


async def put(chat: Talk, path: str, body: Any) -> Any:
    reply = await chat.daemon.owner.put(f"/api/v1{path}", json=body, headers=key())
    assert reply.status_code == 200, reply.text
    return reply.json()


class Beats:
    """A daemon whose clock stands still, and the agent `ada` with a heartbeat."""

    def __init__(self, chat: Talk, clock: ManualClock, agent: str, home: Path) -> None:
        self.chat, self.clock, self.agent, self.home = chat, clock, agent, home

    async def beat(self) -> list[str]:
        """The next time comes; the turns, ended. The daemon's own heart may look first."""
        row = await self.show()
        self.clock.advance(row["everyMs"])
        found = await self.chat.daemon.app.heart.beat()
        if not found:
            after = await self.show()
            if after["turnId"] not in (None, row["turnId"]):
                found = [after["turnId"]]
            elif after["cost"]["turns"] > row["cost"]["turns"]:
                return ["ended"]
        for turn in found:
            await self.chat.ended(turn)
        return found

    async def show(self) -> Any:
        return (await self.chat.get(f"/agents/{self.agent}/heartbeat"))["heartbeat"]

    def asked(self) -> str:
        """The words of the last request's last message."""
        return words(self.chat.model.requests[-1])


def words(request: ModelRequest) -> str:
    said = request.messages[-1]
    assert isinstance(said, UserMessage)
    return "\n".join(part.text for part in said.content if isinstance(part, Text))


@pytest.fixture
async def beats(tmp_path: Path) -> Any:
    clock, model = ManualClock(), ScriptedModel("HEARTBEAT_OK")
    home = tmp_path / "home"
    async with running(home, turns=model.turns(), clock=clock, max_task_turns=0) as daemon:
        chat = Talk(daemon, model)
        agent = await chat.agent()
        body = {"enabled": True, "every": "30m"}
        assert (await put(chat, f"/agents/{agent}/heartbeat", body))["heartbeat"]["everyMs"]
        yield Beats(chat, clock, agent, home)


async def test_each_kind_of_news_is_one_turn(beats: Beats) -> None:
    chat = beats.chat
    assert await beats.beat() == []
    _write(beats.home, beats.agent, "- water the plants")
    assert len(await beats.beat()) == 1
    assert "- water the plants" in beats.asked()
    assert "<untrusted" not in beats.asked(), "the orders are the agent's own"
    assert await beats.beat() == []
    team = (await chat.post("/threads", {"type": "team"}))["thread"]["id"]
    await chat.post(f"/threads/{team}/messages", {"text": "who has the key?"})
    assert len(await beats.beat()) == 1
    assert '<untrusted from="messages">\nhuman: who has the key?' in beats.asked()
    assert await beats.beat() == []
    project = await chat.daemon.project()
    made = await chat.post(
        "/tasks",
        {"projectId": project, "taskType": "x", "inputJson": {"title": "Paint the door"},
         "assignedAgentId": beats.agent, "allowUnderspecified": True},
    )  # fmt: skip
    assert made
    assert len(await beats.beat()) == 1
    assert "Paint the door" in beats.asked()
    assert [await beats.beat() for _ in range(3)] == [[], [], []]
    assert len(chat.model.requests) == 3
    row = await beats.show()
    assert (row["cost"]["turns"], row["outcome"], row["last"]["status"]) == (
        3, "skipped", "ok-token"
    )  # fmt: skip


async def test_an_ok_is_said_nowhere_and_leaves_nothing_to_the_model(beats: Beats) -> None:
    chat = beats.chat
    _write(beats.home, beats.agent, "- water the plants")
    assert len(await beats.beat()) == 1
    assert await chat.thread() == []
    chat.model.then("Hello.")
    await chat.answer("hi")
    assert [words(chat.model.requests[-1])] == ["hi"], "and the request has nothing else"
    assert len(chat.model.requests[-1].messages) == 1
    assert len(await chat.lines()) == 4, "while the transcript has every line"
    _write(beats.home, beats.agent, "- feed the cat")
    chat.model.then("The cat is fed. HEARTBEAT_OK", "Yes.")
    await put(chat, f"/agents/{beats.agent}/heartbeat", {"ackMaxChars": 0})
    assert len(await beats.beat()) == 1
    assert (await chat.thread())[-1] == ("agent", "The cat is fed.")
    await chat.answer("did you feed it?")
    assert len(chat.model.requests[-1].messages) == 5


async def test_always_asks_each_time_and_shows_what_it_costs(beats: Beats) -> None:
    chat = beats.chat
    row = (await put(chat, f"/agents/{beats.agent}/heartbeat", {"always": True}))["heartbeat"]
    assert row["callsADay"] == 48
    for _ in range(3):
        assert len(await beats.beat()) == 1
    row = await beats.show()
    assert row["cost"]["turns"] == len(chat.model.requests) == 3
    assert row["cost"]["inputTokens"] > 0
    status = (await chat.get("/status"))["heartbeats"]
    assert (status["on"], status["always"], status["alwaysCallsADay"]) == (1, 1, 48)


async def test_a_busy_agent_is_left_alone(beats: Beats) -> None:
    chat = beats.chat
    chat.model.then(Hang("thinking"))
    turn = await chat.say("begin")
    await chat.model.hanging.wait()
    _write(beats.home, beats.agent, "- water the plants")
    assert await beats.beat() == []
    assert (await beats.show())["reason"] == "busy"
    chat.model.then("HEARTBEAT_OK")
    chat.model.release()
    await chat.ended(turn)
    assert len(await beats.beat()) == 1


async def test_a_word_that_is_to_steer_has_an_answer_of_its_own(beats: Beats) -> None:
    chat = beats.chat
    chat.model.then(Hang("HEARTBEAT_OK"))
    _write(beats.home, beats.agent, "- water the plants")
    beats.clock.advance(HALF_HOUR)
    (beat,) = await chat.daemon.app.heart.beat()
    await chat.model.hanging.wait()
    turn = await chat.say("are you there?", mode="steer")
    chat.model.then("Yes.")
    chat.model.release()
    assert (await chat.ended(beat))["state"] == "done"
    assert (await chat.ended(turn))["outcome"]["text"] == "Yes."


async def test_waking_is_a_commit_that_the_heart_hears(tmp_path: Path) -> None:
    """By the real clock, and without anybody calling `beat`."""
    model = ScriptedModel("There is smoke.")
    async with running(tmp_path / "home", turns=model.turns()) as daemon:
        chat = Talk(daemon, model)
        agent = await chat.agent()
        reply = await chat.post(f"/agents/{agent}/heartbeat/wake", {"text": "fire"})
        assert reply == {"ok": True, "agentIds": [agent]}
        changed = asyncio.Event()
        undo = daemon.app.store.listen(lambda _: changed.set())
        async with asyncio.timeout(30):
            while True:
                changed.clear()
                row = (await chat.get(f"/agents/{agent}/heartbeat"))["heartbeat"]
                if row["last"]:
                    break
                await changed.wait()
        undo()
        assert (row["last"]["status"], row["last"]["preview"]) == ("sent", "There is smoke.")
        assert '<untrusted from="wake">\nfire' in words(model.requests[0])
        assert await chat.thread() == [("agent", "There is smoke.")]
        assert row["enabled"] is False and row["nextAt"] is None


BAD: list[tuple[str, str, Any, int, str]] = [
    ("PUT", "/agents/ada/heartbeat", {"every": "5s"}, 400, "heartbeat.every"),
    ("PUT", "/agents/ada/heartbeat", {}, 400, "heartbeat.nothing"),
    ("PUT", "/agents/ada/heartbeat", {"activeHours": {"start": "8", "end": "9"}}, 400,
     "heartbeat.hours"),
    ("PUT", "/agents/nobody/heartbeat", {"enabled": True}, 404, "agent.unknown"),
    ("POST", "/agents/ada/heartbeat/wake", {"mode": "soon"}, 400, "heartbeat.mode"),
    ("PUT", "/session-policies", {"mode": "weekly"}, 400, "session.policy"),
    ("PUT", "/session-policies", {"mode": "idle"}, 400, "session.policy"),
    ("PUT", "/session-policies", {"mode": "none", "scope": "x"}, 400, "session.scope"),
    ("DELETE", "/session-policies/base", None, 404, "session.policy_unknown"),
    ("PATCH", "/companies/default", {"timeZone": "Mars/Base"}, 400, "time.zone"),
]  # fmt: skip


async def test_bad_requests(beats: Beats) -> None:
    for method, path, body, status, code in BAD:
        reply = await beats.chat.daemon.owner.request(
            method, f"/api/v1{path}", json=body, headers=key()
        )
        assert (reply.status_code, reply.json()["code"]) == (status, code), (path, body)


async def test_a_company_token_sets_no_heartbeat_and_may_wake(beats: Beats) -> None:
    path = f"/api/v1/agents/{beats.agent}/heartbeat"
    company = beats.chat.daemon.company
    assert (await company.put(path, json={"always": True}, headers=key())).status_code == 403
    reply = await company.post(f"{path}/wake", json={"mode": "next-heartbeat"}, headers=key())
    assert reply.status_code == 202


async def test_a_session_begins_anew_by_its_policy(beats: Beats) -> None:
    chat = beats.chat
    await put(chat, "/session-policies", {"mode": "daily", "atHour": 0})
    reply = await chat.daemon.owner.patch(
        "/api/v1/companies/default", json={"timeZone": "Asia/Tokyo"}, headers=key()
    )
    assert reply.json()["company"]["timeZone"] == "Asia/Tokyo"
    found = await chat.get("/session-policies")
    assert (found["timeZone"], found["policies"][0]["mode"]) == ("Asia/Tokyo", "daily")
    chat.model.then("ok")
    first = await chat.answer("one")
    beats.clock.advance(DAY)
    second = await chat.answer("two")
    assert first["sessionId"] != second["sessionId"] and first["sessionKey"] == second["sessionKey"]
    assert len(chat.model.requests[-1].messages) == 1
    await chat.daemon.app.transcripts.check()
    folder = beats.home / "agents" / beats.agent / "sessions"
    assert [path.name for path in folder.glob(f"{first['sessionId']}.jsonl.deleted.*")]
    assert (folder / f"{second['sessionId']}.jsonl").is_file()


def test_orders_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    assert seen(tmp_path / "nowhere", "a").orders == ""
    (tmp_path / FILE).symlink_to("/etc/hostname")
    assert seen(tmp_path, "a").orders == "", "nothing leads out of a workspace"
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_text("x" * (heartbeats.MAX_ORDERS + 1))
    assert seen(tmp_path, "a").orders == ""
