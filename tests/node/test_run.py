"""`homarus node run` as a process of its own, beside a daemon (gateway contract, 11)."""

import asyncio
import json
import signal
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import Daemon, key
from tests.gateway.ws.client import Client, gateway_token, joined

SOON_S = 30.0


class Process:
    """The node, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def says(self, event: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        async with asyncio.timeout(SOON_S):
            while True:
                line = await self._process.stdout.readline()
                assert line, "the node has ended"
                said = json.loads(line)
                if said["event"] == event:
                    return dict(said)

    async def ended(self) -> tuple[int, Any]:
        """By itself: `(exit code, its error)`."""
        async with asyncio.timeout(SOON_S):
            _, said = await self._process.communicate()
            return await self._process.wait(), json.loads(said)

    async def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SOON_S):
            await self._process.communicate()
            return await self._process.wait()


async def started(home: Path, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "homarus.cli.main", "node", "run", "--json", "--home", str(home),
        *more, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def node(daemon: Daemon, home: Path, *more: str, url: bool = True) -> AsyncIterator[Process]:
    process = await started(home, *(("--url", daemon.url) if url else ()), *more)
    host = Process(process)
    try:
        yield host
    finally:
        if process.returncode is None:
            assert await host.end() == 0


async def homarus(*words: str, group: str = "node") -> Any:
    """A command to its end: what it says as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "homarus.cli.main", group, *words, "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SOON_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(out)


async def plainly(*words: str) -> tuple[int, str, str]:
    """The same as people see it: `(exit code, stdout, stderr)`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "homarus.cli.main", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SOON_S):
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


def run(owner: Client, node_id: str, key: str, *argv: str, **more: Any) -> Any:
    params = {"command": list(argv)} | more
    return owner.raw_call(
        "node.invoke",
        {"nodeId": node_id, "command": "system.run", "params": params, "idempotencyKey": key},
    )


async def test_a_machine_as_a_node(daemon: Daemon, tmp_path: Path) -> None:
    home = tmp_path / "machine"
    said = await homarus("allow", "/usr/bin/printf", "--home", str(home))
    assert said == {"allowlist": ["/usr/bin/printf"]}
    token = gateway_token(daemon)
    async with joined(daemon) as owner:
        async with node(daemon, home, "--token", token, "--trusted", "--name", "bench") as host:
            id_ = (await host.says("connected"))["nodeId"]
            (asked,) = (await owner.call("node.pair.list"))["pending"]
            assert asked["commands"] == ["system.run", "system.which"]
            await owner.call("node.pair.approve", {"requestId": asked["requestId"]})
            await host.says("approved")
            reply = await run(owner, id_, "a", "printf", "%s", "a b;$(id)")
            assert reply["payload"]["payload"].items() >= {
                "exitCode": 0, "success": True, "stdout": "a b;$(id)", "stderr": "",
                "timedOut": False,
            }.items()  # fmt: skip
            reply = await run(owner, id_, "b", "touch", "x")
            assert reply["error"]["details"]["nodeError"]["code"] == "SYSTEM_RUN_DENIED"
            found = await owner.call(
                "node.invoke",
                {"nodeId": id_, "command": "system.which", "idempotencyKey": "c",
                 "params": {"bins": ["printf", "no-such-program"]}},
            )  # fmt: skip
            assert list(found["payload"]["bins"]) == ["printf"]
        for name in ("identity.json", "device-token"):
            assert stat.S_IMODE((home / "node" / name).stat().st_mode) == 0o600
        async with node(daemon, home) as host:
            assert (await host.says("connected"))["nodeId"] == id_
            await owner.call("node.pair.remove", {"nodeId": id_})
            assert (await host.says("gone"))["code"]
            code, error = await host.ended()
            assert (code, error["code"]) == (4, "node.removed")
            assert "it was removed there" in error["error"]


async def test_the_owner_by_the_command_line(daemon: Daemon, tmp_path: Path) -> None:
    home, token = tmp_path / "machine", gateway_token(daemon)
    own = ("--url", daemon.url, "--token", token)
    await homarus("allow", "/usr/bin/printf", "--home", str(home))
    async with node(daemon, home, "--token", token, "--trusted", "--name", "bench") as host:
        await host.says("connected")
        (row,) = (await homarus("list", *own))["nodes"]
        await homarus("approve", row["pendingRequestId"], *own)
        params = json.dumps({"command": ["printf", "hello"]})
        reply = await homarus("invoke", "bench", "system.run", "--params", params, *own)
        assert reply["payload"]["stdout"] == "hello"
        assert (await homarus("remove", "bench", *own)) == {"nodeId": row["nodeId"]}
        rows = (await homarus("list", *own))["nodes"]
        assert not any(row["paired"] for row in rows)  # it may be back already, and ask anew


async def test_a_machine_comes_in_by_a_set_up_code(daemon: Daemon, tmp_path: Path) -> None:
    own = ("--url", daemon.url, "--token", gateway_token(daemon))
    made = await homarus("setup-code", *own, group="device")
    home = tmp_path / "machine"
    async with node(daemon, home, "--setup-code", made["setupCode"], url=False) as host:
        id_ = (await host.says("connected"))["nodeId"]
    known = await homarus("setup-status", made["setupId"], *own, group="device")
    assert (known["state"], known["completion"]["deviceId"]) == ("used", id_)
    # started again by the same words, it goes on with its own token
    async with node(daemon, home, "--setup-code", made["setupCode"], url=False) as host:
        assert (await host.says("connected"))["nodeId"] == id_


async def test_a_code_that_is_over_ends_a_node_that_has_nothing_else(
    daemon: Daemon, tmp_path: Path
) -> None:
    own = ("--url", daemon.url, "--token", gateway_token(daemon))
    made = await homarus("setup-code", *own, group="device")
    revoked = await homarus("setup-revoke", made["setupId"], *own, group="device")
    assert revoked == {"setupId": made["setupId"], "state": "revoked"}
    process = await started(tmp_path / "machine", "--setup-code", "-")
    async with asyncio.timeout(SOON_S):
        _, said = await process.communicate(made["setupCode"].encode() + b"\n")
    assert process.returncode not in (0, None)
    assert json.loads(said)["code"] == "device.code_invalid"


@pytest.mark.parametrize(
    ("words", "code"), [((), "node.no_token"), (("--token", "ho_wrong"), "node.token")]
)
async def test_a_machine_that_nobody_knows_is_told_so_once(
    daemon: Daemon, tmp_path: Path, words: tuple[str, ...], code: str
) -> None:
    """To try again would not help: what it says stays the same."""
    async with node(daemon, tmp_path / "machine", *words) as host:
        exit_code, error = await host.ended()
    assert (exit_code, error["code"]) == (4, code)
    assert all(word in error["remedy"] for word in ("--token", "HOMARUS_TOKEN", "--setup-code"))
    assert "gateway.remote" not in error["error"]


@pytest.mark.parametrize("kind", ["malformed", "unreadable"])
async def test_rules_that_cannot_be_read_are_warned_of(
    daemon: Daemon, tmp_path: Path, kind: str
) -> None:
    home = tmp_path / "machine"
    file = home / "node" / "exec-approvals.json"
    file.parent.mkdir(parents=True)
    if kind == "malformed":
        file.write_text("{")
    else:
        file.mkdir()
    token = gateway_token(daemon)
    async with joined(daemon) as owner, node(daemon, home, "--token", token) as host:
        warned = await host.says("warning")
        assert warned["code"] == "node.policy" and str(file) in warned["why"]
        id_ = (await host.says("connected"))["nodeId"]
        asked = (await owner.call("node.pair.list"))["pending"]
        (request,) = [row["requestId"] for row in asked if row["nodeId"] == id_]
        await owner.call("node.pair.approve", {"requestId": request})
        error = (await run(owner, id_, f"policy-{kind}", "printf", "x"))["error"]
        assert str(file) in error["message"]


async def test_what_a_program_printed_is_passed_on(daemon: Daemon, tmp_path: Path) -> None:
    home, token = tmp_path / "machine", gateway_token(daemon)
    own = ("--url", daemon.url, "--token", token)
    await homarus("allow", "/usr/bin/printf", "--home", str(home))
    async with node(daemon, home, "--token", token, "--trusted", "--name", "shelf") as host:
        id_ = (await host.says("connected"))["nodeId"]
        (row,) = [row for row in (await homarus("list", *own))["nodes"] if row["nodeId"] == id_]
        await homarus("approve", row["pendingRequestId"], *own)
        await host.says("approved")
        code, _, err = await plainly("node", "approve", row["pendingRequestId"], *own)
        assert (code, err.partition(":")[0]) == (5, "node.request_over")

        async def invoke(*argv: str, **more: Any) -> tuple[int, str, str]:
            params = json.dumps({"command": list(argv)} | more)
            return await plainly("node", "invoke", "shelf", "system.run", "--params", params, *own)

        assert await invoke("printf", r"a\n  b\t\033[31mc") == (0, "a\n  b\t\033[31mc", "")
        code, out, err = await invoke("printf", "%d", "many")
        assert (code, out) == (1, "0")
        assert "many" in err and "node.exit: the command ended with code 1" in err

        # nobody allowed it: it is said once, and how it can be had
        code, out, err = await invoke("ls", "-l")
        assert (code, out) == (1, "")
        assert err.count("SYSTEM_RUN_DENIED") == 1 and "`homarus node allow PROGRAM`" in err
        assert "exec.approval.request" in err

        # asked for as docs/how-to/nodes.md has it, and answered by somebody else
        plan = {"argv": ["ls", "-d", "."], "cwd": None}
        asked = {"host": "node", "nodeId": id_, "commandArgv": plan["argv"], "systemRunPlan": plan,
                 "twoPhase": True, "timeoutMs": 3_600_000}  # fmt: skip
        call = ("gateway", "call", "exec.approval.request", "--params", json.dumps(asked), *own)
        code, out, err = await plainly(*call)
        id_of_question = json.loads(out)["id"]
        async with joined(daemon) as owner:
            rows = await owner.call("exec.approval.list")
        (request,) = [row["request"] for row in rows if row["id"] == id_of_question]
        assert (request["host"], request["nodeId"]) == ("node", id_)
        number = request["number"]
        yes: dict[str, Any] = {"systemRunPlan": plan, "approved": True, "runId": number}
        code, out, err = await invoke("ls", "-d", ".", **yes)
        assert (code, err.partition("\n")[0]) == (4, f"node.approval: {number} waits for an answer")
        assert f"`homarus approval approve {number}`" in err
        made = await daemon.owner.post(f"/api/v1/approvals/{number}/approve", headers=key())
        assert made.status_code == 200, made.text
        assert await invoke("ls", "-d", ".", **yes) == (0, ".\n", "")
        code, out, err = await invoke("ls", "-d", ".", **yes)
        assert (code, err.partition("\n")[0]) == (4, f"node.approval: {number} is used")
