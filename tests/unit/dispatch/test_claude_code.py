"""Claude Code does a claimed task: its stream, its sessions, its end at a STOP (design, 7).

The program is a stand-in that speaks the stream as a scenario says (`testing/claude_program.py`).
"""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import homarus.testing.claude_program as stand_in
from homarus.backends.layers import probe
from homarus.backends.local import interpreter
from homarus.company import agents
from homarus.dispatch.claude_stream import Told
from homarus.dispatch.dispatcher import Dispatcher
from homarus.egress.proxy import Egress
from homarus.egress.secrets import Secrets
from homarus.flows import running
from homarus.kernel.keys import MasterKey
from homarus.records import artifacts
from homarus.records.blobs import Blobs
from homarus.tasks import runs, sql
from homarus.tasks.model import State
from homarus.testing.ground import MASTER_KEY, ground
from homarus.testing.shop import OWNER, Shop, open_shop
from homarus.testing.waiting import seen
from tests.unit.dispatch.test_dispatcher import settled
from tests.unit.egress.test_proxy import keep

DONE: dict[str, Any] = {"result": "All counted."}


class Claude:
    """An agent `cody` whose executor is the stand-in."""

    def __init__(self, shop: Shop, folder: Path) -> None:
        self.shop = shop
        self._folder = folder
        folder.mkdir()
        self.program = folder / "claude"
        script = Path(stand_in.__file__)
        words = [interpreter().python, "-I", "-S", str(script), str(folder / "scenario.json")]
        self.program.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        self.program.chmod(0o755)

    async def configure(self, *steps: dict[str, Any], **config: Any) -> None:
        self.script(*steps)
        inputs = [str(self._folder), *map(str, interpreter().inputs)]
        given = {"program": str(self.program), "inputs": inputs, "trusted": True} | config
        change = agents.AgentChange(executor="claude_code", executor_config=given)
        await self.shop.do("agent.update", OWNER, agents.update, self.shop.agents["cody"], change)

    def script(self, *steps: dict[str, Any]) -> None:
        (self._folder / "scenario.json").write_text(json.dumps(steps))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        g = self.shop.ground
        blobs = Blobs(g.home / "blobs")
        blobs.start()
        master = MasterKey.from_file(g.home / MASTER_KEY)
        egress = Egress(g.store, Secrets(g.store, master), g.home / "run")
        await egress.start()
        task = asyncio.create_task(Dispatcher(g.store, blobs, g.home, egress).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await egress.stop()

    def starts(self, number: str) -> list[Any]:
        home = self.shop.ground.home
        path = home / "agents" / self.shop.agents["cody"] / "workspace" / number / "starts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    async def result(self, task: str) -> Any:
        return await self.shop.ground.read(sql.result_of, task)

    async def notes(self, task: str) -> list[str]:
        found = await self.shop.ground.read(sql.notes_of, task)
        return [note.text for note in found.values()]


@pytest.fixture
async def claude(tmp_path: Path) -> AsyncIterator[Claude]:
    async with ground(tmp_path) as g:
        shop = await open_shop(g)
        await shop.agent("cody")
        yield Claude(shop, tmp_path / "program")


async def test_a_task_is_done_with_its_files_cost_and_session(claude: Claude) -> None:
    await claude.configure(
        {"say": "I count."}, {"tool": "Write"}, {"raw": "no json"}, {"raw": '{"type": "new"}'},
        {"write": "out/ships.txt", "text": "7"}, DONE, allowedTools=["Read", "Bash(ls:*)"],
    )  # fmt: skip
    task = await claude.shop.task()
    async with claude.working():
        row = await settled(claude.shop, task.id)
    assert row.state is State.DONE
    output = (await claude.result(task.id)).output
    assert (output["text"], output["turns"], output["costUsd"]) == ("All counted.", 3, 0.01)
    assert output["files"] == ["ships.txt"]
    assert [kind for kind, _ in await claude.shop.ground.read(artifacts.of_task, task.id)]
    (run,) = await claude.shop.ground.read(runs.of_task, task.id)
    assert run.facts is not None and run.facts["unreadLines"] == 1
    assert (run.facts["tools"], run.facts["session"]) == (["Write"], output["session"])
    (start,) = claude.starts(task.number)
    assert start["argv"][-2:] == ["--session-id", output["session"]]
    assert "Read,Bash(ls:*)" in start["argv"] and "acceptEdits" in start["argv"]
    assert task.number in start["message"]["message"]["content"][0]["text"]
    assert not {"HOMARUS_HOME", "USER", "SHELL"} & set(start["env"])
    spent = await claude.shop.ground.read(_spent, claude.shop.agents["cody"])
    assert spent == (10_000, 120)
    assert await claude.shop.recount() == []


def _spent(rx: Any, subject: str) -> Any:
    return rx.one("select money, tokens from spend where subject=? and period_key='total'",
                  (subject,))  # fmt: skip


@pytest.mark.parametrize(
    "steps, config, code",
    [
        ([{"say": "Half."}, {"exit": 3}], {}, "claude.cut"),
        ([{"say": "Half."}, {"hang": True}], {"silenceS": 3}, "claude.stalled"),
        ([{"say": "Half."}, {"hang": True}], {"wallS": 4}, "claude.slow"),
        ([{"say": "Half."}, {"huge": 5_000_000}], {}, "claude.flood"),
        ([{"say": "Half."}, {"result": "", "subtype": "error_max_turns"}], {}, "claude.max_turns"),
    ],
)
async def test_an_end_without_a_result_is_typed_and_handed_on(
    claude: Claude, steps: list[Any], config: dict[str, Any], code: str
) -> None:
    await claude.configure(*steps, **config)
    task = await claude.shop.task()
    async with claude.working():
        row = await settled(claude.shop, task.id)
    assert row.state is State.FAILED
    output = (await claude.result(task.id)).output
    assert (output["error"], output["text"]) == (code, "Half.")
    (note,) = await claude.notes(task.id)
    assert code in note and output["session"] in note and "Half." in note


async def test_the_next_attempt_resumes_the_session(claude: Claude) -> None:
    await claude.configure({"say": "Half."}, {"exit": 1})
    task = await claude.shop.task()
    async with claude.working():
        await settled(claude.shop, task.id)
        claude.script(DONE)
        await claude.shop.move(task.id, State.QUEUED)
        row = await settled(claude.shop, task.id)
    assert row.state is State.DONE
    first, second = claude.starts(task.number)
    assert first["argv"][-2:] == ["--session-id", second["argv"][-1]]
    assert second["argv"][-2] == "--resume"
    assert "Hand-over" in second["message"]["message"]["content"][0]["text"]


async def test_a_session_that_is_gone_is_begun_anew(claude: Claude) -> None:
    await claude.configure({"exit": 1})
    task = await claude.shop.task()
    async with claude.working():
        await settled(claude.shop, task.id)
        home = claude.shop.ground.home
        for path in home.glob("agents/*/workspace/*/sessions/*"):
            path.unlink()
        claude.script(DONE)
        await claude.shop.move(task.id, State.QUEUED)
        assert (await settled(claude.shop, task.id)).state is State.DONE
    assert [start["argv"][-2] for start in claude.starts(task.number)] == [
        "--session-id", "--resume", "--session-id",
    ]  # fmt: skip


async def test_stop_ends_it_and_it_goes_on_when_lifted(claude: Claude) -> None:
    await claude.configure({"say": "Half."}, {"hang": True})
    task = await claude.shop.task()
    path = claude.shop.ground.home / "agents"
    async with claude.working():
        await asyncio.to_thread(seen, lambda: list(path.glob("*/workspace/*/sessions/*")))
        stop = await claude.shop.stop("task", task.id)
        row = await settled(claude.shop, task.id)
        assert (row.state, row.reason) == (State.BLOCKED, "stop")
        claude.script(DONE)
        await claude.shop.lift(stop)
        assert (await settled(claude.shop, task.id)).state is State.DONE
    assert [start["argv"][-2] for start in claude.starts(task.number)] == [
        "--session-id", "--resume",
    ]  # fmt: skip
    assert await claude.shop.recount() == []


@pytest.mark.parametrize(
    "config, said",
    [
        ({"program": "claude-that-is-not-there"}, "not installed"),
        ({"token": "secret://absent"}, "no secret 'absent'"),
    ],
)
async def test_what_cannot_run_hands_over_and_stays_open(
    claude: Claude, config: dict[str, Any], said: str
) -> None:
    await claude.configure(**config)
    task = await claude.shop.task()
    async with claude.working():
        row = await settled(claude.shop, task.id)
    assert (row.state, row.reason) == (State.BLOCKED, running.NO_EXECUTOR)
    (note,) = await claude.notes(task.id)
    assert said in note
    assert await claude.shop.ground.read(runs.of_task, task.id) == []


async def test_the_key_is_filled_in_on_the_way(claude: Claude) -> None:
    """The program has the handle alone; its model's host gets the value."""
    keys: list[str] = []

    async def host(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        keys.extend(line.split()[1] for line in head.split("\r\n") if "x-api-key" in line)
        body = f"you sent {keys[-1]}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(host, "127.0.0.1", 0)
    place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        await keep(claude.shop, "model", [place], "sk-of-tests")
        await claude.configure(
            {"ask": "/v1/messages"}, {"result": ""}, token="secret://model",
            baseUrl=f"http://{place}",
        )  # fmt: skip
        task = await claude.shop.task()
        async with claude.working():
            row = await settled(claude.shop, task.id)
    output = (await claude.result(task.id)).output
    assert (row.state, keys) == (State.DONE, ["sk-of-tests"])
    assert output["text"] == "you sent " + "*" * len("sk-of-tests")


@pytest.mark.skipif(probe().sandbox == "none", reason="no sandbox here")
async def test_it_sees_its_workspace_alone(claude: Claude) -> None:
    await claude.configure({"write": "out/a", "text": "1"}, DONE, trusted=False)
    task = await claude.shop.task()
    async with claude.working():
        row = await settled(claude.shop, task.id)
    assert row.state is State.DONE
    assert (await claude.result(task.id)).output["sandbox"] == "bwrap"


@pytest.mark.parametrize(
    "lines, text, error",
    [
        ([b'{"type":"result","subtype":"success","result":"x"}'], "x", False),
        ([b'\x1b[?1004l{"type":"result","subtype":"success","result":"x"}'], "x", False),
        ([b'{"type":"result","subtype":"success","is_error":true,"result":"no"}'], "no", True),
        ([b'{"type":"result"}'], "", True),
        ([b'{"type":"assistant","message":{"content":"odd"}}',
          b'{"type":"result","subtype":"error_during_execution"}'], "", True),
        ([b'{"type":"result","subtype":"success","result":7,"usage":[],"num_turns":"x",'
          b'"total_cost_usd":-1}'], "", False),
    ],
)  # fmt: skip
def test_results_in_every_shape(lines: list[bytes], text: str, error: bool) -> None:
    told = Told()
    for line in lines:
        told.line(line)
    assert (told.text, told.is_error, told.cost_usd) == (text, error, None)


@pytest.mark.parametrize("line", [b"", b"{", b"[1]", b'"x"', b"{" * 100_000])
def test_what_is_no_event_is_counted(line: bytes) -> None:
    told = Told()
    told.line(line)
    assert (told.unread, told.subtype) == (1, None)
