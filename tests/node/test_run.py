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

from homarus.testing.daemon import Daemon
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

    async def end(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SOON_S):
            await self._process.communicate()
            return await self._process.wait()


async def started(home: Path, *more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "homarus.cli.main", "node", "run", "--json", "--home", str(home),
        *more, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE if "-" in more else None,
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
