"""Tasks, cost, tools, agents and their files, notes (gateway contract, 6, 8)."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from homarus.testing.daemon import Daemon, key
from tests.gateway.ws.client import Client, joined
from tests.gateway.ws.conftest import ONE_LOOP
from tests.gateway.ws.talking import over, said, talking

pytestmark = ONE_LOOP
Doc = dict[str, Any]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def talked(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Daemon, Client]]:
    async with talking(tmp_path_factory.mktemp("crew") / "home", "Yes.") as (ask, client):
        yield ask.daemon, client


@pytest.fixture
def crew_daemon(talked: tuple[Daemon, Client]) -> Daemon:
    return talked[0]


@pytest.fixture
def crew(talked: tuple[Daemon, Client]) -> Client:
    """A client of a daemon that runs the agent `ada`."""
    return talked[1]


async def task(daemon: Daemon, project: str, **body: Any) -> Doc:
    reply = await daemon.owner.post(
        "/api/v1/tasks/generate", headers=key(),
        json={"projectId": project, "taskType": "count", "inputJson": {"goal": "Count"},
              "allowUnderspecified": True} | body,
    )  # fmt: skip
    assert reply.status_code == 201, reply.text
    return dict(reply.json()["task"])


async def test_tasks(shared: Daemon) -> None:
    async with joined(shared) as client:
        assert await client.call("tasks.list") == {"tasks": []}
        project = await shared.project()
        first, second = await task(shared, project), await task(shared, project)
        told = await client.event("task", lambda p: p["task"]["id"] == second["id"])
        assert (told["action"], told["task"]["status"]) == ("upserted", "queued")
        listed = await client.call("tasks.list")
        assert [row["id"] for row in listed["tasks"]] == [second["id"], first["id"]]
        page = await client.call("tasks.list", {"limit": 1})
        rest = await client.call("tasks.list", {"limit": 1, "cursor": page["nextCursor"]})
        assert [row["id"] for row in rest["tasks"]] == [first["id"]]
        number = listed["tasks"][0]["taskId"]
        assert (await client.call("tasks.get", {"taskId": number}))["task"] == told["task"]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"status": "queued"}, True),
        ({"status": ["running", "queued"]}, True),
        ({"status": "completed"}, False),
        ({"status": "timed_out"}, False),
        ({"sessionKey": "main"}, False),
        ({"metadata": {"a": 1}}, False),
        ({"limit": 0}, True),
    ],
)
async def test_which_tasks(shared: Daemon, params: Doc, found: bool) -> None:
    async with joined(shared) as client:
        await task(shared, await shared.project())
        assert bool((await client.call("tasks.list", params))["tasks"]) is found


@pytest.mark.parametrize(
    ("method", "params", "says"),
    [
        ("tasks.list", {"status": "odd"}, "at /status"),
        ("tasks.list", {"cursor": "x"}, "at cursor"),
        ("tasks.list", {"agentId": "nobody"}, "no agent 'nobody'"),
        ("tasks.get", {"taskId": "T-999"}, "T-999"),
        ("tasks.get", {}, "taskId"),
        ("usage.cost", {"startDate": "2026-01-01", "endDate": "soon"}, "YYYY-MM-DD"),
        ("usage.cost", {"startDate": "2026-01-02", "endDate": "2026-01-01"}, "at endDate"),
        ("usage.cost", {"startDate": "2020-01-01", "endDate": "2026-01-01"}, "at endDate"),
        ("sessions.usage", {"startDate": "soon"}, "at startDate"),
        ("sessions.usage", {"agentId": "nobody"}, "no agent 'nobody'"),
        ("agents.files.get", {"agentId": "nobody", "name": "SOUL.md"}, "no agent 'nobody'"),
        ("agents.files.get", {"agentId": "ada", "name": "../x"}, "unsupported file"),
        ("agents.files.set", {"agentId": "ada", "name": "x.md", "content": ""}, "unsupported file"),
        ("agents.create", {"name": " "}, "needs a name"),
        ("agents.create", {"name": "x", "workspace": "/tmp"}, "`workspace` is not offered"),
        ("agents.delete", {"agentId": "nobody"}, "no agent 'nobody'"),
        ("tools.effective", {"sessionKey": "agent:nobody:main"}, "no agent 'nobody'"),
        ("tools.invoke", {"name": "exec"}, "no tool 'exec'"),
        ("tools.invoke", {"name": ""}, "no tool is named"),
        ("chat.inject", {"sessionKey": "agent:nobody:main", "message": "x"}, "no agent 'nobody'"),
    ],
)
async def test_what_is_refused(shared: Daemon, method: str, params: Doc, says: str) -> None:
    async with joined(shared) as client:
        assert says in (await client.error(method, params))["message"]


async def test_small_answers(shared: Daemon) -> None:
    async with joined(shared) as client:
        own = await client.call("gateway.identity.get")
        assert len(own["deviceId"]) == 64 and len(own["publicKey"]) == 43
        assert own == await client.call("gateway.identity.get")
        assert await client.call("voicewake.get") == {"triggers": []}
        assert (await client.call("tts.status"))["enabled"] is False
        assert (await client.call("usage.status"))["providers"] == []


async def test_cost_by_day(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        none = await client.call("usage.cost")
        assert (none["days"], none["daily"], none["totals"]["totalTokens"]) == (30, [], 0)
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        spent = await client.call("usage.cost", {"days": 1})
        (day,) = spent["daily"]
        assert day["totalTokens"] == spent["totals"]["totalTokens"] > 0
        mine = await client.call("usage.cost", {"range": "7d", "agentId": "ada"})
        assert (mine["days"], mine["daily"]) == (7, spent["daily"])
        rows = await client.call("sessions.usage", {"agentId": "ada"})
        assert [row["key"] for row in rows["sessions"]] == ["agent:ada:main"]
        past = {"startDate": "2020-01-01", "endDate": "2020-12-31"}
        none = await client.call("sessions.usage", past)
        assert (none["sessions"], none["startDate"]) == ([], "2020-01-01")
        assert (await client.call("usage.cost", past))["daily"] == []


async def test_a_tool_by_hand(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        offered = await client.call("tools.effective", {"sessionKey": "main"})
        names = [tool["id"] for tool in offered["groups"][0]["tools"]]
        assert offered["agentId"] == "ada" and "time_now" in names
        asked = {"name": "time_now", "idempotencyKey": "i1"}
        done = await client.call("tools.invoke", asked)
        assert (done["ok"], done["toolName"]) == (True, "time_now")
        assert done["output"]["content"][0]["text"]
        assert await client.call("tools.invoke", asked) == done
        failed = await client.call("tools.invoke", {"name": "fly"})
        assert (failed["ok"], failed["error"]["code"]) == (False, "tool.unknown")


async def test_a_note_that_nobody_answers(tmp_path: Path) -> None:
    async with talking(tmp_path / "home", "Yes.") as (_, client):
        note = {"sessionKey": "main", "message": "Mind the gap."}
        assert "no session" in (await client.error("chat.inject", note))["message"]
        await client.call("chat.send", said("Hi", "k1"))
        await over(client, "k1")
        done = await client.call("chat.inject", note | {"label": "Ops"})
        page = await client.call("chat.history", {"sessionKey": "main"})
        last = page["messages"][-1]
        assert last["__openclaw"]["id"] == done["messageId"]
        assert last["content"] == [{"type": "text", "text": "[Ops]\n\nMind the gap."}]
        assert len(page["messages"]) == 3
        for message in (" ", "x" * 20_001):
            error = await client.error("chat.inject", note | {"message": message})
            assert error["message"].startswith("unusable note")


# -- agents and their files ----------------------------------------------------------------


async def test_an_agent_is_made_renamed_and_removed(crew: Client) -> None:
    made = await crew.call("agents.create", {"name": "Bo Lee", "model": "fast"})
    assert (made["agentId"], made["name"], made["model"]) == ("bo-lee", "Bo Lee", "fast")
    assert made["workspace"].endswith("/workspace")
    assert "called bo-lee already" in (await crew.error(
        "agents.create", {"name": "bo lee"}))["message"]  # fmt: skip
    changed = await crew.call("agents.update", {"agentId": "bo-lee", "name": "Bo"})
    assert changed == {"ok": True, "agentId": "bo"}
    assert await crew.call("agents.update", {"agentId": "bo", "model": None})
    assert await crew.call("agents.update", {"agentId": "bo"}) == changed
    assert [row["id"] for row in (await crew.call("agents.list"))["agents"]] == ["ada", "bo"]
    error = await crew.error("agents.delete", {"agentId": "bo", "deleteFiles": True})
    assert error["code"] == "UNAVAILABLE"
    gone = await crew.call("agents.delete", {"agentId": "bo"})
    assert gone == {"ok": True, "agentId": "bo", "removedBindings": 0, "removed": []}


async def test_files_of_an_agent(crew: Client) -> None:
    listed = await crew.call("agents.files.list", {"agentId": "ada"})
    assert len(listed["files"]) == 8 and all(row["missing"] for row in listed["files"])
    new = {"agentId": "ada", "name": "HEARTBEAT.md", "content": "Water the plants."}
    done = await crew.call("agents.files.set", new | {"expectedMissing": True})
    digest = hashlib.sha256(new["content"].encode()).hexdigest()
    assert (done["ok"], done["file"]["hash"]) == (True, digest)
    shown = await crew.call("agents.files.get", {"agentId": "ada", "name": "HEARTBEAT.md"})
    assert shown["file"] == done["file"] and shown["file"]["content"] == new["content"]
    other = new | {"content": "Rest."}
    for wrong in ({"expectedMissing": True}, {"expectedHash": "0" * 64}):
        error = await crew.error("agents.files.set", other | wrong)
        assert error["details"]["code"] == "workspace.changed"
    moved = await crew.error("agents.files.set", other | {"expectedWorkspace": "/tmp"})
    assert moved["details"]["code"] == "workspace.changed"
    assert (await crew.call("agents.files.set", other | {"expectedHash": digest}))["ok"]


@pytest.mark.parametrize("name", ["AGENTS.md", "SOUL.md"])
async def test_the_rules_are_no_file_to_write(crew: Client, name: str) -> None:
    error = await crew.error(
        "agents.files.set", {"agentId": "ada", "name": name, "content": "Obey."}
    )
    assert error["details"]["code"] == "document.governed"
    assert "homarus change new" in error["message"]


async def test_each_memory_is_kept_as_a_row(crew: Client, crew_daemon: Daemon) -> None:
    await remember(crew, "First.")
    await remember(crew, "Second.")
    rows = await crew_daemon.app.store.read(
        lambda rx: rx.all("select content from agent_memory_entry order by no")
    )
    assert [row[0] for row in rows] == ["First.", "Second."]


async def remember(client: Client, text: str) -> None:
    given = {"agentId": "ada", "name": "MEMORY.md", "content": text}
    await client.call("agents.files.set", given)
