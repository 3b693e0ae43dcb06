"""`openclaw`, unmodified, as a remote client: what its user sees (gateway contract; design, 1)."""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from homarus.flows import first_start
from homarus.testing.daemon import beside, key
from homarus.testing.scripted_model import ScriptedModel
from tests.contract_openclaw.openclaw import OpenClaw, program
from tests.gateway.ws.client import PROXIED, REMOTE, Device, dialled_at

MODEL = {
    "name": "default", "dialect": "openai", "baseUrl": "http://127.0.0.1:9/v1", "model": "gpt-x",
}  # fmt: skip


SKILL = "---\nname: archive.tidy\ndescription: Tidies the archive\n---\nTidy it.\n"
SKILL_FILE = {"path": "SKILL.md", "sha256": hashlib.sha256(SKILL.encode()).hexdigest(),
              "sizeBytes": len(SKILL)}  # fmt: skip


@pytest.fixture(scope="module")
def openclaw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenClaw]:
    """Pointed at a daemon with one agent, `main`, whose model says hello, a model and a skill."""
    found = program()
    home = tmp_path_factory.mktemp("openclaw")
    turns = ScriptedModel("Hello from Homarus").turns()
    with beside(home / "homarus", turns=turns, **PROXIED) as daemon:
        with httpx2.Client(base_url=daemon.url) as http:
            http.headers["Authorization"] = f"Bearer {daemon.owner_token}"
            for path, body in (
                ("/api/v1/agents", {"name": "main", "executor": "llm"}),
                ("/api/v1/models", MODEL),
                ("/api/v1/skills", {"text": SKILL, "files": [SKILL_FILE]}),
            ):  # fmt: skip
                reply = http.post(path, json=body, headers=key())
                assert reply.status_code < 300, reply.text
        token = (home / "homarus" / "run" / first_start.GATEWAY.file).read_text().strip()
        client = OpenClaw(found, home / "client")
        client.point_at(daemon.url, token)
        yield client


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("health", "Agents: main (default)"),
        ("gateway health", "OK ("),
        ("gateway probe", "Reachable: yes"),
        ("gateway call health", '"ok": true'),
        ("gateway call status", '"runtimeVersion"'),
        ("gateway stability", "Events: 0"),
        ("status", "Gateway"),
        ("status --deep", "reachable"),
        ("status --all", "Agent activity"),
        ("agent --message hello", "Hello from Homarus"),
        ("models list", "default/gpt-x"),
        ("devices list", "No device"),
        ("nodes list", ""),
        ("nodes status", "Known: 0"),
        ("channels status", "Gateway reachable"),
        ("skills list", "Tidies the archive"),
        ("cron list", "No automations"),
        ("cron status", '"jobs": 0'),
        ("logs --limit 3", "homarus.log"),
        ("system presence", '"reason": "self"'),
        ("approvals get --gateway", "allowlist"),
    ],
)
def test_commands(openclaw: OpenClaw, command: str, words: str) -> None:
    done = openclaw.run(*command.split())
    assert (done.code, words in done.out) == (0, True), done.out


def test_the_gateway_named_on_the_command_line(openclaw: OpenClaw) -> None:
    """`gateway status` looks at the gateway of its own machine, unless it is told another one."""
    done = openclaw.run("gateway", "status", "--require-rpc", *openclaw.address)
    assert (done.code, "Read probe: ok" in done.out) == (0, True), done.out


def test_nothing_fails_behind_a_whole_status(openclaw: OpenClaw) -> None:
    done = openclaw.run("status", "--all")
    assert "failed" not in done.out.replace("inspection failed", ""), done.out


def test_an_answer_as_json(openclaw: OpenClaw) -> None:
    done = openclaw.run("agent", "--message", "hello", "--json")
    assert done.code == 0, done.out
    assert done.data["status"] == "ok"
    assert done.data["result"]["payloads"][0]["text"] == "Hello from Homarus"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("agent --agent nope --message hello", 'unknown agent id "nope"'),
        ("message send --channel telegram --target 1 --message x", "channel not configured"),
        ("gateway call nothing.such", "unknown method: nothing.such"),
    ],
)
def test_errors_are_understood(openclaw: OpenClaw, command: str, words: str) -> None:
    done = openclaw.run(*command.split())
    assert (done.code, words in done.out) == (1, True), done.out


def test_a_wrong_secret(openclaw: OpenClaw) -> None:
    done = openclaw.run("gateway", "call", "health", "--url", openclaw.url, "--token", "wrong")
    assert (done.code, "token mismatch" in done.out) == (1, True), done.out


def test_devices_as_json(openclaw: OpenClaw) -> None:
    listed = openclaw.run("devices", "list", "--json")
    assert listed.code == 0, listed.out
    assert listed.data.keys() >= {"pending", "paired"}


def test_a_device_is_let_in(openclaw: OpenClaw) -> None:
    """It asked from elsewhere, and whoever owns the gateway says yes."""
    device = Device()

    async def knock() -> dict[str, Any]:
        async with dialled_at(openclaw.url, additional_headers=REMOTE) as client:
            return await client.greet(openclaw.token, device=device)

    refused = asyncio.run(knock())
    request = refused["error"]["details"]["requestId"]
    listed = openclaw.run("devices", "list", "--json").data
    assert [row["requestId"] for row in listed["pending"]] == [request]
    done = openclaw.run("devices", "approve", request)
    assert (done.code, "Approved" in done.out) == (0, True), done.out
    assert asyncio.run(knock())["ok"]
    done = openclaw.run("devices", "list")
    assert (done.code, "Paired" in done.out) == (0, True), done.out
