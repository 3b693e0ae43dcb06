"""Who does the work, from the wire to the wire: a model, another daemon's gateway; and what cannot
be configured (design, 7)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.agents.endpoint import Dialect
from homarus.flows import first_start
from homarus.records import artifacts
from homarus.store.port import Rx
from homarus.tasks import sql
from homarus.tasks.model import State, Task
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.model_server import Call, ModelServer, Say
from tests.agents.test_wires_end_to_end import ada

WAIT_S = 60.0


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home") as made:
        yield made


async def new_task(daemon: Daemon, title: str) -> str:
    body = {"projectId": await daemon.project(), "taskType": "test", "title": title,
            "allowUnderspecified": True}  # fmt: skip
    reply = await daemon.owner.post("/api/v1/tasks", json=body, headers=key())
    assert reply.status_code == 201, reply.text
    return str(reply.json()["task"]["id"])


def _task(rx: Rx, company: str, task: str) -> Task:
    return sql.need(rx, company, task)


async def until(daemon: Daemon, task: str, good: Callable[[Task], bool]) -> Task:
    changed = asyncio.Event()
    undo = daemon.app.store.listen(lambda _: changed.set())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                changed.clear()
                row = await daemon.app.store.read(_task, daemon.company_id, task)
                if good(row):
                    return row
                await changed.wait()
    finally:
        undo()


async def over(daemon: Daemon, task: str) -> tuple[State, Any]:
    """Its state and output, once nobody works on it."""
    waits = (State.QUEUED, State.IN_PROGRESS)
    row = await until(daemon, task, lambda row: row.state not in waits)
    result = await daemon.app.store.read(sql.result_of, task)
    return row.state, None if result is None else result.output


async def test_a_model_does_what_waited_for_it(daemon: Daemon) -> None:
    """Created before there is a model: it stays in the queue, and is done when there is one."""
    task = await new_task(daemon, "Write a report")
    keeps = Call("artifact_create", {"filename": "report.md", "kind": "report", "text": "# Ships"})
    with ModelServer(keeps, Say("The report is written.")) as provider:
        await daemon.owner.post(
            "/api/v1/agents", json={"name": "bob", "executor": "llm"}, headers=key()
        )
        assert (await until(daemon, task, lambda _: True)).state is State.QUEUED
        await ada(daemon, provider, Dialect.CHAT)
        state, output = await over(daemon, task)
        assert "Write a report" in provider.requests[0].system
    assert (state, output["text"]) == (State.DONE, "The report is written.")
    ((kind, made),) = await daemon.app.store.read(artifacts.of_task, task)
    assert (kind, output["artifacts"]) == ("report", [made])
    content = await daemon.owner.get(f"/api/v1/artifacts/{made}/download")
    assert content.content == b"# Ships"


async def test_another_daemons_gateway_does_it(daemon: Daemon, tmp_path: Path) -> None:
    async with running(tmp_path / "other", max_task_turns=0) as other:
        with ModelServer(Say("Seven ships.", usage=(30, 4))) as provider:
            await ada(other, provider, Dialect.CHAT)
            place = other.url.removeprefix("http://")
            secret = {
                "scopeType": "company", "resourceType": "secret", "provider": "own",
                "name": "other",
                "secretText": other.app.home_facts.secrets[first_start.GATEWAY.file],
                "configText": f'{{"hosts": ["{place}"]}}',
            }  # fmt: skip
            reply = await daemon.owner.post("/api/v1/resources", json=secret, headers=key())
            assert reply.status_code == 201, reply.text
            config = {"url": other.url, "token": "secret://other", "idempotent": True}
            agent = {"name": "gina", "executor": "openresponses", "executorConfig": config}
            reply = await daemon.owner.post("/api/v1/agents", json=agent, headers=key())
            assert reply.status_code == 201, reply.text
            assert reply.json()["agent"]["executorConfig"] == config
            task = await new_task(daemon, "Count the ships")
            state, output = await over(daemon, task)
        sessions = (await other.owner.get("/api/v1/sessions")).json()["sessions"]
    assert (state, output["text"]) == (State.DONE, "Seven ships."), output
    assert [s["key"] for s in sessions] == [f"agent:ada:openresponses-user:homarus-{task}"]


@pytest.mark.parametrize(
    "executor, config, said",
    [
        ("openresponses", None, "url"),
        ("openresponses", {"url": "gateway"}, "no usable URL"),
        ("openresponses", {"url": "ftp://x"}, "no usable URL"),
        ("openresponses", {"url": "http://me:word@x"}, "without user"),
        ("openresponses", {"url": "http://x:port"}, "no URL"),
        ("openresponses", {"url": "http://x", "token": "sk-clear"}, "secret://NAME"),
        ("openresponses", {"url": "http://x", "tokn": 1}, "tokn"),
        ("openresponses", {"url": "http://x", "wallS": 0}, "wallS"),
        ("claude_code", {"permissionMode": "bypassPermissions"}, "acceptEdits"),
        ("claude_code", {"program": "--help"}, "begins with"),
        ("claude_code", {"maxTurns": 0}, "maxTurns"),
        ("claude_code", {"baseUrl": "x"}, "no usable URL"),
        ("llm", {"url": "http://x"}, "no configuration"),
        ("nobody", None, "One of"),
    ],
)
async def test_what_cannot_be_configured(
    daemon: Daemon, executor: str, config: Any, said: str
) -> None:
    body = {"name": "x", "executor": executor, "executorConfig": config}
    reply = await daemon.owner.post("/api/v1/agents", json=body, headers=key())
    assert reply.status_code == 400 and said in reply.text, reply.text


async def test_executor_and_configuration_go_together(daemon: Daemon) -> None:
    body = {"name": "x", "executor": "claude_code"}
    reply = await daemon.owner.post("/api/v1/agents", json=body, headers=key())
    agent = f"/api/v1/agents/{reply.json()['agent']['id']}"
    for change, status in (
        ({"executorConfig": {"url": "http://x"}}, 400),
        ({"executor": "openresponses"}, 400),
        ({"executor": "openresponses", "executorConfig": {"url": "http://x"}}, 200),
        ({"executor": "llm"}, 400),
        ({"executor": "llm", "executorConfig": None}, 200),
    ):
        reply = await daemon.owner.patch(agent, json=change, headers=key())
        assert reply.status_code == status, (change, reply.text)


async def test_only_operators_say_where_the_work_is_done(daemon: Daemon) -> None:
    for body in ({"executor": "claude_code"}, {"executorConfig": {}}):
        reply = await daemon.company.post(
            "/api/mcp/agents", json={"name": "x"} | body, headers=key()
        )
        assert reply.status_code == 403, reply.text
