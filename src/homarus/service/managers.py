"""The two service managers, as data: where the file of a service is, what to call, what it answers.

    manager = systemd(name, system=False) / launchd(name)
    call(argv, within_s)           the only way a manager's program is run

A step is an argv, never a text for a shell. launchd.plist(5), launchctl(1), systemctl(1).
"""

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from homarus.base.errors import Unavailable
from homarus.service import units
from homarus.service.units import Description

CALL_S: Final = 30.0
MAX_ANSWER_CHARS: Final = 65_536
LINGER: Final = Path("/var/lib/systemd/linger")
SYSTEM_UNITS: Final = Path("/etc/systemd/system")
SHOWN: Final = "ActiveState,SubState,MainPID,NRestarts,Result,UnitFileState,NeedDaemonReload"

Argv = tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """How a program ended, and what it said (cut at MAX_ANSWER_CHARS)."""

    argv: Argv
    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Its last words, in one line."""
        return " ".join((self.err or self.out).split())[-500:]


def call(argv: Argv, within_s: float = CALL_S) -> Answer:
    """Raises `service.no_manager` where there is no such program, `service.timeout`."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(
            "service.no_manager",
            f"there is no {argv[0]} here",
            "Run `homarus up` under the service manager that this machine has.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            "service.timeout",
            f"`{' '.join(argv)}` has not answered within {within_s:g} s",
            "It may still come about: see `homarus service status`.",
        ) from error
    out, err = (
        text.decode("utf-8", "replace")[:MAX_ANSWER_CHARS] for text in (done.stdout, done.stderr)
    )
    return Answer(argv, done.returncode, out, err)


@dataclass(frozen=True)
class State:
    """What the manager says. `word`: its own, such as `active (running)`."""

    running: bool
    word: str
    pid: int | None = None
    restarts: int | None = None
    outdated: bool = False


@dataclass(frozen=True)
class Manager:
    """Steps that the file of one service wants. `starting` may begin with a step that fails where
    the service is loaded already; its last step decides."""

    kind: str
    path: Path
    render: Callable[[Description], bytes]
    installed: tuple[Argv, ...]
    removing: tuple[Argv, ...]
    removed: tuple[Argv, ...]
    starting: tuple[Argv, ...]
    stopping: tuple[Argv, ...]
    restarting: tuple[Argv, ...]
    asking: Argv
    understand: Callable[[Answer], State]


def systemd(name: str, *, system: bool, environ: dict[str, str], user_home: Path) -> Manager:
    unit = f"{name}.service"
    control: Argv = ("systemctl", "--no-ask-password") if system else ("systemctl", "--user")
    config = Path(environ.get("XDG_CONFIG_HOME") or user_home / ".config")
    folder = SYSTEM_UNITS if system else config / "systemd" / "user"
    reload = (*control, "daemon-reload")
    return Manager(
        kind="systemd",
        path=folder / unit,
        render=lambda description: units.systemd_unit(description).encode(),
        installed=(reload, (*control, "enable", unit)),
        removing=((*control, "disable", "--now", unit),),
        removed=(reload,),
        starting=((*control, "start", unit),),
        stopping=((*control, "stop", unit),),
        restarting=((*control, "restart", unit),),
        asking=(*control, "show", unit, f"--property={SHOWN}"),
        understand=_systemd_state,
    )


def launchd(name: str, *, user_home: Path, uid: int) -> Manager:
    """Of the user's graphical session. A restart is in place, so that the drain is the daemon's."""
    label = units.label(name)
    path = user_home / "Library" / "LaunchAgents" / f"{label}.plist"
    domain = f"gui/{uid}"
    target = f"{domain}/{label}"
    return Manager(
        kind="launchd",
        path=path,
        render=units.launchd_plist,
        installed=(("launchctl", "enable", target),),
        removing=(("launchctl", "bootout", target),),
        removed=(),
        starting=(
            ("launchctl", "bootstrap", domain, str(path)),
            ("launchctl", "kickstart", target),
        ),
        stopping=(("launchctl", "bootout", target),),
        restarting=(("launchctl", "kill", "SIGUSR2", target),),
        asking=("launchctl", "print", target),
        understand=_launchd_state,
    )


def _systemd_state(answer: Answer) -> State:
    rows = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
    active, sub = rows.get("ActiveState", ""), rows.get("SubState", "")
    word = f"{active} ({sub})" if active and sub else answer.words or "unknown"
    if rows.get("Result", "success") != "success":
        word += f", {rows['Result']}"
    return State(
        running=active in ("active", "reloading"),
        word=word,
        pid=_number(rows.get("MainPID")) or None,
        restarts=_number(rows.get("NRestarts")),
        outdated=rows.get("NeedDaemonReload") == "yes",
    )


_FIELD: Final = re.compile(r"^\t(state|pid|runs) = (.+)$", re.MULTILINE)


def _launchd_state(answer: Answer) -> State:
    """launchctl says that its output is for people; only these three lines are read of it."""
    if answer.code != 0:
        return State(running=False, word="not loaded")
    rows = dict(_FIELD.findall(answer.out))
    runs = _number(rows.get("runs"))
    return State(
        running=rows.get("state") == "running",
        word=rows.get("state", "loaded"),
        pid=_number(rows.get("pid")),
        restarts=None if runs is None else max(0, runs - 1),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def lingers(user: str, folder: Path = LINGER) -> bool:
    """Whether the user's services run without a session of theirs."""
    return (folder / user).exists()


def write(path: Path, content: bytes) -> None:
    """Whole or not at all, mode 0644: managers read it, and it holds no secret. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o644)
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)
