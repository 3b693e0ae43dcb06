"""Talking to an agent (gateway contract, 5.1, 5.2, 6): runs, their events, their ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.port import Fault
from homarus.agents.scripted import Say
from homarus.testing.scripted_model import Hang, failure
from tests.gateway.asking import asking
from tests.gateway.ws.client import Device, joined
from tests.gateway.ws.talking import chat_of, over, said, streams_of, talking

TERMINAL = ("final", "aborted", "error")


def whole(events: list[dict[str, Any]]) -> None:
    """Numbers from 1 without a gap; one terminal state, the last."""
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))


async def test_a_message_is_answered_in_events(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Hello Mia.") as (ask, client):
        assert await client.call("chat.send", said("Hi", "k1")) == {
            "runId": "k1", "status": "started",
        }  # fmt: skip
        final = await over(client, "k1")
        assert final["state"] == "final" and final["sessionKey"] == "agent:ada:main"
        assert final["message"]["content"] == [{"type": "text", "text": "Hello Mia."}]
        assert final["usage"]["output"] > 0
        deltas = [e for e in chat_of(client, "k1") if e["state"] == "delta"]
        assert "".join(e["deltaText"] for e in deltas) == "Hello Mia."
        assert deltas[-1]["message"]["content"][0]["text"] == "Hello Mia."
        events = streams_of(client, "k1")
        whole(events)
        assert events[0]["data"]["phase"] == "start"
        assert events[-1]["data"]["phase"] == "end"
        assert events[-1]["data"]["terminalReply"] == {"disposition": "text", "text": "Hello Mia."}
        assert {e["stream"] for e in events} == {"lifecycle", "assistant"}
        (turn,) = await ask.turns()
        assert (turn["text"], turn["origin"], turn["state"]) == ("Hi", "chat", "done")


async def test_the_same_key_says_it_once(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("Well"), "Again") as (ask, client):
        await client.call("chat.send", said("Hi", "k1"))
        await asyncio.wait_for(ask.model.hanging.wait(), 10)
        again = await client.call("chat.send", said("Hi", "k1"))
        assert again == {"runId": "k1", "status": "in_flight"}
        ask.model.release()
        await over(client, "k1")
        again = await client.call("chat.send", said("Hi", "k1"))
        assert again == {"runId": "k1", "status": "ok"}
        assert len(await ask.turns()) == 1


async def test_everybody_who_may_read_hears_it(tmp_path: Path) -> None:
    async with (
        talking(tmp_path / "home", "Yes.") as (ask, client),
        joined(ask.daemon, scopes=("operator.read",)) as reader,
        joined(ask.daemon, scopes=("operator.approvals",)) as other,
        joined(ask.daemon, ask.daemon.company_token) as company,
    ):
        await client.call("chat.send", said("Hi", "k1"))
        await over(reader, "k1")
        whole(streams_of(reader, "k1"))
        assert sum(e["state"] in TERMINAL for e in chat_of(reader, "k1")) == 1
        for deaf in (other, company):
            await deaf.call("health", {"probe": True})
            assert {e["event"] for e in deaf.events} <= {"health", "tick"}


async def test_what_came_by_another_road_is_told_too(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client):
        await ask.respond("Hi", user="mia")
        final = await client.event("chat", lambda p: p["state"] == "final")
        assert final["sessionKey"] == "agent:ada:openresponses-user:mia"


async def test_tools_are_told_to_those_who_ask(tmp_path: Path) -> None:
    calls = Say("Let me look.", (("time_now", {}),))
    async with (
        talking(tmp_path / "home", calls, "It is late.", hello={"caps": ["tool-events"]}) as (
            ask, client,
        ),
        joined(ask.daemon) as plain,
    ):  # fmt: skip
        await client.call("chat.send", said("Time?", "k1"))
        for listener in (client, plain):
            await over(listener, "k1")
        tools = [e["data"] for e in streams_of(client, "k1") if e["stream"] == "tool"]
        assert [(t["phase"], t["name"]) for t in tools] == [
            ("start", "time_now"), ("result", "time_now"),
        ]  # fmt: skip
        assert tools[0]["args"] == {} and tools[1]["isError"] is False
        streams = {e["stream"] for e in streams_of(plain, "k1")}
        assert "tool" not in streams and "item" in streams
        whole(streams_of(client, "k1"))
        again = [e for e in chat_of(client, "k1") if e.get("replace")]
        assert again and again[0]["message"]["content"][0]["text"].startswith("It is")


async def test_a_run_is_ended(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("So far"), "Next.") as (_, client):
        nothing = await client.call("chat.abort", {"sessionKey": "main"})
        assert nothing == {"ok": True, "aborted": False, "runIds": []}
        await client.call("chat.send", said("Hi", "k1"))
        await client.event("chat", lambda p: p["state"] == "delta")
        ended = await client.call("chat.abort", {"sessionKey": "main", "runId": "k1"})
        assert ended == {"ok": True, "aborted": True, "runIds": ["k1"]}
        told = await over(client, "k1")
        assert (told["state"], told["stopReason"]) == ("aborted", "rpc")
        waited = await client.call("agent.wait", {"runId": "k1"})
        assert (waited["status"], waited["error"], waited["stopReason"]) == (
            "error", "aborted", "rpc",
        )  # fmt: skip
        await client.call("chat.send", said("Next", "k2"))
        assert (await over(client, "k2"))["state"] == "final"


async def test_another_client_ends_it(tmp_path: Path) -> None:
    async with (
        talking(tmp_path / "home", Hang("So far")) as (ask, client),
        joined(ask.daemon, device=Device(3)) as other,
    ):
        await client.call("chat.send", said("Hi", "k1"))
        await other.event("chat", lambda p: p["state"] == "delta")
        ended = await other.call("chat.abort", {"sessionKey": "main", "runId": "k1"})
        assert ended["runIds"] == ["k1"]


async def test_a_model_that_fails(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", failure(Fault.KEY)) as (_, client):
        await client.call("chat.send", said("Hi", "k1"))
        told = await over(client, "k1")
        assert told["state"] == "error" and told["errorMessage"] and told["errorKind"]
        reply = await client.raw_call("agent", {"message": "Hi", "idempotencyKey": "k2"})
        assert reply["payload"]["status"] == "accepted"
        final = await client.reply(reply["id"])
        assert final["ok"] is False and final["error"]["code"] == "UNAVAILABLE"
        assert final["payload"]["status"] == "error" and final["payload"]["runId"] == "k2"
        waited = await client.call("agent.wait", {"runId": "k2"})
        assert waited["status"] == "error" and waited["error"]


async def test_agent_answers_twice(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Four.") as (_, client):
        params = {"message": "2+2?", "idempotencyKey": "k1", "agentId": "ada"}
        id_ = await client.send("agent", params)
        first = (await client.reply(id_))["payload"]
        assert (first["runId"], first["status"], first["agentId"]) == ("k1", "accepted", "ada")
        final = (await client.reply(id_))["payload"]
        assert (final["status"], final["summary"]) == ("ok", "completed")
        assert final["result"]["payloads"] == [{"text": "Four.", "mediaUrl": None}]
        meta = final["result"]["meta"]
        assert meta["agentMeta"]["usage"]["total"] > 0 and meta["aborted"] is False
        again = await client.call("agent", params)
        assert again == final
        waited = await client.call("agent.wait", {"runId": "k1"})
        assert (waited["status"], waited["terminalReply"]["text"]) == ("ok", "Four.")


async def test_waiting_for_nobody_is_no_error(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("x")) as (_, client):
        assert await client.call("agent.wait", {"runId": "nobody", "timeoutMs": 0}) == {
            "runId": "nobody", "status": "timeout",
        }  # fmt: skip
        await client.call("chat.send", said("Hi", "k1"))
        waited = await client.call("agent.wait", {"runId": "k1", "timeoutMs": 50})
        assert waited["status"] == "timeout"


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("agent", {"message": "x", "idempotencyKey": "k", "agentId": "nope"},
         'invalid agent params: unknown agent id "nope"'),
        ("agent", {"message": "x", "idempotencyKey": "k", "sessionKey": "agent:bob:main"},
         'invalid agent params: unknown agent id "bob"'),
        ("agent", {"message": "x", "idempotencyKey": "k", "timeout": -1}, "at timeout: must be"),
        ("chat.send", said("x", "k", timeoutMs=-1), "at timeoutMs: must be"),
        ("agent", {"message": " ", "idempotencyKey": "k"}, "empty or too long"),
        ("agent", {"message": "x", "idempotencyKey": ""}, "unusable idempotency key"),
        ("agent", {"message": "x", "idempotencyKey": "k", "deliver": True, "channel": "telegram"},
         "channel not configured: telegram"),
        ("chat.send", said("x", "k", "agent:bob:main"), "bob"),
        ("chat.send", said("x", "k", "a b"), "no session key"),
        ("chat.send", said("x", "k", queueMode="odd"), "no mode 'odd'"),
        ("chat.send", said("x", "k", attachments=[{"mimeType": "image/png", "content": "AA=="}]),
         "is not the image/png that it says"),
        ("chat.send", said("x", "k", expectedExistingSessionId="x"), "not the one"),
    ],
)  # fmt: skip
async def test_what_cannot_be_said(
    tmp_path: Path, method: str, params: dict[str, Any], words: str
) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client):
        error = await client.error(method, params)
        assert error["code"] == "INVALID_REQUEST" and words in error["message"], error
        assert await ask.turns() == []


async def test_a_picture_comes_along(tmp_path: Path) -> None:
    png = "iVBORw0KGgo="
    async with talking(tmp_path / "home", "A cat.") as (ask, client):
        given = [{"type": "image", "mimeType": "image/png", "content": png}]
        await client.call("chat.send", said("What?", "k1", attachments=given))
        await over(client, "k1")
        text, picture = ask.model.requests[-1].messages[-1].content
        assert (text.text, picture.data) == ("What?", png)


async def test_lines_that_come_meanwhile_wait_their_turn(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("One"), "Two.") as (ask, client):
        await client.call("chat.send", said("First", "k1"))
        await client.event("chat", lambda p: p["state"] == "delta")
        await client.call("chat.send", said("Second", "k2"))
        history = await client.call("chat.history", {"sessionKey": "main"})
        assert [i["runId"] for i in history["pendingInputs"]["items"]] == ["k2"]
        ask.model.release()
        assert (await over(client, "k1"))["state"] == "final"
        assert (await over(client, "k2"))["message"]["content"][0]["text"] == "Two."


async def test_a_line_that_steers_is_folded_in(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", Hang("One"), "Both.") as (ask, client):
        await client.call("chat.send", said("First", "k1"))
        await client.event("chat", lambda p: p["state"] == "delta")
        await client.call("chat.send", said("Second", "k2", queueMode="steer"))
        ask.model.release()
        assert (await over(client, "k2")).keys() == {
            "runId", "sessionKey", "agentId", "seq", "state",
        }  # fmt: skip
        assert (await over(client, "k1"))["state"] == "final"


async def test_a_stop_is_said_at_once(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client):
        body = {"scope": "company", "reason": "fire"}
        assert (await ask.client.post("/api/v1/stops", json=body)).status_code < 300
        error = await client.error("agent", {"message": "Hi", "idempotencyKey": "k1"})
        assert error["code"] in ("UNAVAILABLE", "FORBIDDEN") and "fire" in error["message"]


async def test_a_run_outlives_its_client(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", Hang("x")) as ask:
        async with joined(ask.daemon) as client:
            id_ = await client.send("agent", {"message": "Hi", "idempotencyKey": "k1"})
            assert (await client.reply(id_))["payload"]["status"] == "accepted"
            await client.event("chat", lambda p: p["state"] == "delta")
        ask.model.release()
        async with joined(ask.daemon) as client:
            waited = await client.call("agent.wait", {"runId": "k1"})
            assert waited["status"] == "ok"


@pytest.mark.postgres
async def test_the_same_on_postgresql(tmp_path: Path, migrated_url: str) -> None:
    hello = {"device": Device(1)}
    async with talking(tmp_path / "home", "Yes.", store=migrated_url, hello=hello) as (_, client):
        await client.call("sessions.subscribe")
        await client.call("chat.send", said("Hi", "k1"))
        assert (await over(client, "k1"))["state"] == "final"
        history = await client.call("chat.history", {"sessionKey": "main"})
        assert history["totalMessages"] == 2
        kept = await client.call("sessions.patch", {"key": "main", "pinned": True})
        assert (kept["entry"]["pinned"], kept["entry"]["archived"]) == (True, False)
        await client.call("chat.send", said("/new", "k2"))
        again = await client.call("chat.send", said("/new", "k2"))
        assert again["status"] == "ok"
        (row,) = (await client.call("device.pair.list"))["paired"]
        assert row["connected"] is True
        for method in ("status", "tools.catalog", "exec.approvals.get", "cron.list", "models.list"):
            await client.call(method)
