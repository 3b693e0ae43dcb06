"""The SDK is an extra: met with the first request that is let in, and not before."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from homarus.demo.children import environment

RUN_S = 60
SCRIPT = """
import asyncio, json, sys
from pathlib import Path
import httpx2
from homarus.testing.daemon import running

SDK = ("mcp", "mcp_types", "pydantic", "sse_starlette")
if "without" in sys.argv:
    sys.modules["mcp"] = None  # as if it were not installed

def loaded():
    return [name for name in SDK if sys.modules.get(name) is not None]

async def main():
    told = {}
    async with running(Path(sys.argv[1])) as daemon:
        told["started"] = loaded()
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        stranger = await daemon.anybody.post("/mcp", json=message)
        told["stranger"] = [stranger.status_code, loaded()]
        first = await daemon.company.post("/mcp", json=message)
        told["first"] = [first.status_code, loaded(), first.json()]
        told["tasks"] = (await daemon.company.get("/api/v1/tasks")).status_code
    print(json.dumps(told))

asyncio.run(main())
"""


def told(home: Path, *arguments: str) -> Any:
    """What a daemon in a process of its own says and imports, request by request."""
    argv = [sys.executable, "-c", SCRIPT, str(home), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_sdk_comes_with_the_first_request_that_is_let_in(tmp_path: Path) -> None:
    said = told(tmp_path / "home")
    assert said["started"] == []
    assert said["stranger"] == [401, []]
    status, loaded, body = said["first"]
    assert (status, len(body["result"]["tools"]) > 20) == (200, True)
    assert loaded == ["mcp", "mcp_types", "pydantic", "sse_starlette"]


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    said = told(tmp_path / "home", "without")
    status, loaded, body = said["first"]
    assert (status, loaded, said["tasks"]) == (501, [], 200)
    assert body["error"]["data"]["code"] == "mcp.extra_missing"
    assert "pip install homarus[mcp]" in body["error"]["message"]


def test_so_does_the_command(tmp_path: Path) -> None:
    script = "import sys; sys.modules['mcp'] = None; from homarus.cli.main import main; main()"
    argv = [sys.executable, "-c", script, "--home", str(tmp_path), "mcp"]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=RUN_S, check=False, env=environment()
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("mcp.extra_missing")
    assert "pip install homarus[mcp]" in done.stderr
