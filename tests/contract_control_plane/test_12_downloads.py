"""Contract, section 12: what clients download without a token, run for real."""

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from homarus.testing.waiting import seen
from tests.contract_control_plane.wire import Wire
from tests.support.requires import requires

WAIT_S = 30
NO_TOKEN = None
SCRIPTS = ("/downloads/control-plane.js", "/downloads/bridge.js", "/install.sh", "/install.ps1")


def fetch(owner: Wire, path: str) -> bytes:
    return Wire(owner.url, NO_TOKEN).get("!" + path).raw


@pytest.mark.parametrize(
    ("path", "kind", "first"),
    [
        ("/downloads/control-plane.js", "text/javascript", b"#!/usr/bin/env node\n"),
        ("/downloads/bridge.js", "text/javascript", b"#!/usr/bin/env node\n"),
        ("/install.sh", "text/plain", b"#!/bin/sh\n"),
        ("/install.ps1", "text/plain", b"# Connects this machine to a Homarus control plane.\r\n"),
    ],
)
def test_must_serve_without_a_token(owner: Wire, path: str, kind: str, first: bytes) -> None:
    reply = Wire(owner.url, NO_TOKEN).get("!" + path)
    assert reply.status == 200
    assert reply.raw.startswith(first)
    assert reply.headers["content-type"] == f"{kind}; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert Wire(owner.url, NO_TOKEN).call("HEAD", "!" + path).raw == b""


@pytest.mark.parametrize("path", ["/docs", "/docs/"])
def test_docs_lead_to_the_page(owner: Wire, path: str) -> None:
    anybody = Wire(owner.url, NO_TOKEN)
    moved = anybody.get("!" + path)
    assert (moved.status, moved.headers["location"]) == (308, "/api/docs")
    assert anybody.get("!" + moved.headers["location"]).status == 200


@pytest.mark.parametrize("path", ["/downloads", "/downloads/", "/downloads/other.js", "/install"])
def test_nothing_else_lies_there(owner: Wire, path: str) -> None:
    assert Wire(owner.url, NO_TOKEN).get("!" + path).status == 404


@pytest.mark.parametrize("path", [*SCRIPTS, "/docs"])
def test_they_are_read_only(owner: Wire, path: str) -> None:
    assert Wire(owner.url, NO_TOKEN).post("!" + path, {}).status == 404


@pytest.mark.parametrize("path", SCRIPTS)
def test_weak_spot_31_line_endings_fit_their_shell(owner: Wire, path: str) -> None:
    """The original's shell helper had Windows line endings: bash could not parse it."""
    content = fetch(owner, path)
    lines = content.count(b"\n")
    assert lines > 10 and content.endswith(b"\n")
    assert content.count(b"\r") == (lines if path.endswith(".ps1") else 0)
    assert content.isascii()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_weak_spot_31_the_install_script_parses(owner: Wire, shell: str) -> None:
    script = fetch(owner, "/install.sh")
    assert subprocess.run([shell, "-n"], input=script, timeout=WAIT_S).returncode == 0


def test_weak_spot_31_no_script_knows_a_host(owner: Wire) -> None:
    """The original's helper had its author's production host in it."""
    named = {
        host for path in SCRIPTS for host in re.findall(rb"https?://([\w.-]+)", fetch(owner, path))
    }
    assert named <= {b"HOST"}


@pytest.mark.parametrize(
    "name", ["emperorVersion", "recommendedSkillVersion", "minimumBridgeVersion", "docsUrl"]
)
def test_must_find_fields_in_compact_json_as_install_scripts_do(wire: Wire, name: str) -> None:
    """Section 4.1: they search the text, not the JSON; no space after the colon."""
    found = subprocess.run(
        ["grep", "-o", f'"{name}":"[^"]*"'],
        input=wire.get("/runtime/health").raw,
        capture_output=True,
        timeout=WAIT_S,
    )
    assert found.stdout.startswith(f'"{name}":"'.encode()), found


# -- the launchers, in Node -----------------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """A folder with the downloaded launcher and a stand-in for `homarus` that notes its call."""

    folder: Path
    node: str

    def run(
        self, *arguments: str, launcher: str = "control-plane.js", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        argv = [self.node, str(self.folder / launcher), *arguments]
        return subprocess.run(
            argv, capture_output=True, text=True, timeout=WAIT_S, env=self.environment(environment)
        )

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        return {"PATH": path, "HOME": str(self.folder), **more}

    def stands_in(self, body: str, name: str = "homarus") -> Path:
        program = self.folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return program


@pytest.fixture
def place(owner: Wire, tmp_path: Path) -> Place:
    node = requires("nodejs")
    for name in ("control-plane.js", "bridge.js"):
        (tmp_path / name).write_bytes(fetch(owner, f"/downloads/{name}"))
    return Place(tmp_path, node)


NOTE = r"""printf '%s\n' "$@" """
ODD = ["--agent-name", "a b", "", "$(id)", "; rm -rf /", '"', "é"]


@pytest.mark.parametrize("command", ["bootstrap", "doctor", "sync", "repair", "session-inspect"])
def test_must_take_the_commands_of_the_original(place: Place, command: str) -> None:
    place.stands_in(NOTE)
    ran = place.run(command, "--api-base-url", "http://h", "--token", "t", "--json")
    expected = ["companion", command, "--api-base-url", "http://h", "--token", "t", "--json"]
    assert (ran.returncode, ran.stdout.splitlines()) == (0, expected)


@pytest.mark.parametrize(
    ("launcher", "command"), [("control-plane.js", "companion"), ("bridge.js", "bridge")]
)
def test_arguments_pass_without_a_shell(place: Place, launcher: str, command: str) -> None:
    place.stands_in(NOTE)
    ran = place.run(*ODD, launcher=launcher)
    assert ran.stdout.splitlines() == [command, *ODD]


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_the_exit_code_passes(place: Place, code: int) -> None:
    place.stands_in(f"exit {code}")
    assert place.run("doctor").returncode == code


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_pass_both_ways(place: Place, name: signal.Signals) -> None:
    """A signal to the launcher reaches the program; the program's end by it is the launcher's."""
    ready = place.folder / "ready"
    place.stands_in(f"trap 'trap - {name.value}; kill -{name.value} $$' {name.value}; : >{ready}; "
                    "for i in $(seq 600); do sleep 0.05; done")  # fmt: skip
    child = subprocess.Popen(
        [place.node, str(place.folder / "control-plane.js"), "doctor"],
        stdin=subprocess.DEVNULL,
        env=place.environment({}),
    )
    seen(ready.exists, WAIT_S)
    child.send_signal(name)
    assert child.wait(WAIT_S) == -name


def test_the_program_is_named_by_homarus_bin(place: Place) -> None:
    other = place.stands_in(f"echo other; {NOTE}", name="other")
    by_path = place.run("sync", HOMARUS_BIN=str(other))
    by_name = place.run("sync", HOMARUS_BIN="other")
    assert by_path.stdout == by_name.stdout == "other\ncompanion\nsync\n"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "homarus is not on PATH"),
        ({"HOMARUS_BIN": "/no/such/homarus"}, "HOMARUS_BIN names no program: /no/such/homarus"),
        ({"HOMARUS_BIN": "/tmp"}, "HOMARUS_BIN names no program: /tmp"),
        ({"HOMARUS_BIN": "no-such-homarus"}, "HOMARUS_BIN names no program: no-such-homarus"),
    ],
)
def test_a_missing_program_is_one_line_with_the_fix(
    place: Place, environment: dict[str, str], said: str
) -> None:
    ran = place.run("doctor", **environment)
    assert (ran.returncode, ran.stdout) == (1, "")
    (line,) = ran.stderr.splitlines()
    assert line.startswith(f"[error] {said}") and "pip install homarus" in line


def test_a_program_that_cannot_start_is_told(place: Place) -> None:
    broken = place.stands_in("")
    broken.write_text("#!/no/such/interpreter\n")
    ran = place.run("doctor")
    assert ran.returncode == 1
    assert ran.stderr.startswith("[error] ") and "cannot be started" in ran.stderr


def test_it_runs_below_a_package_of_modules(place: Place) -> None:
    place.stands_in(NOTE)
    (place.folder / "package.json").write_text(json.dumps({"type": "module"}))
    assert place.run("sync").stdout == "companion\nsync\n"


# -- the install script ---------------------------------------------------------------------

Install = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def install(owner: Wire, tmp_path: Path) -> Install:
    script = fetch(owner, "/install.sh").decode()

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
        return subprocess.run(
            ["sh", "-s", "--", *arguments],
            input=script,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            env={"HOME": str(tmp_path), "PATH": path, **environment},
        )

    return run


def program(tmp_path: Path, name: str, body: str) -> None:
    file = tmp_path / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


def test_install_hands_over_to_a_homarus_that_is_there(install: Install, tmp_path: Path) -> None:
    program(tmp_path, "homarus", f'[ "$1" = --version ] && echo "homarus 0" || {NOTE}')
    ran = install("--agent-name", "a b")
    assert ran.returncode == 0, ran.stderr
    first, *rest = ran.stdout.splitlines()
    assert first == f"[ok] homarus 0 at {tmp_path}/bin/homarus"
    assert rest == ["companion", "bootstrap", "--agent-name", "a b"]


def test_install_tells_what_the_control_plane_says_of_itself(
    install: Install, tmp_path: Path, wire: Wire
) -> None:
    program(tmp_path, "homarus", "exit 0")
    token = str(wire.token)
    ran = install(EMPEROR_CLAW_API_URL=f"{wire.url}/api/mcp", EMPEROR_CLAW_API_TOKEN=token)
    assert ran.returncode == 0, ran.stderr
    health = wire.get("/runtime/health")
    assert ran.stdout.startswith(
        f"[ok] control plane {health['emperorVersion']}, bridges from "
        f"{health['minimumBridgeVersion']}, documentation {health['docsUrl']}\n"
    )
    assert token not in ran.stdout + ran.stderr


def test_install_stops_at_a_refused_token(install: Install, tmp_path: Path, wire: Wire) -> None:
    program(tmp_path, "homarus", "echo must not run")
    ran = install(EMPEROR_CLAW_API_URL=wire.url, EMPEROR_CLAW_API_TOKEN="ec_" + "0" * 48)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.splitlines()[-1].startswith("[error] ")


def test_install_makes_an_environment_of_its_own(install: Install, tmp_path: Path) -> None:
    """With a Python that stands in: it makes the environment's python, which installs a homarus."""
    made = tmp_path / ".local/share/homarus/venv/bin"
    program(
        tmp_path,
        "python3",
        f"""case "$1" in
-c) exit 0 ;;
*) mkdir -p {made}
   printf '#!/bin/sh\\necho "$@" >>{tmp_path}/asked\\n' >{made}/python
   printf '#!/bin/sh\\necho "$@"\\n' >{made}/homarus
   chmod +x {made}/python {made}/homarus ;;
esac""",
    )
    ran = install("--json", HOMARUS_PACKAGE="homarus==0.1.0")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "companion bootstrap --json"
    assert "install --quiet --upgrade homarus==0.1.0" in (tmp_path / "asked").read_text()


def test_install_without_a_fitting_python_says_so(install: Install, tmp_path: Path) -> None:
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        program(tmp_path, name, "exit 1")
    ran = install()
    assert ran.returncode == 1
    assert ran.stderr.startswith("[error] Homarus needs Python 3.11 or newer")


# -- section 16: the shell helper's two routes ------------------------------------------------


def test_weak_spot_31_the_shell_helpers_routes_work_without_a_key(wire: Wire) -> None:
    """The original answers 404 to both."""
    agent, project = wire.agent(), wire.project()["id"]
    wire.task(project, priority=100)
    wanted = wire.task(project)["id"]
    claimed = wire.post(f"/tasks/{wanted}/claim", {"agentId": agent["id"]}, key=None)
    assert (claimed.status, claimed["task"]["id"], claimed["task"]["state"]) == (
        200,
        wanted,
        "in_progress",
    )
    done = wire.post(f"/tasks/{wanted}/complete", {"agentId": agent["id"]}, key=None)
    assert (done.status, done["task"]["state"]) == (200, "done")
