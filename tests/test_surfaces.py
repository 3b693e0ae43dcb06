"""No way round the door by a frame, a tool, a command or an executor (governance contract, 1).

Routes are walked in `test_one_door.py`. Here: every function that makes a frame, over a transaction
that cannot write; every tool, for the units it asks for; every module of the command line, for what
it may import; every module that can start a process. A planted side path of each kind is found, or
the walk proves nothing.
"""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from homarus.base.clock import SystemClock
from homarus.base.errors import HomarusError
from homarus.cli.app import MODULES
from homarus.company.executors import NAMES as EXECUTORS
from homarus.control_plane import table
from homarus.mcp.table import TOOLS
from homarus.mcp.tool import Tool, bind_tools
from homarus.mcp.toolbox import Toolbox
from homarus.store.port import Event
from tests.test_one_door import (
    COMPANY,
    OWNER,
    OpenDoor,
    RecordingStore,
    ShutRx,
    edge_over,
)
from tests.tiers import imports, modules, package_of

SOURCE = Path(__file__).parents[1] / "src"

# -- frames --------------------------------------------------------------------------------


def frame_effects(frames: dict[str, Callable[..., Any]]) -> list[str]:
    """Frame functions that do more than read."""
    found = []
    for kind, make in frames.items():
        event = Event(1, 0, kind, COMPANY, "system:tests", {}, COMPANY)
        try:
            make(ShutRx(), COMPANY, event)
        except (AssertionError, AttributeError) as error:
            if "update" in str(error) or "insert" in str(error) or "'run'" in str(error):
                found.append(kind)
        except (HomarusError, KeyError, TypeError):
            continue
    return found


def test_frames_read() -> None:
    assert frame_effects(table.frames()) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda rx, company, event: rx.run("update task set state='done'"),
        lambda rx, company, event: rx.one("update task set state='done' returning id"),
    ],
)
def test_a_planted_frame_that_writes_is_found(make: Any) -> None:
    assert frame_effects({"planted": make}) == ["planted"]


# -- tools ---------------------------------------------------------------------------------


def sample(schema: dict[str, Any]) -> Any:
    """A value that the schema accepts, as far as tools use schemas."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    return {"integer": 1, "number": 1, "boolean": True, "array": [], "object": {}}.get(
        str(kind), COMPANY
    )


async def tool_effects(tools: tuple[Tool, ...], home: Path) -> list[str]:
    """Tools that do otherwise than their route: one judged unit of its capability, or none."""
    routes, found = table.routes(), []
    for name, bound in bind_tools(tools, routes).items():
        store = RecordingStore()
        edge = edge_over(store, routes, home)
        toolbox = Toolbox(edge, OpenDoor(store, SystemClock(), COMPANY), {name: bound})  # type: ignore[arg-type]
        given = {
            word: sample(bound.schema["properties"][word]) for word in bound.schema["required"]
        }
        done = await toolbox.call(name, given, {})
        asked = [(action.capability, action.credential) for action in store.units]
        route: Any = bound.bound.route
        judged = route.capability if route.names is None else given["capability"]
        expected = [] if bound.reads else [(judged, OWNER.id)]
        if asked != expected or (not bound.reads and done.failed):
            found.append(f"{name}: units {asked}, {done.text}")
    return found


async def test_every_tool_is_its_route_and_nothing_else(tmp_path: Path) -> None:
    assert await tool_effects(TOOLS, tmp_path) == []


TASKS: dict[str, Any] = {"method": "GET", "path": "/tasks", "title": "t", "about": "a"}


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"path": "/nowhere"}, "no JSON route GET /nowhere"),
        ({"method": "DELETE"}, "no JSON route DELETE /tasks"),
        ({"path": "/messages/sync"}, "no JSON route GET /messages/sync"),
        ({"takes": ("secret",)}, "takes no secret"),
        ({"path": "/tasks/{id}"}, "does not give \\['id'\\]"),
        ({"fixed": {"role": "owner"}}, "fixes \\['role'\\]"),
        ({"name": "list_tasks"}, "two tools are called list_tasks"),
    ],
)
def test_a_planted_tool_without_its_route_is_refused(change: dict[str, Any], reason: str) -> None:
    planted = Tool(**{"name": "planted"} | TASKS | change)
    with pytest.raises(ValueError, match=reason):
        bind_tools((*TOOLS, planted), table.routes())


TOOLS_KNOW = ("homarus.base", "homarus.control_plane", "homarus.mcp", "homarus.__version__",
              "homarus.kernel.schemas", "homarus.store.port.Reply")  # fmt: skip
"""What the package of tools may use: the surface below it, and nothing that reaches a row."""


def tool_side_paths(source: Path) -> list[str]:
    return [
        f"{module}:{item.line} imports {item.module}"
        for module, path in modules(source)
        if module.startswith("homarus.mcp")
        for item in imports(path, module)
        if item.module.startswith("homarus.") and not item.module.startswith(TOOLS_KNOW)
    ]


def test_tools_know_nothing_below_the_routes() -> None:
    assert tool_side_paths(SOURCE) == []


@pytest.mark.parametrize(
    "code", ["from homarus.flows import claiming", "from homarus.store.port import Store"]
)
def test_a_planted_tool_module_that_writes_itself_is_found(tmp_path: Path, code: str) -> None:
    folder = tmp_path / "homarus" / "mcp"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(code)
    assert len(tool_side_paths(tmp_path)) == 1


# -- commands ------------------------------------------------------------------------------

OFFLINE = {
    "homarus.cli.restore": {"homarus.store.restore"},
    "homarus.cli.sql": {"homarus.store.sqlite.files"},
    "homarus.cli.audit": {"homarus.kernel.anchors", "homarus.kernel.verify"},
    "homarus.cli.doctor": {"homarus.backends", "homarus.store", "homarus.mainspace.git"},
    "homarus.cli.approval": {"homarus.kernel.keys"},
    "homarus.cli.explain": {"homarus.kernel.explained"},
    "homarus.cli.executing": {"homarus.backends"},
    "homarus.cli.mcp": {"homarus.mcp.stdio", "homarus.mcp.extra"},
    "homarus.cli.importing": {"homarus.importers"},
    "homarus.cli.cron": {"homarus.importers", "homarus.jobs.timing"},
    "homarus.cli.node": {"homarus.node", "homarus.backends.layers"},
}
"""Commands that look at files or tables of ours themselves: reading, but for `restore` of a stopped
daemon. `mcp` hands messages on to the daemon. `import` sends rows to the daemon, and copies files
into workspaces. `node run` is a client of a gateway, with files of its own."""
REMOTE = frozenset(
    {
        "base",
        "bridge",
        "client",
        "cli",
        "companion",
        "config",
        "demo",
        "app",
        "service",
        "gateway_client",
    }
)
"""What any command may use: it asks the daemon, or is the daemon."""


def direct_commands(source: Path) -> list[str]:
    """Imports by which a command could reach the company's rows without the daemon."""
    found = []
    for module, path in modules(source):
        if not module.startswith("homarus.cli"):
            continue
        allowed = OFFLINE.get(module, set())
        for item in imports(path, module):
            package = package_of(item.module)
            if package is None or package in REMOTE:
                continue
            if not any(item.module.startswith(name) for name in allowed):
                found.append(f"{module}:{item.line} imports {item.module}")
    return found


def test_commands_ask_the_daemon() -> None:
    assert {f"homarus.cli.{name}" for name in MODULES.values()} <= {m for m, _ in modules(SOURCE)}
    assert direct_commands(SOURCE) == []


@pytest.mark.parametrize(
    "code",
    ["from homarus.flows import claiming", "def f():\n    from homarus.store.sqlite import engine"],
)
def test_a_planted_command_that_writes_itself_is_found(tmp_path: Path, code: str) -> None:
    folder = tmp_path / "homarus" / "cli"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(code)
    assert len(direct_commands(tmp_path)) == 1


# -- executors -----------------------------------------------------------------------------

STARTS_PROCESSES = {
    "homarus.base.process": "the one place that starts a child",
    "homarus.backends.local": "runs a command of `dispatch`, whose intent was judged and committed",
    "homarus.backends.layers": "asks this machine what its sandbox can do; argv is our own",
    "homarus.backends.relay": "inside the sandbox: makes way for the command that was judged",
    "homarus.backends.supervise": "stands before a command that was judged, to end what it leaves",
    "homarus.backends.talking": "runs an MCP server that an owner registered, in the sandbox",
    "homarus.mainspace.git": "runs git on a company's folder; argv and environment are our own",
    "homarus.service.restart": "becomes the same daemon anew, in its own process; argv is our own",
    "homarus.bridge.programs": "an outside agent's programs, for what it claimed through the door",
    "homarus.demo.children": "the demo's own daemon and agents, in processes of their own",
    "homarus.demo.checks": "asks `homarus audit verify`",
    "homarus.demo.jobs.git_activity": "a job, inside the sandbox",
    "homarus.service.managers": "asks systemctl or launchctl for a person at the command line",
    "homarus.testing.supervisor": "a test's own service manager",
}
"""Modules that can start a process, and why what they start has been judged or has no effect."""
LIBRARIES = ("subprocess", "multiprocessing", "pty")
STARTERS = frozenset({"homarus.base.process", "homarus.base.process.run"})
CALLS = frozenset({"system", "popen", "fork", "forkpty", "posix_spawn", "startfile"})
RUNS_COMMANDS = {
    "homarus.backends.local": "run_command",
    "homarus.backends.talking": "talking",
    "homarus.dispatch.commands": "Runner",
}
"""Module and name of what runs a command: in the sandbox, and what the two workers share."""
JUDGED_RUNNERS = {
    "homarus.dispatch.commands",
    "homarus.dispatch.calls",
    "homarus.dispatch.by_command",
    "homarus.dispatch.claude_code",
    "homarus.scheduler.works",
    "homarus.scheduler.command",  # the bounds of what `works` runs
    "homarus.agents.mcp.link",  # servers that an owner registered; each call is judged before
    "homarus.node.commands",  # another machine: what its owner allowed, for an invoke with a row
    "homarus.demo.work",  # an outside agent, in a process of its own, for a task that it claimed
}
"""Modules that hand commands to the backend: each writes the intent through the door first."""
BOUNDS_ONLY = {"homarus.kernel.limits"}


def starters(source: Path) -> list[str]:
    """Modules that can start a process and are not in the list above."""
    found = []
    for module, path in modules(source):
        if module in STARTS_PROCESSES or module in BOUNDS_ONLY:
            continue
        names = [item.module for item in imports(path, module)]
        if any(name in STARTERS or name.startswith(LIBRARIES) for name in names):
            found.append(module)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Attribute(value=ast.Name(id="os"), attr=attr) if (
                    attr in CALLS or attr.startswith(("exec", "spawn"))
                ):
                    found.append(module)
                case ast.Attribute(attr=attr) if attr.startswith("create_subprocess"):
                    found.append(module)
    return found


def runners(source: Path) -> list[str]:
    """Modules outside `backends` that hand commands to the sandbox and are not judged runners."""
    return [
        module
        for module, path in modules(source)
        if package_of(module) != "backends"
        and module not in JUDGED_RUNNERS
        and any(
            item.module.startswith(runs) and name in path.read_text("utf-8")
            for item in imports(path, module)
            for runs, name in RUNS_COMMANDS.items()
        )
    ]


def test_only_known_modules_start_processes() -> None:
    assert starters(SOURCE) == []
    assert runners(SOURCE) == []


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess",
        "from homarus.base.process import run",
        "from homarus.base import process",
        "import os\nos.execv('/bin/sh', [])",
        "import asyncio\nasyncio.create_subprocess_exec('id')",
    ],
)
def test_a_planted_executor_is_found(tmp_path: Path, code: str) -> None:
    folder = tmp_path / "homarus" / "flows"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(code)
    assert starters(tmp_path) == ["homarus.flows.evil"]


@pytest.mark.parametrize(
    "code",
    [
        "from homarus.backends import local\nlocal.run_command",
        "from homarus.dispatch import commands\ncommands.Runner()",
        "from homarus.dispatch.commands import Runner\nRunner()",
    ],
)
def test_a_planted_runner_is_found(tmp_path: Path, code: str) -> None:
    folder = tmp_path / "homarus" / "dispatch"
    folder.mkdir(parents=True)
    (folder / "evil.py").write_text(code)
    assert runners(tmp_path) == ["homarus.dispatch.evil"]


def test_every_executor_has_its_road() -> None:
    """`external` claims over the wire; `command`, `openresponses` and `claude_code` are the
    dispatcher's, judged before each run; `llm` is the runner's, whose every step is a unit
    (`flows/turning.py`)."""
    assert set(EXECUTORS) == {"external", "command", "llm", "openresponses", "claude_code"}
