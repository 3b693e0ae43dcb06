"""Contract, 13: our own bridge, as a process of its own, against the daemon.

What it does with tasks and messages, and through which deaths: tests/bridge.
"""

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from homarus.bridge import rules, settings
from homarus.bridge.journal import WINDOW
from homarus.demo.children import Child
from tests.contract_control_plane.wire import Wire
from tests.support.front import front

FRESH_S = 600
PROGRAM = "import json, sys; json.load(sys.stdin); print('{}')"


def once(wire: Wire, place: Path, *options: str, url: str = "", **env: str) -> Child:
    """A bridge that ends when nothing is left."""
    argv = ["homarus.cli.main", "bridge", "--url", url or wire.url, "--agent", "tally", "--once",
            *options]  # fmt: skip
    child = Child(argv, place / "log", {"HOMARUS_TOKEN": wire.token or "", **env})
    assert child.wait(60) == 0, child.tail()
    return child


@pytest.fixture
def wire(found: Callable[..., Wire]) -> Wire:
    return found()


def test_start_up_order(wire: Wire, tmp_path: Path) -> None:
    """Register, list agents, create, start the session, list integrations; only then beat and
    look."""
    agent = r"/agents/[\w-]+"
    order = [
        ("POST", "/runtime/register"),
        ("GET", r"/agents\?limit=\d+"),
        ("POST", "/agents"),
        ("POST", f"{agent}/sessions/start"),
        ("GET", f"{agent}/integrations"),
        ("POST", "/agents/heartbeat"),
        ("GET", r"/tasks\?.*"),
        ("POST", f"{agent}/sessions/[\\w-]+/end"),
    ]
    with front(wire.url, {}) as made:
        once(wire, tmp_path, "--bridge-state-path", str(tmp_path / "j.json"), url=made.url)
    found = iter(made.passed)
    for method, path in order:
        assert any(m == method and re.fullmatch(path, p) for m, p in found), (path, made.passed)


def test_defaults() -> None:
    assert (settings.HEARTBEAT_S, settings.SYNC_S) == (30, 15)
    assert (rules.BASE_S, rules.CAP_S, rules.JITTER) == (2, 60, 0.2)
    assert WINDOW == 1000
    given = {"url": "http://h", "token": "t", "agent_name": "a"}
    assert settings.resolve(given, {}, settings.ConfigFile()).max_tasks == 1


@pytest.mark.parametrize(
    "env, place",
    [
        ({"HOME": "{0}"}, ".openclaw/emperor-control-plane/state/bridge-state.json"),
        ({"EMPEROR_CLAW_COMPANION_DIR": "{0}/c"}, "c/state/bridge-state.json"),
        ({"EMPEROR_CLAW_STATE_DIR": "{0}/s"}, "s/bridge-state.json"),
        ({"EMPEROR_CLAW_BRIDGE_STATE_PATH": "{0}/j.json"}, "j.json"),
    ],
)
def test_must_write_the_journal_that_the_plugin_reads(
    wire: Wire, tmp_path: Path, env: dict[str, str], place: str
) -> None:
    """Contract, 13.1: where it is, and the fields; `updatedAt` younger than 600 s is fresh."""
    once(wire, tmp_path, **{name: text.format(tmp_path) for name, text in env.items()})
    fields: dict[str, Any] = json.loads((tmp_path / place).read_text())
    (agent,) = wire.get("/agents").body["agents"]
    assert fields["version"] == 1
    assert fields["lastAgentId"] == agent["id"]
    age = datetime.now(UTC) - datetime.fromisoformat(fields["updatedAt"])
    assert age.total_seconds() < FRESH_S
    assert fields.keys() >= {
        "createdAt", "backoffSec", "reconnectAttempt", "lastSeenAt", "lastSyncAt", "lastRuntimeId",
        "lastSessionId", "recentMessageIds", "recentTaskFingerprints", "pendingOperationIds",
    }  # fmt: skip


def test_environment_and_file_of_the_original(wire: Wire, tmp_path: Path) -> None:
    """Contract, 14: a `bridge.config.json` and EMPEROR_* variables are enough."""
    config = {
        "schemaVersion": 1, "apiBaseUrl": f"{wire.url}/api/mcp", "doctorAgentName": "from-file",
        "runtimeId": "node-9", "bridgeStatePath": str(tmp_path / "j.json"),
        "resourceScopes": ["company"], "artifactKinds": ["report"],
        "reconnectPolicy": {"baseDelayMs": 2000, "maxDelayMs": 60000},
        "exec": [sys.executable, "-c", PROGRAM],
    }  # fmt: skip
    (tmp_path / "bridge.config.json").write_text(json.dumps(config))
    task = wire.task(wire.project()["id"])
    argv = [
        "homarus.cli.main",
        "bridge",
        "--config",
        str(tmp_path / "bridge.config.json"),
        "--once",
    ]
    child = Child(argv, tmp_path / "log", {"EMPEROR_CLAW_API_TOKEN": wire.token or ""})
    assert child.wait(60) == 0, child.tail()
    assert wire.get(f"/tasks/{task['id']}").body["task"]["state"] == "done"
    assert [a["name"] for a in wire.get("/agents").body["agents"]] == ["from-file"]
    assert json.loads((tmp_path / "j.json").read_text())["lastRuntimeId"] == "node-9"


def test_no_executor_is_never_a_result(wire: Wire, tmp_path: Path) -> None:
    task = wire.task(wire.project()["id"])["id"]
    once(wire, tmp_path, "--bridge-state-path", str(tmp_path / "j.json"))
    events = wire.get(f"/tasks/{task}/notes").body["events"]
    kinds = {event["eventType"] for event in events}
    assert {"task_claimed", "task_handoff"} <= kinds
    assert not kinds & {"task_done", "task_failed", "task_review"}
    assert wire.get(f"/tasks/{task}").body["task"]["state"] == "inbox"
    (agent,) = wire.get("/agents").body["agents"]
    entries = wire.get(f"/agents/{agent['id']}/memory").body["entries"]
    assert [entry["kind"] for entry in entries] == ["task_claim"]


def test_weak_spot_2_the_shipped_bridge_stalled_after_its_first_task(
    wire: Wire, tmp_path: Path
) -> None:
    project = wire.project()["id"]
    tasks = [wire.task(project)["id"] for _ in range(4)]
    program = ("--exec", "--", sys.executable, "-c", PROGRAM)
    once(wire, tmp_path, "--bridge-state-path", str(tmp_path / "j.json"), *program)
    assert [wire.get(f"/tasks/{task}").body["task"]["state"] for task in tasks] == ["done"] * 4
