"""`homarus service`: what it writes, what it calls, what it refuses. The managers are programs on
PATH that note their arguments."""

import plistlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from homarus.service.managers import Answer, launchd, systemd
from tests.support.commands import Ran, Terminal

RUNNING = """\
ActiveState=active
SubState=running
MainPID=42
NRestarts=3
Result=success
UnitFileState=enabled
NeedDaemonReload=no
"""
STOPPED = RUNNING.replace("=active", "=failed").replace("running", "failed").replace("42", "0")
LOADED = "gui/0/ai.homarus = {\n\tactive count = 1\n\tstate = running\n\tpid = 7\n\truns = 3\n}\n"

FAKE = """#!/bin/sh
echo "${0##*/} $*" >> "$FAKES/calls"
cat "$FAKES/answer" 2>/dev/null
while read -r word; do
    case "$*" in *"$word"*) echo "$word is refused" >&2; exit 5;; esac
done < "$FAKES/refused"
"""


@dataclass
class Machine:
    """A home of a person with these managers."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("systemctl", "launchctl"):
            (programs / name).write_text(FAKE)
            (programs / name).chmod(0o755)
        self.refuse()
        self.env = {
            "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config"),
            "PATH": f"{programs}:/usr/bin:/bin", "FAKES": str(self.folder), "LOGNAME": "ann",
        }  # fmt: skip

    def __call__(self, *arguments: str, manager: str = "systemd") -> Ran:
        terminal = Terminal(self.folder / "state")
        return terminal("service", *arguments, "--manager", manager, env=self.env)

    def refuse(self, *words: str) -> None:
        (self.folder / "refused").write_text("".join(f"{word}\n" for word in words))

    def answer(self, text: str) -> None:
        (self.folder / "answer").write_text(text)

    def called(self) -> list[str]:
        """Since the last look."""
        calls = self.folder / "calls"
        found = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return found

    @property
    def unit(self) -> Path:
        return self.folder / "config" / "systemd" / "user" / "homarus.service"

    @property
    def plist(self) -> Path:
        return self.folder / "Library" / "LaunchAgents" / "ai.homarus.plist"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_print_changes_nothing(machine: Machine) -> None:
    ran = machine("install", "--print")
    assert ran.code == 0
    assert "Type=notify\n" in ran.out
    assert machine.called() == []
    assert not machine.unit.exists()
    assert not (machine.folder / "state").exists()
    assert machine("install", "--print", "--json").json["path"] == str(machine.unit)


def test_install_writes_enables_and_says_what_to_do(machine: Machine) -> None:
    ran = machine("install")
    assert ran.code == 0
    assert machine.unit.read_text() == machine("install", "--print").out
    assert machine.unit.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in machine.unit.parent.iterdir()] == ["homarus.service"]
    assert machine.called() == [
        "systemctl --user daemon-reload", "systemctl --user enable homarus.service",
    ]  # fmt: skip
    assert "homarus service start" in ran.out
    assert "loginctl enable-linger ann" in ran.out
    again = machine("install", "--json").json
    assert (again["changed"], again["failed"]) == (False, [])


def test_a_machine_without_a_running_manager_still_gets_its_file(machine: Machine) -> None:
    machine.refuse("daemon-reload")
    ran = machine("install")
    assert ran.code == 0
    assert machine.unit.exists()
    assert "daemon-reload is refused" in ran.out
    assert "    systemctl --user daemon-reload\n" in ran.out
    (machine.folder / "bin" / "systemctl").unlink()
    machine.env["PATH"] = str(machine.folder / "bin")
    assert machine("install", "--json").json["failed"] != []
    assert machine("start").error == "service.no_manager"


@pytest.mark.parametrize("act", ["install", "uninstall"])
def test_an_edited_file_stays_unless_forced(machine: Machine, act: str) -> None:
    machine("install")
    machine.called()
    made = machine.unit.read_text()
    edited = made.replace("RestartSec=1", "RestartSec=9")
    machine.unit.write_text(edited)
    ran = machine(act)
    assert (ran.code, ran.error) == (5, "service.edited")
    assert machine.unit.read_text() == edited
    assert machine.called() == []
    assert machine(act, "--force").code == 0
    assert machine.unit.exists() is (act == "install")
    if act == "install":
        assert machine.unit.read_text() == made


def test_an_upgraded_file_is_written_anew(machine: Machine) -> None:
    machine("install")
    (machine.folder / "state").mkdir()
    (machine.folder / "state" / "homarus.json").write_text("{gateway: {drainSeconds: 100}}")
    assert machine("install", "--json").json["changed"] is True
    assert "TimeoutStopSec=130\n" in machine.unit.read_text()


@pytest.mark.parametrize(
    ("act", "called"),
    [
        ("start", "systemctl --user start homarus.service"),
        ("stop", "systemctl --user stop homarus.service"),
        ("restart", "systemctl --user restart homarus.service"),
    ],
)
def test_start_stop_restart(machine: Machine, act: str, called: str) -> None:
    assert machine(act).error == "service.not_installed"
    machine("install")
    machine.called()
    machine.answer(RUNNING)
    ran = machine(act, "--json")
    assert machine.called()[0] == called
    assert ran.json["state"] == "active (running)"
    machine.refuse(act)
    ran = machine(act)
    assert (ran.code, ran.error) == (1, "service.failed")
    assert f"{act} is refused" in ran.err
    assert "journalctl --user -u homarus" in ran.err


@pytest.mark.parametrize(
    ("answer", "code", "facts"),
    [
        (RUNNING, 0, {"running": True, "state": "active (running)", "pid": 42, "restarts": 3}),
        (STOPPED, 1, {"running": False, "state": "failed (failed)", "pid": None}),
        (STOPPED.replace("success", "watchdog"), 1, {"state": "failed (failed), watchdog"}),
        (RUNNING.replace("Reload=no", "Reload=yes"), 0, {"outdated": True}),
        ("", 1, {"running": False, "state": "unknown"}),
    ],
    ids=["runs", "failed", "watchdog", "outdated", "silent"],
)
def test_status(machine: Machine, answer: str, code: int, facts: dict[str, object]) -> None:
    assert machine("status").code == 3
    machine("install")
    machine.answer(answer)
    ran = machine("status", "--json")
    assert ran.code == code
    assert ran.json.items() >= facts.items()


def test_uninstall_leaves_the_state(machine: Machine) -> None:
    machine("install")
    (machine.folder / "state").mkdir()
    machine.called()
    assert machine("uninstall").code == 0
    assert machine.called() == [
        "systemctl --user disable --now homarus.service", "systemctl --user daemon-reload",
    ]  # fmt: skip
    assert not machine.unit.exists()
    assert (machine.folder / "state").exists()
    assert machine("uninstall").error == "service.not_installed"


def test_launchd(machine: Machine) -> None:
    machine("install", manager="launchd")
    made = plistlib.loads(machine.plist.read_bytes())
    assert made["ProgramArguments"][-3:] == ["--home", str(machine.folder / "state"), "up"]
    machine.called()
    machine.answer(LOADED)
    shown = machine("start", "--json", manager="launchd").json
    assert (shown["running"], shown["pid"], shown["restarts"]) == (True, 7, 2)
    bootstrap, kickstart, _ = machine.called()
    assert bootstrap.startswith("launchctl bootstrap gui/")
    assert bootstrap.endswith(str(machine.plist))
    assert kickstart.startswith("launchctl kickstart gui/")
    machine.refuse("bootstrap")
    assert machine("start", manager="launchd").code == 0, "it was loaded already"
    machine.called()
    assert machine("restart", manager="launchd").code == 0
    assert machine.called()[0].startswith("launchctl kill SIGUSR2 gui/")
    assert machine("uninstall", manager="launchd").code == 0
    assert machine.called()[0].startswith("launchctl bootout gui/")
    assert not machine.plist.exists()


@pytest.mark.parametrize(
    ("arguments", "manager"),
    [
        (["install", "--name", "other"], "systemd"),
        (["install", "--name", "homarus-../x"], "systemd"),
        (["install", "--system"], "launchd"),
        (["install", "--run-as", "bob"], "systemd"),
        (["install", "--system", "--print"], "systemd"),
        (["install", "--system", "--run-as", "nobody-there", "--print"], "systemd"),
    ],
)
def test_what_is_refused(machine: Machine, arguments: list[str], manager: str) -> None:
    machine.env["LOGNAME"] = "root"
    ran = machine(*arguments, manager=manager)
    assert ran.code == 2
    assert ran.error in ("service.value", "service.root")
    assert machine.called() == []


def test_a_configuration_with_mistakes_is_not_installed(machine: Machine) -> None:
    (machine.folder / "state").mkdir()
    (machine.folder / "state" / "homarus.json").write_text("{gateway: {port: 'x'}}")
    assert machine("install").code != 0
    assert not machine.unit.exists()


def test_secrets_that_the_configuration_refers_to_must_be_there_for_the_service(
    machine: Machine,
) -> None:
    state = machine.folder / "state"
    state.mkdir()
    (state / "homarus.json").write_text('{store: "postgresql://h:${DB_PASSWORD}@db/h"}')
    machine.env["DB_PASSWORD"] = "of-this-shell"
    assert "DB_PASSWORD" in machine("install").err
    (state / "service.env").write_text("# secrets\nDB_PASSWORD='of-the-service'\n")
    assert machine("install").code == 0
    assert "of-the-service" not in machine.unit.read_text()


def test_a_system_unit(machine: Machine) -> None:
    text = machine(
        "install", "--system", "--run-as", "nobody", "--print", "--name", "homarus-x"
    ).out
    assert "\nUser=nobody\n" in text
    assert "\nWantedBy=multi-user.target\n" in text
    manager = systemd("homarus-x", system=True, environ={}, user_home=Path("/home/ann"))
    assert manager.path == Path("/etc/systemd/system/homarus-x.service")
    assert manager.starting == (("systemctl", "--no-ask-password", "start", "homarus-x.service"),)


def test_a_launchd_job_that_is_not_loaded() -> None:
    manager = launchd("homarus", user_home=Path("/Users/ann"), uid=501)
    state = manager.understand(Answer(manager.asking, 113, "", "Could not find service"))
    assert (state.running, state.word, state.pid) == (False, "not loaded", None)


def test_variables_of_the_shell_are_named(machine: Machine) -> None:
    machine.env["HOMARUS_PORT"] = "18790"
    assert "HOMARUS_PORT" in machine("install").out
