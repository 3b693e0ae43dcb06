"""A small service manager for tests: it runs the program of a systemd unit by the unit's own rules.

    unit = parse(text, os.environ)
    with Supervisor(unit, log, pace=0.1) as supervisor:
        supervisor.wait_for("ready")
        supervisor.kill(signal.SIGKILL)
        supervisor.wait_for("ready", times=2)

It honours Type=notify, NotifyAccess=main|none|all, Restart=, RestartSec=, SuccessExitStatus=,
RestartPreventExitStatus=, StartLimitBurst=, StartLimitIntervalSec=, WatchdogSec=, TimeoutStartSec=,
TimeoutStopSec= with EXTEND_TIMEOUT_USEC=, TimeoutAbortSec=, KillMode=mixed, Environment= and
EnvironmentFile=
(systemd.service(5), sd_notify(3)). Linux only: it waits on a pidfd. `pace` multiplies RestartSec=.
"""

import contextlib
import math
import os
import re
import selectors
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

LONG_S: Final = 60.0
DATAGRAM_BYTES: Final = 4_096
MAX_EVENTS: Final = 10_000
_CREDENTIALS: Final = struct.Struct("3i")
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_UNITS_S: Final = {"": 1.0, "s": 1.0, "ms": 0.001, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Unit:
    """What of a unit file the supervisor follows. Times in seconds."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    environment_file: Path | None
    restart: str
    restart_s: float
    prevent: frozenset[int]
    success: frozenset[int]
    burst: int
    interval_s: float
    watchdog_s: float
    start_s: float
    stop_s: float
    abort_s: float
    access: str


def parse(text: str, environ: Mapping[str, str]) -> Unit:
    """`environ`: what the manager passes on. Raises ValueError for what is not understood."""
    rows: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, found, value = line.partition("=")
        if found and not line.startswith(("#", ";")):
            rows.setdefault(key, []).append(value)

    def one(key: str, default: str) -> str:
        return rows.get(key, [default])[-1]

    command = one("ExecStart", "")
    if one("Type", "simple") != "notify" or not command.startswith(":"):
        raise ValueError("only Type=notify, and ExecStart= with the prefix `:`, are understood")
    assignments = [word for line in rows.get("Environment", []) for word in _words(line)]
    file = one("EnvironmentFile", "").removeprefix("-")
    return Unit(
        argv=tuple(_words(command[1:])),
        environment=dict(environ) | dict(a.split("=", 1) for a in assignments),
        environment_file=Path(file.replace("%%", "%")) if file else None,
        restart=one("Restart", "no"),
        restart_s=_seconds(one("RestartSec", "100ms")),
        prevent=_codes(one("RestartPreventExitStatus", "")),
        success=_codes(one("SuccessExitStatus", "")) | {0},
        burst=int(one("StartLimitBurst", "5")),
        interval_s=_seconds(one("StartLimitIntervalSec", "10")),
        watchdog_s=_seconds(one("WatchdogSec", "0")),
        start_s=_seconds(one("TimeoutStartSec", "90")),
        stop_s=_seconds(one("TimeoutStopSec", "90")),
        abort_s=_seconds(one("TimeoutAbortSec", one("TimeoutStopSec", "90"))),
        access=one("NotifyAccess", "main"),
    )


def _words(line: str) -> list[str]:
    found = []
    for match in _WORD.finditer(line):
        word = match[2] if match[1] is None else re.sub(r"\\(.)", r"\1", match[1])
        found.append(word.replace("%%", "%"))
    return found


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([0-9.]+)(ms|s|min|h|)", text)
    if found is None:
        raise ValueError(f"{text!r} is no time span")
    return float(found[1]) * _UNITS_S[found[2]]


def _codes(text: str) -> frozenset[int]:
    return frozenset(int(word) for word in text.split())


def comes_again(unit: Unit, code: int, *, watchdog: bool = False) -> bool:
    """Whether the unit wants a program started anew that ended with `code`, negative for a signal
    (table of Restart= in systemd.service(5)). `watchdog`: it was ended for silence."""
    if code in unit.prevent:
        return False
    clean = code in unit.success or -code in (
        signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE,
    )  # fmt: skip
    abnormal = watchdog or (code < 0 and not clean)
    return {
        "no": False,
        "always": True,
        "on-success": clean and not watchdog,
        "on-failure": watchdog or not clean,
        "on-abnormal": abnormal,
        "on-abort": abnormal and not watchdog,
        "on-watchdog": watchdog,
    }[unit.restart]


class Supervisor:
    """Runs from `__enter__` until it is stopped, the unit gives up, or `__exit__`.

    `events`: `(kind, value)` in order: started PID, ready PID, reloading PID, stopping PID,
    status TEXT, ignored PID (of a sender that NotifyAccess= leaves out), watchdog PID, ended CODE,
    failed RESULT, stopped.
    """

    def __init__(self, unit: Unit, log: Path, *, pace: float = 1.0) -> None:
        self.unit = unit
        self.log = log
        self.pace = pace
        self.events: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self._asked, self._ask = socket.socketpair()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._path = f"{self._folder.name}/notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._notify.bind(self._path)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for end in (self._asked, self._ask, self._notify):
            end.close()
        self._folder.cleanup()

    @property
    def pid(self) -> int:
        """Of the program that was started last."""
        return int(self.all("started")[-1])

    def all(self, kind: str) -> list[Any]:
        with self._changed:
            return [value for name, value in self.events if name == kind]

    def wait_for(self, kind: str, times: int = 1, within_s: float = LONG_S) -> Any:
        """The value of the event of this kind that came as the `times`th. Raises TimeoutError."""
        with self._changed:
            found = self._changed.wait_for(lambda: len(self._of(kind)) >= times, within_s)
            if not found:
                raise TimeoutError(f"no {kind} within {within_s:g} s: {self.events}")
            return self._of(kind)[times - 1]

    def kill(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        """`systemctl stop`; returns when nothing of it runs."""
        self._ask.send(b"s")
        self._thread.join(LONG_S + self.unit.stop_s)

    def _of(self, kind: str) -> list[Any]:
        return [value for name, value in self.events if name == kind]

    def _tell(self, kind: str, value: Any = None) -> None:
        with self._changed:
            if len(self.events) < MAX_EVENTS:
                self.events.append((kind, value))
            self._changed.notify_all()

    def _run(self) -> None:
        starts: list[float] = []
        while not self._stopping.is_set():
            now = time.monotonic()
            starts = [at for at in starts if now - at < self.unit.interval_s] + [now]
            if len(starts) > self.unit.burst:
                self._tell("failed", "start-limit-hit")
                return
            code, watchdog = self._live()
            self._tell("ended", code)
            if self._stopping.is_set():
                break
            if not comes_again(self.unit, code, watchdog=watchdog):
                self._tell("failed" if code not in self.unit.success else "stopped", code)
                return
            self._pause(self.unit.restart_s * self.pace)
        self._tell("stopped")

    def _pause(self, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._asked, selectors.EVENT_READ)
            if selector.select(seconds):
                self._stopping.set()

    def _environment(self, read: Mapping[str, str]) -> dict[str, str]:
        extra = {"NOTIFY_SOCKET": self._path}
        if self.unit.watchdog_s:
            extra["WATCHDOG_USEC"] = str(round(self.unit.watchdog_s * 1e6))
        return dict(read) | extra

    def _live(self) -> tuple[int, bool]:
        """One life of the program: how it ended, and whether for its silence."""
        variables = dict(self.unit.environment)
        file = self.unit.environment_file
        if file is not None and file.exists():
            lines = [line for line in file.read_text().splitlines() if "=" in line]
            variables |= dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.unit.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self._environment(variables), start_new_session=True,
            )  # fmt: skip
        try:
            return _Life(self, process).watch()
        finally:
            with contextlib.suppress(ProcessLookupError):  # KillMode=mixed: the rest of the group
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(LONG_S)


class _Life:
    """One process under the unit's clocks: of its start, its watchdog, its stop."""

    def __init__(self, manager: Supervisor, process: "subprocess.Popen[bytes]") -> None:
        self.manager = manager
        self.unit = manager.unit
        self.process = process
        self.is_silent = False
        self.is_ready = False
        self.until = time.monotonic() + self.unit.start_s
        """When the next signal is due: SIGTERM for a start, SIGABRT for silence, then SIGKILL."""
        self.next_signal = signal.SIGTERM

    def watch(self) -> tuple[int, bool]:
        self.manager._tell("started", self.process.pid)
        pidfd = os.pidfd_open(self.process.pid)
        with selectors.DefaultSelector() as selector:
            for source in (pidfd, self.manager._notify, self.manager._asked):
                selector.register(source, selectors.EVENT_READ)
            try:
                while True:
                    left = self.until - time.monotonic()
                    ready = selector.select(None if math.isinf(left) else max(0.0, left))
                    sources = {key.fileobj for key, _ in ready}
                    if self.manager._notify in sources:
                        self._hear()
                    if self.manager._asked in sources:
                        selector.unregister(self.manager._asked)
                        self._end()
                    if pidfd in sources:
                        return self.process.wait(), self.is_silent
                    if not sources and time.monotonic() >= self.until:
                        self._due()
            finally:
                os.close(pidfd)

    def _end(self) -> None:
        self.manager._stopping.set()
        self.process.terminate()
        self._arm(self.unit.stop_s, signal.SIGKILL)

    def _arm(self, seconds: float, number: signal.Signals) -> None:
        self.until, self.next_signal = time.monotonic() + seconds, number

    def _due(self) -> None:
        if self.next_signal is signal.SIGABRT:
            self.is_silent = True
            self.manager._tell("watchdog", self.process.pid)
        self.process.send_signal(self.next_signal)
        self._arm(self.unit.abort_s, signal.SIGKILL)

    def _hear(self) -> None:
        space = socket.CMSG_SPACE(_CREDENTIALS.size)
        text, notes, _, _ = self.manager._notify.recvmsg(DATAGRAM_BYTES, space)
        sender = _CREDENTIALS.unpack(notes[0][2][: _CREDENTIALS.size])[0] if notes else 0
        access = self.unit.access
        if access == "none" or (access == "main" and sender != self.process.pid):
            self.manager._tell("ignored", sender)
            return
        said = dict(line.split("=", 1) for line in text.decode().splitlines() if "=" in line)
        if "STATUS" in said:
            self.manager._tell("status", said["STATUS"])
        if "STOPPING" in said:
            self.manager._tell("stopping", sender)
        if "RELOADING" in said:
            self.manager._tell("reloading", sender)
        if "READY" in said:
            self.is_ready = True
            self.manager._tell("ready", sender)
        if "EXTEND_TIMEOUT_USEC" in said and self.manager._stopping.is_set():
            self.until = max(self.until, time.monotonic() + int(said["EXTEND_TIMEOUT_USEC"]) / 1e6)
        is_alive = "WATCHDOG" in said or "READY" in said
        if (
            is_alive
            and self.is_ready
            and not self.manager._stopping.is_set()
            and not self.is_silent
        ):
            if self.unit.watchdog_s:
                self._arm(self.unit.watchdog_s, signal.SIGABRT)
            else:
                self.until = math.inf
