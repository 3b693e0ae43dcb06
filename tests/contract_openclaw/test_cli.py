"""`openclaw`, unmodified, as a remote client: what its user sees (gateway contract; design, 1)."""

from collections.abc import Iterator

import httpx2
import pytest

from homarus.flows import first_start
from homarus.testing.daemon import beside, key
from homarus.testing.scripted_model import ScriptedModel
from tests.contract_openclaw.openclaw import OpenClaw, program

MODEL = {
    "name": "default", "dialect": "openai", "baseUrl": "http://127.0.0.1:9/v1", "model": "gpt-x",
}  # fmt: skip


@pytest.fixture(scope="module")
def openclaw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenClaw]:
    """Pointed at a daemon with one agent, `main`, whose model says hello."""
    found = program()
    home = tmp_path_factory.mktemp("openclaw")
    with beside(home / "homarus", turns=ScriptedModel("Hello from Homarus").turns()) as daemon:
        with httpx2.Client(base_url=daemon.url) as http:
            http.headers["Authorization"] = f"Bearer {daemon.owner_token}"
            for path, body in (
                ("/api/v1/agents", {"name": "main", "executor": "llm"}), ("/api/v1/models", MODEL),
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
        ("gateway probe", "Reachable: yes"),
        ("gateway call health", '"ok": true'),
        ("gateway call status", '"runtimeVersion"'),
        ("status", "Gateway"),
        ("agent --message hello", "Hello from Homarus"),
        ("models list", "default/gpt-x"),
        ("devices list", "No device"),
        ("channels status", "Gateway reachable"),
        ("cron list", "No automations"),
        ("cron status", '"jobs": 0'),
        ("logs --limit 3", "homarus.log"),
        ("system presence", '"reason": "self"'),
        ("approvals get --gateway", "allowlist"),
        ("nodes list", ""),
    ],
)
def test_commands(openclaw: OpenClaw, command: str, words: str) -> None:
    done = openclaw.run(*command.split())
    assert (done.code, words in done.out) == (0, True), done.out


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
