"""`homarus mcp` as a process: what it says where, as whom it acts, how it ends."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from homarus.demo.children import environment
from homarus.mcp.stdio import MAX_LINE_BYTES
from homarus.service.serve import ADDRESS
from homarus.testing.daemon import Address, beside, key

WAIT_S: Final = 30.0
HELLO: Final = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Proxy:
    """One `homarus mcp`, spoken to line by line."""

    def __init__(self, home: Path, *arguments: str, **env: str) -> None:
        argv = [sys.executable, "-m", "homarus.cli.main", "--home", str(home), "mcp", *arguments]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment() | env,
        )  # fmt: skip
        self._id = 0

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def ask(self, method: str, **params: Any) -> Any:
        """The answer to one request; nothing else is on standard output."""
        assert self.process.stdout is not None
        self._id += 1
        asked = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": params}
        self.say(json.dumps(asked).encode())
        answer = json.loads(self.process.stdout.readline())
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", self._id)
        return answer

    def hello(self) -> "Proxy":
        assert self.ask("initialize", **HELLO)["result"]["serverInfo"]["name"] == "homarus"
        self.say(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')
        return self

    def call(self, tool: str, **arguments: Any) -> Any:
        return self.ask("tools/call", name=tool, arguments=arguments)

    def code(self, tool: str, **arguments: Any) -> str | None:
        result = self.call(tool, **arguments)["result"]
        return result["structuredContent"]["code"] if result["isError"] else None

    def end(self) -> tuple[int, bytes, bytes]:
        """Close its input: exit status, and what was left on its outputs."""
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stdio") / "home"


@pytest.fixture(scope="module")
def daemon(home: Path) -> Iterator[Address]:
    """`ada` belongs to the company's token, `bob` to the owner."""
    with beside(home) as address:
        for token, name in ((address.company_token, "ada"), (address.owner_token, "bob")):
            headers = key() | {"Authorization": f"Bearer {token}"}
            url = f"{address.url}/api/v1/agents"
            httpx2.post(url, json={"name": name}, headers=headers).raise_for_status()
        (home / "run" / ADDRESS).write_text(json.dumps({"url": address.url}))
        yield address


@pytest.fixture
def proxies(home: Path, daemon: Address) -> Iterator[Any]:
    """Starts proxies to the daemon; none outlives its test."""
    started: list[Proxy] = []

    def start(*arguments: str, **env: str) -> Proxy:
        made = Proxy(home, "--url", daemon.url, *arguments, **env)
        started.append(made)
        return made

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate(timeout=WAIT_S)


def test_the_end_of_input_ends_it_and_output_is_protocol_alone(proxies: Any) -> None:
    proxy = proxies(HOMARUS_TOKEN="ec_nobody").hello()
    answer = proxy.ask("tools/list")
    assert answer["error"]["data"]["code"] == "identity.unknown"
    assert proxy.end() == (0, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_although_it_waits_for_input(
    proxies: Any, daemon: Address, number: signal.Signals
) -> None:
    proxy = proxies(HOMARUS_TOKEN=daemon.company_token).hello()
    proxy.process.send_signal(number)
    assert proxy.process.wait(WAIT_S) == 0, proxy.process.stderr.read()
    assert proxy.end()[1:] == (b"", b"")


def test_lines_that_are_no_message_do_no_harm(proxies: Any, daemon: Address) -> None:
    proxy = proxies(HOMARUS_TOKEN=daemon.company_token).hello()
    for line in (b"", b"no json", b"[]", b"\xff\xfe", b"{}", b'{"jsonrpc": "2.0"}'):
        proxy.say(line)
    assert proxy.code("list_tasks") is None


def test_a_message_without_end_ends_it(proxies: Any, daemon: Address) -> None:
    proxy = proxies(HOMARUS_TOKEN=daemon.company_token).hello()
    assert proxy.process.stdin is not None
    try:
        proxy.process.stdin.write(b"x" * (MAX_LINE_BYTES + 1_000_000))
        proxy.process.stdin.flush()
    except BrokenPipeError:
        pass
    assert proxy.process.wait(WAIT_S) == 1
    assert proxy.process.stderr is not None
    assert proxy.process.stderr.read().startswith(b"mcp.line_too_long")


def test_a_message_that_is_too_long_for_the_daemon_says_so(proxies: Any, daemon: Address) -> None:
    proxy = proxies(HOMARUS_TOKEN=daemon.company_token).hello()
    error = proxy.call("add_note", taskId="T-1", note="x" * 2_000_000)["error"]
    assert error["data"]["code"] == "request.body_too_large"
    assert proxy.code("list_tasks") is None


def test_without_a_token_it_acts_as_the_company_and_never_as_the_owner(
    proxies: Any, home: Path
) -> None:
    proxy = proxies().hello()
    assert proxy.code("claim", agentId="ada") is None
    assert proxy.code("claim", agentId="bob") == "identity.not_granted"


def test_a_token_file_stands_before_the_environment(
    proxies: Any, daemon: Address, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{daemon.owner_token}\n")
    proxy = proxies("--token-file", str(file), HOMARUS_TOKEN="ec_nobody").hello()
    assert proxy.code("claim", agentId="bob") is None


def test_the_agent_is_fixed(proxies: Any) -> None:
    proxy = proxies("--agent", "ada").hello()
    tools = {tool["name"]: tool for tool in proxy.ask("tools/list")["result"]["tools"]}
    assert "agentId" not in tools["claim"]["inputSchema"]["properties"]
    assert proxy.code("claim") is None
    assert proxy.code("claim", agentId="bob") == "mcp.agent_fixed"


def test_a_name_beyond_ascii_arrives_whole(proxies: Any) -> None:
    result = proxies("--agent", "Zoë").hello().call("claim")["result"]
    assert "'Zoë'" in result["structuredContent"]["reason"]


@pytest.mark.parametrize(
    "arguments, env, status, said",
    [
        ((), {}, 6, "daemon.not_running"),
        (("--url", "http://127.0.0.1:1", "--token-file", "/nowhere/token"), {}, 1, "cli.os"),
        (("--url", "http://127.0.0.1:1"), {}, 2, "cli.no_token"),
    ],
)
def test_what_it_cannot_begin_without(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], status: int, said: str
) -> None:
    code, out, err = Proxy(tmp_path / "none", *arguments, **env).end()
    assert (code, out) == (status, b"")
    assert err.decode().startswith(said)


def test_a_daemon_that_went_away_is_named_and_found_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with beside(home) as address:
        proxy = Proxy(home, "--url", address.url, HOMARUS_TOKEN=address.company_token).hello()
        assert proxy.code("list_tasks") is None
    error = proxy.call("list_tasks")["error"]
    assert error["message"].startswith("client.unreachable: no daemon answers at ")
    with beside(home, port=int(address.url.rpartition(":")[2])):
        assert proxy.code("list_tasks") is None
    assert proxy.end()[0] == 0
