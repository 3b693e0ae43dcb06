"""Sessions, approvals, jobs, lists as this wire has them (gateway contract, 7 to 9)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key
from tests.gateway.asking import asking
from tests.gateway.ws.client import Client, Device, joined
from tests.gateway.ws.conftest import ONE_LOOP
from tests.gateway.ws.talking import over, said, talking

pytestmark = ONE_LOOP
MAIN = "agent:ada:main"


async def spoken(client: Client, text: str = "Hi", run: str = "k1", **more: Any) -> None:
    await client.call("chat.send", said(text, run, **more))
    await over(client, run)


# -- sessions ------------------------------------------------------------------------------


async def test_sessions_are_listed_and_read(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        listed = await client.call("sessions.list")
        assert (listed["count"], listed["sessions"], listed["hasMore"]) == (0, [], False)
        await spoken(client)
        await spoken(client, "Hello", "k2", session="agent:ada:room:7")
        listed = await client.call(
            "sessions.list", {"includeDerivedTitles": True, "includeLastMessage": True}
        )
        rows = {row["key"]: row for row in listed["sessions"]}
        assert rows.keys() == {MAIN, "agent:ada:room:7"}
        row = rows[MAIN]
        assert (row["status"], row["agentId"], row["hasActiveRun"]) == ("done", "ada", False)
        assert (row["derivedTitle"], row["lastMessagePreview"]) == ("Hi", "Yes.")
        page = await client.call("sessions.list", {"limit": 1})
        assert (page["count"], page["totalCount"], page["nextOffset"]) == (1, 2, 1)
        found = await client.call("sessions.list", {"search": "ROOM"})
        assert [row["key"] for row in found["sessions"]] == ["agent:ada:room:7"]

        shown = await client.call("sessions.preview", {"keys": ["main", "nobody"]})
        assert [(p["status"], len(p["items"])) for p in shown["previews"]] == [
            ("ok", 2), ("missing", 0),
        ]  # fmt: skip
        assert (await client.call("sessions.describe", {"key": MAIN}))["session"]["key"] == MAIN
        assert (await client.call("sessions.describe", {"key": "x"}))["session"] is None
        for words in ({"key": "main"}, {"sessionId": row["sessionId"]}, {"reference": "main"}):
            assert (await client.call("sessions.resolve", words))["key"] == MAIN
        error = await client.error("sessions.resolve", {"key": "nobody"})
        assert error["message"] == "No session found: nobody"
        hits = await client.call("sessions.search", {"query": "hello"})
        assert [hit["key"] for hit in hits["results"]] == ["agent:ada:room:7"]
        assert (await client.call("sessions.usage"))["totals"]["totalTokens"] > 0


async def test_history_in_pages(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        for n in range(3):
            await spoken(client, f"line {n}", f"k{n}")
        whole = await client.call("chat.history", {"sessionKey": "main"})
        assert [m["role"] for m in whole["messages"]] == ["user", "assistant"] * 3
        assert whole["messages"][0]["__openclaw"]["seq"] == 1 and whole["hasMore"] is False
        page = await client.call("chat.history", {"sessionKey": "main", "limit": 2})
        assert page["messages"][0]["content"] == "line 2" and page["hasMore"]
        back = await client.call("chat.history", {"sessionKey": "main", "limit": 2, "offset": 4})
        assert back["messages"][0]["content"] == "line 0"
        cut = await client.call("chat.history", {"sessionKey": "main", "maxChars": 4})
        assert cut["messages"][0]["content"] == "line…"
        one = {"sessionKey": "main", "messageId": whole["messages"][1]["__openclaw"]["id"]}
        assert (await client.call("chat.message.get", one))["message"]["role"] == "assistant"
        none = await client.call("chat.history", {"sessionKey": "agent:nobody:main"})
        assert none["messages"] == []
        startup = await client.call("chat.startup", {"sessionKey": "main", "maxBytes": 1})
        assert (startup["messages"], startup["hasMore"]) == ([], True)


async def test_what_came_since(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):

        async def since(cursor: str) -> dict[str, Any]:
            asked = {"sessionKey": "main", "cursor": cursor, "inputRunIds": ["k0", "k1", "none"]}
            found: dict[str, Any] = await client.call("chat.history", asked)
            return found

        await spoken(client, "line 0", "k0")
        first = (await client.call("chat.history", {"sessionKey": "main"}))["deltaCursor"]
        assert (await since(first))["messages"] == []
        await spoken(client, "line 1", "k1")
        delta = await since(first)
        assert (delta["kind"], [m["messageSeq"] for m in delta["messages"]]) == ("delta", [3, 4])
        said = delta["messages"][0]["message"]
        assert (said["idempotencyKey"], said["__openclaw"]["runId"]) == ("k1:user", "k1")
        assert [(r["runId"], r["state"]) for r in delta["inputReceipts"]] == [
            ("k0", "consumed"), ("k1", "consumed"),
        ]  # fmt: skip
        assert delta["inputReceipts"][1]["consumedByEventId"] == delta["messages"][0]["messageId"]
        assert (await since(delta["deltaCursor"]))["messages"] == []
        await client.call("sessions.reset", {"key": "main"})
        assert await since(first) == {"kind": "reset"}
        await spoken(client, "line 2", "k2")
        assert await since(first) == {"kind": "reset"}
        for bad in ("x", f"{first}0000000000000000", ":1"):
            await client.error("chat.history", {"sessionKey": "main", "cursor": bad})


async def test_a_session_is_made_changed_and_ended(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        made = await client.call("sessions.create", {"label": "Plans", "message": "Hi"})
        assert made["key"].startswith("agent:ada:dashboard:") and made["runStarted"]
        await over(client, made["runId"])
        key_ = made["key"]
        patched = await client.call("sessions.patch", {"key": key_, "thinkingLevel": "low"})
        assert (patched["entry"]["label"], patched["entry"]["thinkingLevel"]) == ("Plans", "low")
        cleared = await client.call("sessions.patch", {"key": key_, "thinkingLevel": None})
        assert "thinkingLevel" not in cleared["entry"]
        other = await client.call("sessions.create", {"key": "other"})
        error = await client.error("sessions.patch", {"key": other["key"], "label": "Plans"})
        assert error["message"] == "label already in use: Plans"
        await client.call("sessions.send", {"key": key_, "message": "More", "idempotencyKey": "k"})
        await over(client, "k")
        again = await client.call("sessions.reset", {"key": key_})
        assert again["entry"]["sessionId"] != made["sessionId"]
        assert again["entry"]["label"] == "Plans"
        gone = await client.call("sessions.delete", {"key": key_})
        assert gone["deleted"] is True
        assert (await client.call("sessions.delete", {"key": key_}))["deleted"] is False
        error = await client.error("sessions.delete", {"key": "main"})
        assert "main session" in error["message"]
        nothing = await client.call("sessions.abort", {"key": other["key"]})
        assert nothing["status"] == "no-active-run"


async def test_news_of_sessions_go_to_those_who_asked(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (ask, client), joined(ask.daemon) as plain:
        assert await client.call("sessions.subscribe") == {"subscribed": True}
        asked = await client.call("sessions.messages.subscribe", {"key": "main"})
        assert asked == {"subscribed": True, "key": MAIN}
        await spoken(client)
        told = await client.event("session.message", lambda p: p["message"]["role"] == "assistant")
        assert (told["sessionKey"], told["messageSeq"]) == (MAIN, 2)
        changed = await client.event("sessions.changed", lambda p: p["reason"] == "send")
        assert changed["session"]["key"] == MAIN
        await over(plain, "k1")
        assert not {e["event"] for e in plain.events} & {"session.message", "sessions.changed"}


async def test_a_session_is_summed_up(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        empty = await client.call("sessions.compact", {"key": "main"})
        assert (empty["compacted"], empty["reason"]) == (False, "no sessionId")
        await spoken(client)
        done = await client.call("sessions.compact", {"key": "main"})
        assert done["ok"] is True and "compacted" in done
        error = await client.error("sessions.compact", {"key": "main", "maxLines": 3})
        assert error["code"] == "UNAVAILABLE"


# -- approvals -----------------------------------------------------------------------------

COMMAND = {"command": "rm -rf build", "cwd": "/work", "host": "gateway"}


@pytest.mark.parametrize(("word", "told"), [("allow-once", "allow-once"), ("deny", "deny")])
async def test_an_approval_is_asked_for_and_answered(shared: Daemon, word: str, told: str) -> None:
    async with joined(shared, device=Device(1)) as asker, joined(shared) as owner:
        waiting = await asker.send("exec.approval.request", COMMAND | {"id": word})
        asked = await owner.event("exec.approval.requested")
        assert asked["request"]["command"] == COMMAND["command"]
        (row,) = await owner.call("exec.approval.list")
        assert row["id"] == asked["id"]
        shown = await owner.call("exec.approval.get", {"id": asked["request"]["number"]})
        assert (shown["status"], shown["decision"]) == ("pending", None)
        answer = {"id": asked["id"], "decision": word}
        error = await asker.error("exec.approval.resolve", answer)
        assert error["code"] == "FORBIDDEN"  # who asked never answers
        assert await owner.call("exec.approval.resolve", answer) == {"ok": True}
        assert (await asker.reply(waiting))["payload"]["decision"] == told
        resolved = await asker.event("exec.approval.resolved", lambda p: p["id"] == asked["id"])
        assert (resolved["decision"], resolved["resolvedBy"]) == (told, "gateway")
        late = await owner.error("exec.approval.resolve", answer)
        assert late["details"]["code"] == "approval.decided"
        known = await asker.call("exec.approval.waitDecision", {"id": asked["id"]})
        assert known["decision"] == told


async def test_an_approval_that_nobody_answers(shared: Daemon) -> None:
    async with joined(shared, device=Device(1)) as asker:
        params = COMMAND | {"timeoutMs": 1_000, "twoPhase": True, "id": "slow"}
        id_ = await asker.send("exec.approval.request", params)
        first = (await asker.reply(id_))["payload"]
        assert first["status"] == "accepted"
        final = (await asker.reply(id_))["payload"]
        assert (final["id"], final["decision"]) == (first["id"], None)


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("exec.approval.resolve", {"id": "x", "decision": "deny"}, "unknown or expired"),
        ("exec.approval.resolve", {"id": "x", "decision": "maybe"}, "at decision"),
        ("exec.approval.get", {"id": "A-999"}, "unknown or expired"),
        ("exec.approval.request", {}, "must have required property 'command'"),
        *(
            (
                "exec.approval.request",
                {"command": "a", "commandArgv": ["a"], "nodeId": "x", "host": "node"} | plan,
                "systemRunPlan",
            )
            for plan in (
                {},
                {"systemRunPlan": None},
                {"systemRunPlan": {}},
                {"systemRunPlan": {"argv": "a"}},
                {"systemRunPlan": {"argv": ["a"], "cwd": 1}},
            )
        ),
        (
            "exec.approval.request",
            {"command": "a", "host": "node", "systemRunPlan": {"argv": ["a"]}},
            "nodeId",
        ),
    ],
)
async def test_approvals_that_are_none(
    shared: Daemon, method: str, params: dict[str, Any], words: str
) -> None:
    async with joined(shared) as client:
        error = await client.error(method, params)
        assert (error["code"], words in error["message"]) == ("INVALID_REQUEST", True)
        if "unknown" in words:
            assert error["details"]["reason"] == "APPROVAL_NOT_FOUND"


async def test_a_question_of_the_dashboards_is_answered_here(shared: Daemon) -> None:
    async with joined(shared) as owner:
        body = {"capability": "fs.write", "actionType": "custom", "target": "host:x",
                "payloadHash": "00" * 32, "rationale": "why not"}  # fmt: skip
        agent = await shared.agent("zoe")
        reply = await shared.company.post(
            "/api/v1/approvals", json=body | {"requesterAgentId": agent}, headers=key()
        )
        assert reply.status_code == 201, reply.text
        number = reply.json()["approval"]["number"]
        assert number in [row["request"]["number"] for row in
                          await owner.call("exec.approval.list")]  # fmt: skip
        assert await owner.call("exec.approval.resolve", {"id": number, "decision": "deny"})
        shown = (await shared.owner.get(f"/api/v1/approvals/{number}")).json()
        assert shown["approval"]["status"] == "rejected"


# -- lists ---------------------------------------------------------------------------------


async def test_jobs_are_those_of_the_control_plane(shared: Daemon) -> None:
    project = await shared.project()
    body = {"name": "Weekly report", "taskType": "report", "cronExpression": "0 9 * * 1"}
    path = f"/api/v1/projects/{project}/recurring-tasks"
    reply = await shared.owner.post(path, json=body, headers=key())
    assert reply.status_code == 201, reply.text
    async with joined(shared) as client:
        listed = await client.call("cron.list", {"includeDisabled": True})
        (job,) = listed["jobs"]
        assert isinstance(listed["snapshotRevision"], str) and listed["total"] == 1
        assert (job["name"], job["schedule"]) == (
            "Weekly report", {"kind": "cron", "expr": "0 9 * * 1", "tz": "UTC"},
        )  # fmt: skip
        assert (await client.call("cron.get", {"id": job["id"]})) == job
        status = await client.call("cron.status")
        assert (status["jobs"], status["enabled"]) == (1, True)
        assert status["nextWakeAtMs"] == job["state"]["nextRunAtMs"]
        error = await client.error("cron.get", {"id": "nothing"})
        assert error["details"] == {"code": "CRON_JOB_NOT_FOUND", "jobId": "nothing"}


async def test_there_is_no_channel(shared: Daemon) -> None:
    async with joined(shared) as client:
        assert (await client.call("channels.status"))["channels"] == {}
        send = {"to": "1", "message": "x", "idempotencyKey": "k", "channel": "telegram"}
        action = {"action": "send", "params": {}, "idempotencyKey": "k", "channel": "telegram"}
        for method, params in (("send", send), ("message.action", action)):
            error = await client.error(method, params)
            assert error["code"] == "INVALID_REQUEST"
            assert "channel not configured: telegram" in error["message"]


async def test_agents_and_models(tmp_path: Path) -> None:
    async with asking(tmp_path / "home", "Yes.", agents=("Ada B", "main")) as ask:
        model = {"name": "default", "dialect": "openai", "baseUrl": "http://127.0.0.1:9/v1",
                 "model": "gpt-x"}  # fmt: skip
        reply = await ask.client.post("/api/v1/models", json=model, headers=key())
        assert reply.status_code < 300, reply.text
        async with joined(ask.daemon) as client:
            listed = await client.call("agents.list")
            assert listed["defaultId"] == "main"
            assert [row["id"] for row in listed["agents"]] == ["ada-b", "main"]
            (row,) = (await client.call("models.list"))["models"]
            assert (row["id"], row["provider"], row["contextWindow"]) == (
                "gpt-x", "default", 128_000,
            )  # fmt: skip
            assert (await client.call("models.list", {"provider": "x"}))["models"] == []
            who = await client.call("agent.identity.get", {"agentId": "ada-b"})
            assert (who["agentId"], who["name"]) == ("ada-b", "Ada B")
            assert client.hello["snapshot"]["sessionDefaults"]["mainSessionKey"] == (
                "agent:main:main"
            )


async def test_what_else_can_be_read(shared: Daemon) -> None:
    async with joined(shared) as client:
        status = await client.call("status")
        assert status["sessions"]["defaults"]["contextTokens"] > 0 and "byStatus" in status["tasks"]
        assert await client.call("last-heartbeat") is None
        assert (await client.call("skills.status"))["skills"] == []
        assert "groups" in await client.call("tools.catalog")
        words = (await client.call("commands.list"))["commands"]
        assert words and (await client.call("chat.metadata")) == {"models": [], "commands": words}
        assert (await client.call("system.info"))["pid"]
        assert (await client.call("diagnostics.lanes")) == {"lanes": []}
        assert (await client.call("models.authStatus"))["providers"] == []
        assert (await client.call("node.list"))["nodes"] == []
        assert (await client.call("node.pair.list")) == {"pending": [], "paired": []}
        assert (await client.call("exec.approvals.get"))["file"]["version"] == 1
        config = await client.call("config.get")
        assert config["valid"] is True and config["config"]["gateway"]["port"] == 18_789
        schema = await client.call("config.schema")
        assert "gateway" in schema["schema"]["properties"]
        one = await client.call("config.schema.lookup", {"path": "gateway.port"})
        assert (one["schema"]["type"], one["reloadKind"]) == ("integer", "restart")
        above = await client.call("config.schema.lookup", {"path": "gateway"})
        assert {
            "key": "port",
            "path": "gateway.port",
            "required": False,
            "hasChildren": False,
            "reloadKind": "restart",
        } in above["children"]
        await client.error("config.schema.lookup", {"path": "odd"})
        assert await client.call("system-event", {"text": "Node: x", "host": "x"}) == {"ok": True}
        assert (await client.call("system-presence"))[-1]["text"] == "Node: x"


async def test_the_log_is_followed(shared: Daemon) -> None:
    log = shared.app.settings.home / "logs" / "homarus.log"
    async with joined(shared) as client:
        log.write_text("one\ntwo\nthr")
        first = await client.call("logs.tail")
        assert (first["lines"], first["cursor"], first["size"]) == (["one", "two"], 8, 11)
        await asyncio.to_thread(log.write_text, "one\ntwo\nthree\n")
        more = await client.call("logs.tail", {"cursor": first["cursor"]})
        assert (more["lines"], more["cursor"]) == (["three"], 14)
        log.write_text("new\n")
        again = await client.call("logs.tail", {"cursor": 14})
        assert (again["lines"], again["reset"]) == (["new"], True)
        last = await client.call("logs.tail", {"limit": 1, "maxBytes": 3})
        assert last["lines"] == []
        error = await client.error("logs.tail", {"cursor": -1})
        assert "at /cursor: must be >= 0" in error["message"]


async def test_the_daemons_own_things_are_not_for_one_company(shared: Daemon) -> None:
    reply = await shared.owner.post("/api/v1/companies", json={"name": "Other"}, headers=key())
    company = reply.json()["company"]["id"]
    named = {"X-Homarus-Company": company}
    body = {"name": "theirs", "kind": "operator", "role": "owner"}
    token = (await shared.owner.post("/api/v1/tokens", json=body, headers=named)).json()["secret"]
    async with joined(shared, token) as client:
        assert (await client.call("agents.list"))["agents"] == []
        for method in ("logs.tail", "config.get"):
            assert (await client.error(method, {}))["code"] == "FORBIDDEN"
