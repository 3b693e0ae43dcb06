"""What a machine's owner lets a gateway run there."""

import json
from pathlib import Path
from typing import Any

import pytest

from homarus.backends import layers
from homarus.base.errors import Invalid
from homarus.gateway_client import identity
from homarus.node import commands, policy
from homarus.node.commands import Machine
from homarus.node.host import pause
from homarus.node.policy import Agent, Defaults, Entry, Policy


@pytest.mark.parametrize(
    ("pattern", "program", "fits"),
    [
        ("/usr/bin/git", "/usr/bin/git", True),
        ("/usr/bin/git", "/usr/bin/git2", False),
        ("/usr/bin/*", "/usr/bin/git", True),
        ("/usr/bin/*", "/usr/bin/x/git", False),
        ("/opt/*/bin/tool", "/opt/a/bin/tool", True),
        ("/opt/*/bin/tool", "/opt/a/b/bin/tool", False),
        ("git", "/usr/bin/git", False),
        ("*", "/usr/bin/git", False),
    ],
)
def test_patterns(pattern: str, program: str, fits: bool) -> None:
    assert policy.matches(pattern, program) is fits


@pytest.mark.parametrize(
    ("security", "ask", "program", "approved", "runs"),
    [
        ("deny", "on-miss", "/a", True, False),
        ("allowlist", "on-miss", "/a", False, True),
        ("allowlist", "on-miss", "/b", False, False),
        ("allowlist", "on-miss", "/b", True, True),
        ("allowlist", "off", "/b", True, False),
        ("allowlist", "off", "/a", False, True),
        ("allowlist", "always", "/a", False, False),
        ("allowlist", "always", "/a", True, True),
        ("full", "on-miss", "/b", False, True),
        ("full", "always", "/b", False, False),
        ("full", "always", "/b", True, True),
    ],
)
def test_what_runs(security: Any, ask: Any, program: str, approved: bool, runs: bool) -> None:
    agents = {"*": Agent((Entry("/a"),)), "main": Agent((Entry("/b"),))}
    rules = Policy(defaults=Defaults(security, ask), agents=agents)
    assert (rules.refuses(program, approved) is None) is runs


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version":2}', '{"defaults":{"security":"some"}}', '{"agents":1}']
)
def test_a_file_that_is_wrong_allows_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / policy.FILE).write_text(text)
    with pytest.raises(Invalid, match=r"node\.policy"):
        policy.read(tmp_path)


def test_allowing_keeps_what_else_stands_there(tmp_path: Path) -> None:
    (tmp_path / policy.FILE).write_text(json.dumps({"version": 1, "socket": {"path": "x"}}))
    for _ in range(2):
        assert policy.allow(tmp_path, "/usr/bin/git").patterns == ("/usr/bin/git",)
    assert json.loads((tmp_path / policy.FILE).read_text())["socket"] == {"path": "x"}
    for wrong in ("git", "/usr/bin/"):
        with pytest.raises(Invalid, match=r"node\.pattern"):
            policy.allow(tmp_path, wrong)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("node")
    (folder / "workspace" / "inner").mkdir(parents=True)
    (folder / "workspace" / "out").symlink_to("/")
    for name in ("printf", "pwd", "sleep", "env"):
        policy.allow(folder, f"/usr/bin/{name}")
    return Machine(folder, folder / "workspace", layers.probe(), trusted=True)


async def said(machine: Machine, params: Any, command: str = "system.run") -> dict[str, Any]:
    text = params if isinstance(params, str) else json.dumps(params)
    return await commands.do(machine, command, text, 10_000, lambda handle: None)


@pytest.mark.parametrize(
    ("params", "payload"),
    [
        ({"command": ["printf", "%s", "$HOME; ls"]}, {"stdout": "$HOME; ls", "exitCode": 0}),
        ({"command": ["printf"]}, {"success": False}),
        ({"command": ["/usr/bin/printf", "x"]}, {"stdout": "x"}),
        ({"command": ["/bin/printf", "x"]}, {"stdout": "x"}),
        ({"command": ["sleep", "9"], "timeoutMs": 1}, {"timedOut": True, "success": False}),
        ({"command": ["printf", "x"], "cwd": "inner", "env": {"LANG": "C"}}, {"stdout": "x"}),
        ({"command": ["printf", "x"], "rawCommand": "rm -r /", "runId": "1"}, {"stdout": "x"}),
    ],
)
async def test_runs(machine: Machine, params: Any, payload: dict[str, Any]) -> None:
    reply = await said(machine, params)
    assert reply["ok"], reply
    assert reply["payload"].items() >= payload.items()


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"command": "printf x"}, "INVALID_REQUEST"),
        ({"command": []}, "INVALID_REQUEST"),
        ({}, "INVALID_REQUEST"),
        ("{", "INVALID_REQUEST"),
        ({"command": ["printf", "x"], "cwd": ".."}, "INVALID_REQUEST"),
        ({"command": ["printf", "x"], "cwd": "out"}, "INVALID_REQUEST"),
        ({"command": ["printf", "x"], "cwd": "/"}, "INVALID_REQUEST"),
        ({"command": ["printf", "x"], "env": {"LD_PRELOAD": "x"}}, "SYSTEM_RUN_DENIED"),
        ({"command": ["printf", "x"], "env": {"PATH": "x"}}, "SYSTEM_RUN_DENIED"),
        ({"command": ["touch", "x"]}, "SYSTEM_RUN_DENIED"),
        ({"command": ["no-such-program"]}, "NOT_FOUND"),
    ],
)
async def test_does_not_run(machine: Machine, params: Any, code: str) -> None:
    assert (await said(machine, params))["error"]["code"] == code


async def test_an_unknown_command(machine: Machine) -> None:
    assert (await said(machine, {}, "camera.snap"))["error"]["code"] == "UNAVAILABLE"


async def test_a_flood_is_bounded(machine: Machine) -> None:
    reply = await said(machine, {"command": ["printf", "%300000d", "1"]})
    assert reply["payload"]["truncated"]
    assert len(reply["payload"]["stdout"]) <= commands.OUTPUT_BYTES + 200


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    first, second = identity.load(tmp_path), identity.load(tmp_path)
    assert first.id == second.id
    path = tmp_path / identity.KEY
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(Invalid, match="can be read by others"):
        identity.load(tmp_path)
    path.write_text("{}")
    with pytest.raises(Invalid, match="holds no key"):
        identity.load(tmp_path)


@pytest.mark.parametrize(
    ("failed", "chance", "pause_s"), [(1, 0, 1), (1, 1, 0.5), (3, 0, 4), (7, 0, 60), (99, 1, 30)]
)
def test_pauses(failed: int, chance: float, pause_s: float) -> None:
    assert pause(failed, chance) == pause_s
