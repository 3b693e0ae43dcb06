"""Contract, section 14 (and 9, rules 1 and 2; 13.1): the companion against a daemon process."""

import json
import os
import re
import select
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.sync.server import ServerConnection, serve

from homarus.companion import doctor, files
from tests.contract_control_plane.wire import Wire
from tests.support.commands import Ran, Terminal
from tests.support.profile import Profile
from tests.support.requires import requires
from tests.support.scripted_http import Answer, scripted

ROOT = Path(__file__).parents[2]
WAIT_S = 60
TAG = re.compile(r"\[(step|ok|warn|next|done|sync|inspect)\] \S")
UNSET = (
    "EMPEROR_CLAW_API_URL",
    "EMPEROR_CLAW_API_TOKEN",
    "EMPEROR_AGENT_NAME",
    "EMPEROR_RUNTIME_ID",
    "EMPEROR_CLAW_COMPANION_DIR",
    "EMPEROR_CLAW_STATE_DIR",
    "EMPEROR_CLAW_BRIDGE_STATE_PATH",
    "OPENCLAW_HOME",
)
LAUNCHERS = ("run-bridge", "doctor", "sync", "repair", "session-inspect")
CONFIG_KEYS = {
    "schemaVersion",
    "apiBaseUrl",
    "wsUrl",
    "bridgeEntry",
    "stateDir",
    "bridgeStatePath",
    "workspace",
    "doctorAgentName",
    "runtimeId",
    "openclawHome",
    "companionDir",
    "resourceScopes",
    "artifactKinds",
    "reconnectPolicy",
}


@dataclass
class Machine:
    """A machine with a companion directory. `said` is everything that was ever printed."""

    folder: Path
    url: str
    token: str
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """A `homarus` for launchers: this source, whatever is installed."""
        self.program.parent.mkdir()
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -m homarus.cli.main "$@"\n')
        self.program.chmod(0o700)

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "our homarus"

    @property
    def place(self) -> Path:
        return self.folder / "companion"

    @property
    def state(self) -> Path:
        return self.place / "state"

    @property
    def config(self) -> dict[str, Any]:
        return dict(json.loads((self.place / "bridge.config.json").read_text()))

    def environment(self, **more: str | None) -> dict[str, str | None]:
        return {
            **dict.fromkeys(UNSET),
            "EMPEROR_CLAW_API_URL": self.url,
            "EMPEROR_CLAW_API_TOKEN": self.token,
            "EMPEROR_CLAW_COMPANION_DIR": str(self.place),
            "HOME": str(self.folder),
            **more,
        }

    def __call__(self, *arguments: str, **environment: str | None) -> Ran:
        terminal = Terminal(self.folder / "homarus")
        env: Any = self.environment(**environment)
        ran = terminal("companion", *arguments, env=env)
        self.said += [ran.out, ran.err]
        return ran

    def does(self, *arguments: str, **environment: str | None) -> Ran:
        ran = self(*arguments, **environment)
        assert (ran.code, ran.err) == (0, ""), ran
        return ran

    def save(self, config: dict[str, Any]) -> None:
        (self.place / "bridge.config.json").write_text(json.dumps(config))

    def report(self, name: str) -> dict[str, Any]:
        return dict(json.loads((self.state / f"last-{name}.json").read_text()))

    def files(self) -> dict[str, bytes]:
        found = self.place.rglob("*") if self.place.exists() else ()
        return {str(at.relative_to(self.place)): at.read_bytes() for at in found if at.is_file()}


@pytest.fixture
def machine(wire: Wire, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path, wire.url, str(wire.token))
    yield made
    assert made.token not in "".join(made.said), "a token was printed"


@pytest.fixture
def ready(machine: Machine) -> Machine:
    machine.does("bootstrap", "--agent-name", "ada", "--runtime-id", "box-1")
    return machine


# -- bootstrap -------------------------------------------------------------------------------


def test_bootstrap_writes_the_companion_directory(machine: Machine) -> None:
    ran = machine.does("bootstrap", "--agent-name", "ada", "--runtime-id", "box-1")
    assert all(TAG.match(line) for line in ran.out.splitlines())
    assert f"[ok] token validated at {machine.url}" in ran.out
    assert f"[ok] config {machine.place}/bridge.config.json" in ran.out
    assert "[next] " in ran.out and ran.out.splitlines()[-1].startswith("[done] ")
    expected = {f"{name}{end}" for name in LAUNCHERS for end in (".sh", ".cmd")} | {
        "bridge.config.json",
        "bridge.js",
        "company.token",
        ".env.example",
        "openclaw.control-plane.json",
        "README.txt",
        "state/bridge-state.json",
    }
    assert machine.files().keys() == expected


def test_bootstrap_configures_what_clients_read(ready: Machine) -> None:
    config = ready.config
    assert config.keys() == CONFIG_KEYS | {"tokenFile"}
    assert config["schemaVersion"] == 1
    assert config["apiBaseUrl"] == ready.url
    assert config["wsUrl"] == f"ws{ready.url.removeprefix('http')}/api/mcp/ws"
    assert (config["doctorAgentName"], config["runtimeId"]) == ("ada", "box-1")
    assert config["stateDir"] == str(ready.state)
    assert config["bridgeStatePath"] == str(ready.state / "bridge-state.json")
    assert config["companionDir"] == str(ready.place)
    assert config["reconnectPolicy"] == {"baseDelayMs": 2000, "maxDelayMs": 60000}
    assert config["resourceScopes"] and config["artifactKinds"]
    assert Path(config["bridgeEntry"]).read_bytes().startswith(b"#!/usr/bin/env node")


def test_files_are_private_and_the_token_lies_in_one(ready: Machine) -> None:
    for at in (ready.place, *ready.place.rglob("*")):
        assert stat.S_IMODE(at.stat().st_mode) & 0o077 == 0, at
    holding = [name for name, content in ready.files().items() if ready.token.encode() in content]
    assert holding == ["company.token"]


def test_the_journal_is_empty_and_has_every_field_of_13_1(ready: Machine) -> None:
    journal = json.loads((ready.state / "bridge-state.json").read_text())
    assert journal["version"] == 1
    assert journal["createdAt"] == journal["updatedAt"]
    assert (journal["backoffSec"], journal["backoffMs"], journal["reconnectAttempt"]) == (
        2,
        2000,
        0,
    )
    for name in ("lastSeenAt", "lastSyncAt", "lastRuntimeId", "lastSessionId", "lastAgentId"):
        assert journal[name] is None
    for name in ("recentMessageIds", "recentTaskFingerprints", "pendingOperationIds"):
        assert journal[name] == []


def test_bootstrap_again_keeps_what_is_there(ready: Machine) -> None:
    before = ready.files()
    ready.does("bootstrap")
    assert ready.files() == before
    ready.does("bootstrap", "--agent-name", "bob")
    assert ready.config["doctorAgentName"] == "bob"
    assert ready.config["runtimeId"] == "box-1"


@pytest.mark.parametrize("suffix", ["/api/mcp", "/api/mcp/", "/api/v1", "/", ""])
def test_the_address_may_carry_the_mount(machine: Machine, suffix: str) -> None:
    machine.does("bootstrap", "--api-base-url", machine.url + suffix)
    assert machine.config["apiBaseUrl"] == machine.url


def test_skip_validate_asks_nobody(machine: Machine) -> None:
    ran = machine.does("bootstrap", "--skip-validate", "--api-base-url", "http://127.0.0.1:1")
    assert "validated" not in ran.out
    assert machine.config["apiBaseUrl"] == "http://127.0.0.1:1"


def test_without_a_token_nothing_of_it_is_stored(machine: Machine) -> None:
    ran = machine.does("bootstrap", "--skip-validate", EMPEROR_CLAW_API_TOKEN=None)
    assert "[warn] no token is stored" in ran.out
    assert "tokenFile" not in machine.config and "company.token" not in machine.files()


def test_the_homes_own_token_is_named_not_copied(tmp_path: Path) -> None:
    """On the daemon's machine nothing needs to be given at all."""
    terminal = Terminal(tmp_path)
    token = "ec_" + "a" * 48
    with scripted(Answer(200, {"agents": []})) as server:
        terminal.runs(server.url)
        (tmp_path / "run" / "company.token").write_text(token + "\n")
        (tmp_path / "run" / "company.token").chmod(0o600)
        env: Any = dict.fromkeys(UNSET) | {"EMPEROR_CLAW_COMPANION_DIR": str(tmp_path / "c")}
        assert terminal("companion", "bootstrap", env=env).code == 0
    assert server.asked[0].headers["authorization"] == f"Bearer {token}"
    config = json.loads((tmp_path / "c" / "bridge.config.json").read_text())
    assert config["tokenFile"] == str(tmp_path / "run" / "company.token")
    assert not (tmp_path / "c" / "company.token").exists()


# -- launchers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAUNCHERS)
def test_launchers_have_the_line_endings_of_their_shell(ready: Machine, name: str) -> None:
    unix = (ready.place / f"{name}.sh").read_bytes()
    windows = (ready.place / f"{name}.cmd").read_bytes()
    assert b"\r" not in unix and os.access(ready.place / f"{name}.sh", os.X_OK)
    assert windows.count(b"\r\n") == windows.count(b"\n") == windows.count(b"\r") > 3
    assert subprocess.run(["sh", "-n"], input=unix, timeout=WAIT_S).returncode == 0


def launched(machine: Machine, name: str, *arguments: str, **more: str) -> str:
    """What a launcher printed, run in an environment that knows nothing of the machine."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "src"), "HOME": str(machine.folder)}
    done = subprocess.run(
        [str(machine.place / name), *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={**env, "HOMARUS_BIN": str(machine.program), **more},
    )
    machine.said += [done.stdout, done.stderr]
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("doctor.sh", "[done]"),
        ("sync.sh", "[done]"),
        ("repair.sh", "[done]"),
        ("session-inspect.sh", "[inspect]"),
    ],
)
def test_launchers_work_on_their_own(ready: Machine, name: str, last: str) -> None:
    assert launched(ready, name).splitlines()[-1].startswith(last)


SHOW = """#!/bin/sh
printf '%s\\n' "$*" "$EMPEROR_CLAW_API_URL" "$EMPEROR_CLAW_COMPANION_DIR" "$EMPEROR_AGENT_NAME"
echo "${HOMARUS_TOKEN:-nothing of a person's}"
[ "$EMPEROR_CLAW_API_TOKEN" = "$(cat "$EMPEROR_CLAW_COMPANION_DIR/company.token")" ] && echo token
"""


def test_run_bridge_hands_its_settings_over(ready: Machine) -> None:
    stand_in = ready.folder / "stand-in"
    stand_in.write_text(SHOW)
    stand_in.chmod(0o700)
    said = launched(
        ready, "run-bridge.sh", "--once", HOMARUS_BIN=str(stand_in), HOMARUS_TOKEN="ho_1"
    )
    assert said.splitlines() == [
        f"bridge --config {ready.place}/bridge.config.json --once",
        ready.url,
        str(ready.place),
        "ada",
        "nothing of a person's",
        "token",
    ]


def test_the_bridge_entry_runs_in_node(ready: Machine) -> None:
    """Tools of the original start `node <bridgeEntry>`."""
    node = requires("nodejs")
    stand_in = ready.folder / "stand-in"
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o700)
    done = subprocess.run(
        [node, ready.config["bridgeEntry"], "--x"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={"PATH": os.environ["PATH"], "HOMARUS_BIN": str(stand_in)},
    )
    assert done.stdout == "bridge\n--x\n", done.stderr


def test_from_download_to_doctor(machine: Machine, wire: Wire) -> None:
    """The way of section 12: the install script sets up, the downloaded launcher tries it."""
    node = requires("nodejs")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT / "src"),
        "HOME": str(machine.folder),
        "HOMARUS_BIN": str(machine.program),
        "EMPEROR_CLAW_API_URL": machine.url,
        "EMPEROR_CLAW_API_TOKEN": machine.token,
    }
    launcher = machine.folder / "control-plane.js"
    launcher.write_bytes(wire.get("!/downloads/control-plane.js").raw)
    script = wire.get("!/install.sh").raw.decode()
    for argv, given in (
        (["sh", "-s", "--", "--agent-name", "ada"], script),
        ([node, str(launcher), "doctor"], ""),
    ):
        done = subprocess.run(
            argv, input=given, capture_output=True, text=True, timeout=WAIT_S, env=env
        )
        machine.said += [done.stdout, done.stderr]
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[-1].startswith("[done]")
    place = machine.folder / ".openclaw" / "emperor-control-plane"
    assert json.loads((place / "state" / "last-doctor.json").read_text())["status"] == "passed"


def test_odd_places_do_not_break_launchers(wire: Wire, tmp_path: Path) -> None:
    folder = tmp_path / "it's $(odd) 100%; x"
    folder.mkdir()
    machine = Machine(folder, wire.url, str(wire.token))
    machine.does("bootstrap", "--agent-name", "o'neil `x`")
    assert launched(machine, "sync.sh").splitlines()[-1].startswith("[done]")
    windows = (machine.place / "doctor.cmd").read_text()
    assert "100%%; x" in windows and "100%;" not in windows


# -- doctor ----------------------------------------------------------------------------------

STEPS = ("token", "socket", "runtime", "agent", "session", "heartbeat", "message", "checkpoint",
         "end")  # fmt: skip


def test_doctor_goes_through_the_whole_exchange(ready: Machine, wire: Wire) -> None:
    ran = ready.does("doctor")
    lines = ran.out.splitlines()
    assert tuple(s.split()[1] for s in lines if s.startswith("[step]")) == STEPS
    assert sum(line.startswith("[ok]") for line in lines) == len(STEPS)
    assert lines[-1].startswith("[done]")
    report = ready.report("doctor")
    assert report.keys() == {
        "inspectedAt",
        "apiBaseUrl",
        "wsUrl",
        "runtimeId",
        "agentName",
        "sessionId",
        "status",
    }
    assert (report["status"], report["agentName"], report["runtimeId"]) == (
        "passed",
        "ada",
        "box-1",
    )

    (agent,) = (a for a in wire.get("/agents?limit=500")["agents"] if a["name"] == "ada")
    assert agent["status"] == "online"
    threads = wire.get(f"/threads?type=direct&agentId={agent['id']}")["threads"]
    messages = wire.get(f"/threads/{threads[0]['id']}/messages")["messages"]
    assert messages[-1]["text"] == doctor.TEXT
    body = {"openclawSessionId": "after"}
    after = wire.post(f"/agents/{agent['id']}/sessions/start", body, key=None)
    (mine,) = (s for s in after["recentSessions"] if s["openclawSessionId"] == report["sessionId"])
    assert mine["status"] == "ended" and mine["endedAt"]


def test_doctor_json_is_its_report(ready: Machine) -> None:
    ran = ready.does("doctor", "--json", "--session-id", "s-1")
    assert ran.json == ready.report("doctor")
    assert ran.json["sessionId"] == "s-1"


def test_doctor_leaves_the_agent_as_busy_as_it_is(ready: Machine, wire: Wire) -> None:
    agent = wire.agent("busy-one")
    wire.post("/agents/heartbeat", {"agentId": "busy-one", "currentLoad": 3}, key=None)
    ready.does("doctor", "--agent-name", "busy-one")
    rows = wire.get("/agents?limit=500")["agents"]
    assert [a["currentLoad"] for a in rows if a["id"] == agent["id"]] == [3]


def test_doctor_takes_the_agent_by_id_first(ready: Machine, wire: Wire) -> None:
    agent = wire.agent("named-otherwise")
    ran = ready.does("doctor", "--agent-id", agent["id"], "--agent-name", "not-made")
    assert f"found named-otherwise ({agent['id']})" in ran.out
    assert "not-made" not in {a["name"] for a in wire.get("/agents?limit=500")["agents"]}


def test_doctor_of_an_agent_that_is_anothers_says_what_to_do(
    ready: Machine, found: Callable[..., Wire], owner: Wire, wire: Wire
) -> None:
    here = {"X-Homarus-Company": wire.id}
    owner.post("/api/v1/agents", {"name": "foreign"}, headers=here)
    ran = ready("doctor", "--agent-name", "foreign")
    assert ran.code == 1
    assert ran.err.startswith("[error] identity.not_granted: ")
    assert ready.report("doctor")["status"] == "failed"


@contextmanager
def busy(wire: Wire, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """`count` claimers at work, each having finished a task. Each must still run at the end."""
    project = wire.project(maxActiveAgents=count)["id"]
    claimers = []
    try:
        for number in range(count):
            agent = wire.agent(f"claimer-{number}-{time.monotonic_ns()}")["name"]
            argv = [sys.executable, "-m", "tests.support.claimer", wire.url, project, agent]
            env = {**os.environ, "CLAIMER_TOKEN": str(wire.token), "PYTHONPATH": str(ROOT / "src")}
            claimers.append(
                subprocess.Popen(
                    argv,
                    cwd=ROOT,
                    env=env,
                    text=True,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
        for claimer in claimers:
            assert claimer.stdout is not None and claimer.stdout.readline(), "a claimer ended"
        yield claimers
        assert [claimer.poll() for claimer in claimers] == [None] * count
    finally:
        for claimer in claimers:
            if claimer.stdin is not None:
                claimer.stdin.close()
            if claimer.stdout is not None:
                threading.Thread(target=claimer.stdout.read, daemon=True).start()
            claimer.wait(WAIT_S)


def test_weak_spot_32_doctor_passes_each_time_beside_busy_claimers(
    ready: Machine, wire: Wire, profile: Profile
) -> None:
    """The original's fails 2 of 5 runs at rest (section 9, rules 1 and 2)."""
    runs = profile.pick(ci=5, full=20)
    with busy(wire, 4):
        for _ in range(runs):
            assert launched(ready, "doctor.sh").splitlines()[-1].startswith("[done]")
            assert ready.report("doctor")["status"] == "passed"


def test_doctors_at_once_do_not_disturb_each_other(ready: Machine) -> None:
    """One session each, one agent made by one of them, one whole report."""
    outcomes: list[str] = []

    def one() -> None:
        outcomes.append(launched(ready, "doctor.sh", EMPEROR_AGENT_NAME="shared").splitlines()[-1])

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert [outcome.partition(" ")[0] for outcome in outcomes] == ["[done]"] * 3
    assert ready.report("doctor")["status"] == "passed"
    assert not [name for name in ready.files() if name.endswith(".new")]


# -- doctor against a control plane that is not as it should be --------------------------------

FRAME = {"type": "thread_message", "message": {"id": "m-1"}}
EXCHANGE = [
    Answer(200, {"agents": []}),
    Answer(200, {"runtimeNode": {"runtimeId": "box-1"}}),
    Answer(200, {"agents": [{"id": "a-1", "name": "ada", "currentLoad": 0}]}),
    Answer(200, {"session": {"id": "s-1"}}),
    Answer(200, {"message": "ok"}),
    Answer(200, {"ok": True, "message_id": "m-1", "thread_id": "t-1"}),
    Answer(200, {"session": {}}),
    Answer(200, {"session": {}}),
]


@contextmanager
def pretended(
    machine: Machine, frames: list[str], answers: list[Answer], *, close: bool = False
) -> Iterator[Any]:
    """A control plane of given answers, whose socket sends `frames` right after the handshake."""

    def talk(connection: ServerConnection) -> None:
        for text in frames:
            connection.send(text)
        if not close:
            for _ in connection:  # until the client goes
                pass

    with scripted(*answers) as server, serve(talk, "127.0.0.1", 0) as sockets:
        thread = threading.Thread(target=sockets.serve_forever)
        thread.start()
        port = sockets.socket.getsockname()[1]
        machine.url = server.url
        machine.does("bootstrap", "--skip-validate", "--agent-name", "ada")
        machine.save(machine.config | {"wsUrl": f"ws://127.0.0.1:{port}/"})
        try:
            yield server
        finally:
            sockets.shutdown()
            thread.join(WAIT_S)


HELLO = json.dumps({"type": "connected"})


def test_weak_spot_32_no_frame_is_too_early_for_doctor(machine: Machine) -> None:
    """`connected` in the handshake's packet, the message's frame before its reply: both arrive
    before anything asks for them (section 9, rules 1 and 2)."""
    with pretended(machine, [HELLO, json.dumps(FRAME)], EXCHANGE) as server:
        assert machine.does("doctor").out.splitlines()[-1].startswith("[done]")
    asked = [(a.method, a.path.partition("?")[0].removeprefix("/api/mcp")) for a in server.asked]
    assert asked == [
        ("GET", "/agents"),
        ("POST", "/runtime/register"),
        ("GET", "/agents"),
        ("POST", "/agents/a-1/sessions/start"),
        ("POST", "/agents/heartbeat"),
        ("POST", "/messages/send"),
        ("POST", "/agents/a-1/sessions/s-1/checkpoint"),
        ("POST", "/agents/a-1/sessions/s-1/end"),
    ]
    assert server.asked[4].json["agentId"] == server.asked[5].json["agentId"] == "ada"


@pytest.mark.parametrize("noise", ["no json", "[]", "1", '{"type": "thread_message"}', "{}"])
def test_frames_that_mean_nothing_are_passed_over(machine: Machine, noise: str) -> None:
    with pretended(machine, [noise, HELLO, noise, json.dumps(FRAME)], EXCHANGE):
        machine.does("doctor")


REFUSAL = Answer(403, {"error": "no", "code": "stop.company"})


@pytest.mark.parametrize(
    ("frames", "answers", "close", "code"),
    [
        ([], EXCHANGE, False, "companion.frame"),
        ([HELLO], EXCHANGE, False, "companion.frame"),
        ([], EXCHANGE, True, "companion.socket"),
        ([HELLO], EXCHANGE, True, "companion.socket"),
        ([HELLO], [*EXCHANGE[:3], Answer(200, {"session": None})], False, "companion.reply"),
        ([HELLO], [*EXCHANGE[:4], REFUSAL, Answer(200)], False, "stop.company"),
        ([HELLO], [*EXCHANGE[:1], Answer(200, [])], False, "client.bad_reply"),
        ([HELLO], [Answer(200, b"<html>")], False, "client.bad_reply"),
    ],
)
def test_what_fails_is_named(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    frames: list[str],
    answers: list[Answer],
    close: bool,
    code: str,
) -> None:
    monkeypatch.setattr(doctor, "FRAME_WAIT_S", 0.5)
    with pretended(machine, frames, answers, close=close) as server:
        ran = machine("doctor")
    assert ran.code == 1 and ran.err.startswith(f"[error] {code}: ")
    report = machine.report("doctor")
    assert report["status"] == "failed" and report["error"].startswith(code)
    begun = [a.path for a in server.asked if a.path.endswith("/heartbeat")]
    ended = [a.path for a in server.asked if a.path.endswith("/sessions/s-1/end")]
    assert len(ended) == len(begun), "a session that had started was ended"


# -- section 9, rules 1 and 2: what our server does for clients that listen late ---------------


class RawSocket:
    """An event socket read byte by byte, to see what comes when."""

    def __init__(self, wire: Wire) -> None:
        parts = urlsplit(wire.url)
        self.wire = wire
        self.raw = socket.create_connection((parts.hostname, parts.port), timeout=WAIT_S)
        self.raw.sendall(
            f"GET /api/mcp/ws HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {wire.token}\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.raw.recv(65_536)
        self.opened_s = time.monotonic()
        assert head.startswith(b"HTTP/1.1 101 ")
        self.beyond = head.partition(b"\r\n\r\n")[2]

    def first_frame(self) -> float:
        """Seconds after the handshake at which the next frame came."""
        assert b"connected" in self.raw.recv(65_536)
        return time.monotonic() - self.opened_s


def test_rule_1_connected_comes_50_ms_after_the_handshake(wire: Wire) -> None:
    """A client that attaches its listener after `open` misses what came with the handshake."""
    waits_s = []
    for _ in range(5):
        opened = RawSocket(wire)
        assert opened.beyond == b""
        waits_s.append(opened.first_frame())
        opened.raw.close()
    # A busy machine may let us read the handshake late, which shortens what we measure.
    assert max(waits_s) >= 0.05, waits_s


def test_rule_2_frames_come_after_the_reply(wire: Wire) -> None:
    """A client that listens for its message after reading the reply misses an earlier frame."""
    listening = RawSocket(wire)
    listening.first_frame()
    agent = wire.agent()["name"]
    parts = urlsplit(wire.url)
    asking = socket.create_connection((parts.hostname, parts.port), timeout=WAIT_S)
    while select.select([listening.raw], [], [], 0.5)[0]:
        listening.raw.recv(65_536)  # frames of the agent's creation
    for number in range(10):
        body = json.dumps({"agentId": agent, "text": f"mark {number}"}).encode()
        asking.sendall(
            f"POST /api/mcp/messages/send HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Authorization: Bearer {wire.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        first, _, _ = select.select([listening.raw, asking], [], [], WAIT_S)
        assert asking in first, "the frame came before the reply"
        reply = b""
        while b"message_id" not in reply:
            reply += asking.recv(65_536)
        assert reply.startswith(b"HTTP/1.1 200 ")
        heard = b""
        while f"mark {number}".encode() not in heard:
            heard += listening.raw.recv(65_536)
    asking.close()
    listening.raw.close()


# -- sync, repair, session-inspect -----------------------------------------------------------


def test_sync_counts_what_is_there(ready: Machine, found: Callable[..., Wire]) -> None:
    wire = found()
    ready.token = str(wire.token)
    ready.does("doctor")
    wire.task(wire.project()["id"])
    wire.post("/threads", {"type": "team"})
    ran = ready.does("sync")
    seen = ready.report("sync")
    assert seen.keys() >= {
        "capturedAt",
        "runtimeId",
        "agentName",
        "health",
        "matchedAgent",
        "counts",
        "samples",
        "requests",
    }
    assert seen["health"]["ok"] is True
    assert seen["matchedAgent"]["name"] == "ada"
    assert seen["counts"].keys() == {"agents", "projects", "tasks", "teamThreads"}
    assert all(count >= 1 for count in seen["counts"].values())
    assert all(len(rows) <= 5 for rows in seen["samples"].values())
    assert all(request["ok"] for request in seen["requests"].values())
    (line,) = (x for x in ran.out.splitlines() if x.startswith("[sync] agents"))
    assert line == "[sync] " + ", ".join(f"{k} {v}" for k, v in seen["counts"].items())
    assert ready.does("sync", "--json").json.keys() == seen.keys()


def test_sync_tolerates_a_list_that_fails(machine: Machine) -> None:
    broken = Answer(500, {"error": "broken", "code": "internal.request"})
    lists = [Answer(200, {"agents": []}), broken, broken, Answer(200, {"tasks": []}), broken]
    with scripted(Answer(200, {"agents": []}), *lists) as server:
        machine.url = server.url
        ran = machine.does("sync")
    assert "[warn] agents: internal.request: broken" in ran.out
    assert "[sync] agents ?, projects ?, tasks 0, teamThreads ?" in ran.out
    assert machine.report("sync")["counts"]["agents"] is None


def test_repair_keeps_the_reconnect_policy_and_a_persons_keys(ready: Machine) -> None:
    """The original drops reconnectPolicy."""
    policy = {"baseDelayMs": 500, "maxDelayMs": 9000, "jitter": 0.5}
    ready.save(ready.config | {"reconnectPolicy": policy, "mine": [1], "resourceScopes": ["agent"]})
    (ready.place / "doctor.sh").unlink()
    ran = ready.does("repair")
    config = ready.config
    assert config["reconnectPolicy"] == policy
    assert (config["mine"], config["resourceScopes"]) == ([1], ["agent"])
    assert (ready.place / "doctor.sh").exists()
    assert "[ok] refreshed" in ran.out and "[sync] agents" in ran.out
    assert ready.report("repair")["synced"] is True and ready.report("sync")


def test_repair_keeps_where_the_token_lies(ready: Machine) -> None:
    before = ready.config["tokenFile"]
    ready.does("repair")  # with a token from the environment
    assert ready.config["tokenFile"] == before
    ready.does("repair", EMPEROR_CLAW_API_TOKEN=None)
    assert ready.config["tokenFile"] == before


def test_repair_keeps_a_copy_of_what_was_edited_once(ready: Machine) -> None:
    launcher = ready.place / "doctor.sh"
    made = launcher.read_bytes()
    for _ in range(2):
        launcher.write_text("# my own\n")
        ran = ready.does("repair", "--json")
        assert launcher.read_bytes() == made
        (kept,) = ran.json["kept"]
        assert Path(kept).read_text() == "# my own\n"
    assert len([*(ready.place / "backups").iterdir()]) == 1


def test_copies_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_COPIES", 3)
    for number in range(6):
        (tmp_path / "x").write_text(str(number))
        files.renew(tmp_path / "x", b"ours", 0o600, tmp_path / "backups")
    assert sorted(at.read_text() for at in (tmp_path / "backups").iterdir()) == ["3", "4", "5"]


@pytest.mark.parametrize("command", ["bootstrap", "repair", "doctor", "sync", "session-inspect"])
def test_the_journal_is_the_bridges(ready: Machine, command: str) -> None:
    journal = ready.state / "bridge-state.json"
    journal.write_text('{"version": 1, "lastAgentId": "a-1", "pendingOperationIds": ["claim:1"]}')
    before = (journal.read_bytes(), journal.stat().st_mtime_ns, journal.stat().st_ino)
    ready.does(command)
    assert (journal.read_bytes(), journal.stat().st_mtime_ns, journal.stat().st_ino) == before


def test_repair_without_a_token_does_not_ask(ready: Machine) -> None:
    (ready.place / "company.token").unlink()
    ran = ready.does("repair", EMPEROR_CLAW_API_TOKEN=None)
    assert "[sync]" not in ran.out and ran.out.splitlines()[-1].startswith("[done]")
    assert not (ready.state / "last-sync.json").exists()


def test_session_inspect_tells_and_writes_nothing(ready: Machine) -> None:
    ready.does("doctor")
    before = ready.files()
    seen = ready.does("session-inspect", "--json").json
    assert seen["config"]["found"] is True
    assert seen["matchedAgent"]["name"] == "ada"
    assert seen["health"]["ok"] is True
    assert seen["lastDoctor"]["status"] == "passed"
    assert seen["token"] == {"known": True, "from": "EMPEROR_CLAW_API_TOKEN"}
    lines = ready.does("session-inspect").out.splitlines()
    assert lines and all(line.startswith("[inspect] ") for line in lines)
    assert ready.files() == before


@pytest.mark.parametrize(
    ("environment", "warning"),
    [
        ({"EMPEROR_CLAW_API_URL": "http://127.0.0.1:1"}, "[warn] client.unreachable"),
        ({"EMPEROR_CLAW_API_TOKEN": "ec_" + "0" * 48}, "[warn] identity.unknown"),
    ],
)
def test_session_inspect_reports_trouble(
    ready: Machine, environment: dict[str, str], warning: str
) -> None:
    assert warning in ready.does("session-inspect", **environment).out


def test_session_inspect_before_bootstrap(machine: Machine) -> None:
    ran = machine.does("session-inspect", EMPEROR_CLAW_API_TOKEN=None, EMPEROR_CLAW_API_URL=None)
    assert "[warn] there is no " in ran.out and "[next] " in ran.out
    assert not machine.place.exists()


# -- where values come from ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--agent-name", "o"], {"EMPEROR_AGENT_NAME": "e"}, "o"),
        ([], {"EMPEROR_AGENT_NAME": "e"}, "e"),
        ([], {"EMPEROR_AGENT_NAME": ""}, "ada"),
    ],
)
def test_option_then_environment_then_saved(
    ready: Machine, arguments: list[str], environment: dict[str, str], expected: str
) -> None:
    seen = ready.does("session-inspect", "--json", *arguments, **environment).json
    assert seen["agentName"] == expected


@pytest.mark.parametrize(
    ("arguments", "environment", "origin"),
    [
        (["--token", "ec_1"], {"EMPEROR_CLAW_API_TOKEN": "ec_2"}, "--token"),
        ([], {"EMPEROR_CLAW_API_TOKEN": "ec_2", "HOMARUS_TOKEN": "ho_3"}, "EMPEROR_CLAW_API_TOKEN"),
        ([], {"EMPEROR_CLAW_API_TOKEN": None, "HOMARUS_TOKEN": "ho_3"}, "company.token"),
        ([], {"EMPEROR_CLAW_API_TOKEN": None}, "company.token"),
    ],
)
def test_whose_token(
    ready: Machine, arguments: list[str], environment: dict[str, str | None], origin: str
) -> None:
    seen = ready.does("session-inspect", "--json", *arguments, **environment).json
    assert seen["token"]["from"].endswith(origin)


def test_a_persons_variables_are_for_a_machine_that_is_not_set_up(machine: Machine) -> None:
    more = {"EMPEROR_CLAW_API_URL": None, "EMPEROR_CLAW_API_TOKEN": None}
    person = {"HOMARUS_URL": machine.url, "HOMARUS_TOKEN": machine.token}
    assert machine.does("sync", **more, **person).code == 0
    machine.does("bootstrap")
    person = {"HOMARUS_URL": "http://127.0.0.1:1", "HOMARUS_TOKEN": "ec_1"}
    assert machine.does("sync", **more, **person).code == 0


def test_an_operator_looks_into_the_company_he_names(
    machine: Machine, owner: Wire, wire: Wire
) -> None:
    given = {"EMPEROR_CLAW_API_TOKEN": str(owner.token)}
    wire.agent("whom-the-operator-sees")
    seen = machine.does("sync", "--json", "--company", wire.id, **given).json
    assert "whom-the-operator-sees" in {row["name"] for row in seen["samples"]["agents"]}
    one_line(machine("sync", "--company", "é\r\nX: y", **given), "companion.value")
    assert machine.does("sync", "--company", "another").code == 0, "a company token has its own"


def test_an_operators_token_is_not_stored(machine: Machine) -> None:
    owner = "ho_" + "0" * 48
    one_line(
        machine("bootstrap", "--skip-validate", EMPEROR_CLAW_API_TOKEN=owner),
        "companion.operator_token",
    )
    assert not any(owner.encode() in content for content in machine.files().values())


def test_the_parts_of_the_directory_can_be_moved(ready: Machine) -> None:
    elsewhere = ready.folder / "elsewhere"
    ready.does("doctor", EMPEROR_CLAW_STATE_DIR=str(elsewhere))
    assert (elsewhere / "last-doctor.json").exists()
    journal = ready.folder / "j" / "journal.json"
    ready.does("bootstrap", "--bridge-state-path", str(journal))
    assert journal.exists() and ready.config["bridgeStatePath"] == str(journal)


def test_the_default_place_is_below_the_openclaw_home(machine: Machine) -> None:
    home = machine.folder / "claw"
    machine.does("bootstrap", "--openclaw-home", str(home), EMPEROR_CLAW_COMPANION_DIR=None)
    config = json.loads((home / "emperor-control-plane" / "bridge.config.json").read_text())
    assert config["openclawHome"] == str(home)
    assert config["workspace"] == str(home / "workspace")


def test_a_stored_token_goes_to_nobody_else(ready: Machine) -> None:
    with scripted(Answer(200, {"agents": []})) as other:
        ran = ready("sync", "--api-base-url", other.url, EMPEROR_CLAW_API_TOKEN=None)
    assert (ran.code, other.asked) == (1, [])
    assert ran.err.startswith("[error] companion.no_token: ")


def test_moving_to_another_control_plane_leaves_the_old_token_behind(ready: Machine) -> None:
    other = "http://127.0.0.1:1"
    ready.does("bootstrap", "--skip-validate", "--api-base-url", other, EMPEROR_CLAW_API_TOKEN=None)
    config = ready.config
    assert "tokenFile" not in config
    assert config["wsUrl"] == "ws://127.0.0.1:1/api/mcp/ws"


def test_warnings_about_tokens(ready: Machine) -> None:
    (ready.place / "company.token").chmod(0o644)
    ran = ready.does("sync", EMPEROR_CLAW_API_TOKEN=None)
    assert "[warn] " in ran.out and "other users" in ran.out
    ran = ready("sync", EMPEROR_CLAW_API_TOKEN="ho_" + "0" * 48)
    assert "[warn] this is an operator's token" in ran.out


# -- what is wrong ---------------------------------------------------------------------------

COMMANDS = ("bootstrap", "doctor", "sync", "repair", "session-inspect")


def one_line(ran: Ran, code: str) -> str:
    assert ran.code == 1, ran
    (line,) = ran.err.splitlines()
    assert line.startswith(f"[error] {code}"), line
    return line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command"),
        (["--nonsense"], "No such option"),
        (["doctor", "--nonsense"], "No such option"),
        (["doctor", "surplus"], "Got unexpected extra argument"),
        (["doctor", "--agent-name"], "Option '--agent-name' requires an argument"),
        (["sync", "--api-base-url", "ftp://x"], "companion.value"),
        (["sync", "--api-base-url", "http://"], "companion.value"),
        (["sync", "--api-base-url", "http://h:99999"], "companion.value"),
        (["sync", "--api-base-url", "http://user:pw@h"], "companion.value"),
        (["sync", "--api-base-url", "http://h?x=1"], "companion.value"),
        (["sync", "--api-base-url", "http://h\r\nX: y"], "companion.value"),
        (["sync", "--token", "a b"], "companion.token"),
        (["sync", "--token", "ec_\r\nX: y"], "companion.token"),
        (["sync", "--token", "é"], "companion.token"),
        (["sync", "--token", "x" * 600], "companion.token"),
        (["doctor", "--agent-name", "a\nb"], "companion.value"),
        (["doctor", "--agent-name", 'a"b'], "companion.value"),
        (["doctor", "--agent-name", "x" * 201], "companion.value"),
        (["sync", "--token", "ec_" + "0" * 48], "identity.unknown"),
        (["doctor", "--token", "ec_" + "0" * 48], "identity.unknown"),
        (["bootstrap", "--token", "ec_" + "0" * 48], "identity.unknown"),
        (["sync", "--api-base-url", "http://127.0.0.1:1"], "client.unreachable"),
        (["doctor", "--api-base-url", "http://127.0.0.1:1"], "client.unreachable"),
        (["bootstrap", "--api-base-url", "http://127.0.0.1:1"], "client.unreachable"),
        (["repair"], "companion.no_config"),
    ],
)
def test_bad_input_is_one_line(machine: Machine, arguments: list[str], said: str) -> None:
    one_line(machine(*arguments), said)
    assert machine.files().keys() <= {"state/last-doctor.json"}
    assert "pw@" not in "".join(machine.said)


@pytest.mark.parametrize("command", ["bootstrap", "doctor", "sync"])
def test_without_an_address_or_a_token(machine: Machine, command: str) -> None:
    one_line(machine(command, EMPEROR_CLAW_API_URL=None), "companion.no_url")
    one_line(machine(command, EMPEROR_CLAW_API_TOKEN=None), "companion.no_token")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "companion.config"),
        ('{"schemaVersion": 1, "apiBas', "companion.config"),
        ("[]", "companion.config"),
        ("[" * 100_000, "companion.config"),
        ('{"schemaVersion": 1, "runtimeId": 5}', "companion.config"),
        ('{"schemaVersion": 1, "reconnectPolicy": []}', "companion.config"),
        ('{"schemaVersion": 1, "x": "' + "y" * 300_000 + '"}', "companion.config"),
        ('{"schemaVersion": 2}', "companion.schema"),
        ('{"schemaVersion": true}', "companion.schema"),
        ('{"schemaVersion": "1"}', "companion.schema"),
        ("{}", "companion.schema"),
    ],
    ids=["empty", "torn", "list", "deep", "type", "policy", "large", "2", "true", "text", "none"],
)
def test_a_configuration_that_cannot_be_used_is_left_alone(
    machine: Machine, command: str, content: str, code: str
) -> None:
    machine.place.mkdir()
    (machine.place / "bridge.config.json").write_text(content)
    one_line(machine(command), code)
    assert machine.files() == {"bridge.config.json": content.encode()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_configuration_that_is_a_directory(machine: Machine, command: str) -> None:
    (machine.place / "bridge.config.json").mkdir(parents=True)
    one_line(machine(command), "companion.config")


@pytest.mark.parametrize("command", ["bootstrap", "doctor", "sync"])
def test_a_place_that_cannot_be_written(machine: Machine, command: str) -> None:
    machine.folder.joinpath("companion").write_text("a file")
    one_line(machine(command), "companion.")
    assert machine.folder.joinpath("companion").read_text() == "a file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("command", ["bootstrap", "doctor", "sync"])
def test_a_directory_without_write_permission(machine: Machine, command: str) -> None:
    machine.place.mkdir(mode=0o500)
    one_line(machine(command), "companion.directory")


@pytest.mark.parametrize("command", ["bootstrap", "doctor", "sync", "repair"])
def test_a_symlinked_state_directory_is_not_written_through(ready: Machine, command: str) -> None:
    target = ready.folder / "target"
    target.mkdir()
    shutil.rmtree(ready.state)
    ready.state.symlink_to(target)
    one_line(ready(command), "companion.link")
    assert [*target.iterdir()] == []


def test_a_symlinked_companion_directory_is_a_persons_choice(machine: Machine) -> None:
    (machine.folder / "disk").mkdir()
    machine.place.symlink_to(machine.folder / "disk")
    machine.does("bootstrap")
    machine.does("doctor")


def test_torn_reports_do_not_matter(ready: Machine) -> None:
    for name in ("last-doctor.json", "last-sync.json", "bridge-state.json"):
        (ready.state / name).write_text('{"torn')
    ready.does("session-inspect")
    ready.does("repair")
    assert (ready.state / "bridge-state.json").read_text() == '{"torn'


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_options_of_the_contract(machine: Machine, command: str) -> None:
    text = machine.does(command, "--help").out
    for option in (
        "--api-base-url",
        "--config",
        "--openclaw-home",
        "--workspace",
        "--bridge-state-path",
        "--agent-name",
        "--agent-id",
        "--runtime-id",
        "--session-id",
        "--json",
        "--skip-validate",
    ):
        assert option in text


def test_the_daemons_doctor_is_another_command(machine: Machine) -> None:
    ran = Terminal(machine.folder / "homarus")("doctor", "--help")
    assert "what this machine" in ran.out.lower()


def test_a_broken_pipe_is_no_error(ready: Machine) -> None:
    program = f"{sys.executable} -m homarus.cli.main companion session-inspect"
    env = {
        k: v for k, v in ready.environment(PYTHONPATH=str(ROOT / "src")).items() if v is not None
    }
    done = subprocess.run(
        ["sh", "-c", f"{program} | true"],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        env={"PATH": os.environ["PATH"], **env},
    )
    assert (done.returncode, done.stderr) == (0, "")
