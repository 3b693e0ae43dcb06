"""Sessions over the wire: lists, history, reset, branches, summaries (gateway contract, 7, 12)."""

from typing import Any

import pytest

from homarus.agents.port import Fault, Text
from homarus.agents.scripted import Say
from homarus.base.action import Action
from homarus.conversations import sessions, transcript
from homarus.conversations.transcript import MAX_READ
from homarus.testing.daemon import key
from homarus.testing.scripted_model import Hang, failure


async def test_the_same_key_is_the_same_turn(talk: Any) -> None:
    chat = await talk("once")
    body, header = {"agentId": "ada", "text": "hi"}, key()
    first = await chat.post("/turns", body, **header)
    turn = await chat.ended(first["turn"]["id"])
    again = await chat.post("/turns", body, **header)
    assert again["turn"] == turn, "and it is told as it stands by now"
    reply = await chat.daemon.owner.post("/api/v1/turns", json=body | {"text": "x"}, headers=header)
    assert (reply.status_code, reply.json()["code"]) == (409, "idempotency.mismatch")
    reply = await chat.daemon.owner.post("/api/v1/turns", json=body)
    assert (reply.status_code, reply.json()["code"]) == (400, "idempotency.missing")


@pytest.mark.parametrize(
    "body, status, code",
    [
        ({"agentId": "nobody", "text": "x"}, 404, "agent.unknown"),
        ({"agentId": "ada", "text": "  "}, 400, "turn.text"),
        ({"agentId": "ada", "text": "x" * 100_001}, 400, "turn.text"),
        ({"agentId": "ada", "text": "x", "mode": "shout"}, 400, "turn.mode"),
        ({"agentId": "ada", "text": "x", "sessionKey": "agent:bob:main"}, 400, "session.key"),
        ({"agentId": "ada", "text": "x", "sessionKey": "a b"}, 400, "session.key"),
        ({"agentId": "ada", "text": "x", "options": {"nonsense": 1}}, 400, "request.schema"),
        ({"agentId": "ada"}, 400, "request.schema"),
    ],
)
async def test_bad_turns_are_refused(talk: Any, body: Any, status: int, code: str) -> None:
    chat = await talk()
    reply = await chat.daemon.owner.post("/api/v1/turns", json=body, headers=key())
    assert (reply.status_code, reply.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("GET", "/turns/nothing", 404, "turn.unknown"),
        ("POST", "/turns/nothing/abort", 404, "turn.unknown"),
        ("GET", "/sessions/agent:ada:none", 404, "session.unknown"),
        ("GET", "/sessions/agent:ada:none/history", 404, "session.unknown"),
        ("GET", "/sessions?cursor=1", 400, "request.cursor"),
        ("GET", "/sessions?cursor=1-2", 400, "request.cursor"),
        ("POST", "/sessions/nonsense/reset", 404, "session.unknown"),
        ("POST", "/sessions/nonsense/fork", 404, "session.unknown"),
    ],
)
async def test_unknown_ones(talk: Any, method: str, path: str, status: int, code: str) -> None:
    chat = await talk()
    reply = await chat.daemon.owner.request(method, f"/api/v1{path}", headers=key())
    assert (reply.status_code, reply.json()["code"]) == (status, code)


async def test_lists_page_by_page(talk: Any) -> None:
    chat = await talk("ok")
    for n in range(5):
        await chat.answer(f"n {n}", sessionKey=f"s{n % 3}")
    page = await chat.get("/turns", limit=3)
    rest = await chat.get("/turns", limit=3, cursor=page["nextCursor"])
    assert [t["text"] for t in page["turns"] + rest["turns"]] == [f"n {n}" for n in (4, 3, 2, 1, 0)]
    assert rest["nextCursor"] is None
    of_one = await chat.get("/turns", sessionKey="agent:ada:s0")
    assert [t["text"] for t in of_one["turns"]] == ["n 3", "n 0"]
    assert (await chat.get("/turns", open="true"))["turns"] == []
    seen = await chat.get("/sessions", agentId="ada", limit=2)
    more = await chat.get("/sessions", agentId="ada", limit=2, cursor=seen["nextCursor"])
    keys = [row["key"] for row in seen["sessions"] + more["sessions"]]
    assert keys == [f"agent:ada:s{n}" for n in (1, 0, 2)] and more["nextCursor"] is None
    lines = await chat.get("/sessions/agent:ada:s0/history", limit=3)
    older = await chat.get("/sessions/agent:ada:s0/history", limit=3, cursor=lines["nextCursor"])
    assert [line["seq"] for line in older["entries"] + lines["entries"]] == [1, 2, 3, 4]


async def test_a_reset_keeps_the_old_transcript_and_the_settings(talk: Any) -> None:
    chat = await talk("ok")
    await chat.answer("remember")
    path = "/sessions/agent:ada:main"
    reply = await chat.daemon.owner.patch(
        f"/api/v1{path}", json={"label": "Desk", "queueMode": "collect"}, headers=key()
    )
    old = reply.json()["session"]
    assert (old["label"], old["queueMode"]) == ("Desk", "collect")
    fresh = (await chat.post(f"{path}/reset", {}))["session"]
    assert (fresh["id"] != old["id"], fresh["entries"], fresh["label"]) == (True, 0, "Desk")
    assert (fresh["threadId"], fresh["key"]) == (old["threadId"], old["key"])
    kept = (await chat.get(f"/sessions/{old['id']}/history"))["entries"]
    assert [line["message"]["role"] for line in kept] == ["user", "assistant"]
    await chat.answer("anew")
    assert len(chat.model.requests[-1].messages) == 1


async def test_a_busy_session_is_reset_only_when_told_so(talk: Any) -> None:
    chat = await talk(Hang("so far"), "fresh")
    turn = await chat.say("begin")
    await chat.model.hanging.wait()
    path = "/api/v1/sessions/agent:ada:main/reset"
    reply = await chat.daemon.owner.post(path, json={}, headers=key())
    assert (reply.status_code, reply.json()["code"]) == (409, "session.busy")
    await chat.post("/sessions/agent:ada:main/reset", {"abort": True})
    assert (await chat.ended(turn))["state"] == "aborted"
    assert (await chat.answer("again"))["outcome"]["text"] == "fresh"


async def test_a_branch_goes_its_own_way(talk: Any) -> None:
    chat = await talk(lambda request: f"{len(request.messages)} lines")
    await chat.answer("one")
    made = (await chat.post("/sessions/agent:ada:main/fork", {"name": "idea"}))["session"]
    assert (made["key"], made["entries"]) == ("agent:ada:fork:idea", 2)
    assert (await chat.answer("two", sessionKey="fork:idea"))["outcome"]["text"] == "3 lines"
    assert (await chat.answer("three"))["outcome"]["text"] == "3 lines"
    assert len(await chat.lines("agent:ada:fork:idea")) == 4
    reply = await chat.daemon.owner.post(
        "/api/v1/sessions/agent:ada:main/fork", json={"name": "idea"}, headers=key()
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "session.exists")


# -- compaction ------------------------------------------------------------------------------


def _summary(request: Any) -> str:
    """What the model says: a summary where it is asked for one."""
    return "They spoke of blue things." if request.system.startswith("You sum up") else "ok"


async def test_a_full_context_is_summed_up_and_rules_survive(talk: Any) -> None:
    chat = await talk(_summary, window=8_000)
    for n in range(6):
        turn = await chat.answer(f"{n} " + "blue " * 900)
        assert turn["state"] == "done"
    session = (await chat.get("/sessions/agent:ada:main"))["session"]
    assert session["compactions"] >= 1
    last = chat.model.requests[-1]
    assert "Redlines" in last.system and "You are ada" in last.system
    first = last.messages[0].content[0]
    assert isinstance(first, Text) and "They spoke of blue things." in first.text
    summaries = [r for r in chat.model.requests if r.system.startswith("You sum up")]
    assert all("Redlines" not in str(r.messages) for r in summaries)
    kinds = [e["kind"] for e in (await chat.get(
        "/sessions/agent:ada:main/history", limit=500))["entries"]]  # fmt: skip
    assert kinds.count("message") == 12, "nothing leaves the transcript"


def _fill(tx: Any, session: str, lines: int) -> None:
    row = sessions.need(tx, tx.company, session)
    for n in range(lines):
        said = {"role": "user" if n % 2 else "assistant", "timestamp": 1,
                "content": [{"type": "text", "text": f"old {n}"}]}  # fmt: skip
        transcript.append(tx, row, transcript.MESSAGE, {"message": said}, None)


async def _long(chat: Any, lines: int) -> str:
    """A session with so many lines in its context; its id."""
    session = str((await chat.answer("hello"))["sessionId"])
    action = Action(chat.daemon.company_id, "turn.run", "turn:x", system="runner")
    for at in range(0, lines - 2, 100):
        await chat.daemon.app.store.write(action, _fill, session, min(100, lines - 2 - at))
    return session


@pytest.mark.parametrize("lines", [MAX_READ - 2, MAX_READ - 1, MAX_READ, MAX_READ + 501])
async def test_a_context_of_very_many_lines_is_summed_up(talk: Any, lines: int) -> None:
    """Its newest lines count, however many there are before."""
    chat = await talk(_summary)
    await _long(chat, lines)
    for text, asked in (("what is new?", 1 if lines == MAX_READ - 2 else 2), ("and now?", None)):
        before = len(chat.model.requests)
        assert (await chat.answer(text))["outcome"]["text"] == "ok"
        assert asked in (None, len(chat.model.requests) - before)
        last = chat.model.requests[-1].messages[-1]
        assert last.content[-1] == Text(text)
    assert (await chat.get("/sessions/agent:ada:main"))["session"]["compactions"] == 1


async def test_a_tool_by_hand_is_called_once_in_a_long_session(talk: Any) -> None:
    chat = await talk(_summary)
    await chat.daemon.project()
    await _long(chat, MAX_READ + 10)
    body = {"tool": "task_create", "args": {"title": "once"}, "sessionKey": "agent:ada:main"}
    reply = await chat.daemon.owner.post("/tools/invoke", json=body)
    assert reply.status_code == 200, reply.text
    assert [task["title"] for task in (await chat.get("/tasks"))["tasks"]] == ["once"]


async def test_an_overflow_is_summed_up_and_asked_once_more(talk: Any) -> None:
    chat = await talk("one", "two")
    await chat.answer("a " * 45_000)
    await chat.answer("b " * 45_000)
    count = len(chat.model.requests)
    chat.model.then(failure(Fault.OVERFLOW), "a summary", "fits now")
    turn = await chat.answer("c")
    assert (turn["outcome"]["text"], len(chat.model.requests) - count) == ("fits now", 3)
    chat.model.then(failure(Fault.OVERFLOW))
    turn = await chat.answer("d")
    assert turn["outcome"]["error"] == "model.overflow"


async def test_a_session_is_summed_up_by_hand(talk: Any) -> None:
    chat = await talk(_summary)
    await chat.answer("a " * 1_000)
    await chat.answer("b " * 1_000)
    reply = await chat.post("/sessions/agent:ada:main/compact", {})
    turn = await chat.ended(reply["turn"]["id"])
    assert (turn["state"], turn["outcome"]["compacted"]) == ("done", True)
    assert (await chat.get("/sessions/agent:ada:main"))["session"]["compactions"] == 1
    assert len(await chat.thread()) == 4, "no message was made for it"
    reply = await chat.post("/sessions/agent:ada:main/compact", {})
    assert (await chat.ended(reply["turn"]["id"]))["state"] == "done"


async def test_options_reach_the_model(talk: Any) -> None:
    chat = await talk(Say("ok"))
    options = {"instructions": "Answer in Latin.", "thinking": "low", "maxOutputTokens": 50,
               "temperature": 0.5}  # fmt: skip
    await chat.answer("hi", options=options)
    (request,) = chat.model.requests
    assert "Answer in Latin." in request.system
    assert (request.thinking, request.max_output_tokens, request.temperature) == ("low", 50, 0.5)


@pytest.mark.parametrize("mode", ["steer", "collect", "interrupt"])
async def test_a_summary_by_hand_swallows_no_message(talk: Any, mode: str) -> None:
    """Whatever the session does with messages: each is answered, and the summary made."""
    chat = await talk(Hang("first"), _summary)
    body = {"queueMode": mode}
    first = await chat.say("begin")
    await chat.model.hanging.wait()
    reply = await chat.daemon.owner.patch(
        "/api/v1/sessions/agent:ada:main", json=body, headers=key()
    )
    assert reply.status_code == 200, reply.text
    summary = (await chat.post("/sessions/agent:ada:main/compact", {}))["turn"]["id"]
    last = await chat.say("please answer me", mode="collect")
    chat.model.release()
    ended = [await chat.ended(turn) for turn in (first, summary, last)]
    assert [turn["state"] for turn in ended] == ["done"] * 3
    assert "compacted" in ended[1]["outcome"]
    assert (ended[0]["outcome"]["text"], ended[2]["outcome"]["text"]) == ("first", "ok")
