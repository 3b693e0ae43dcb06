"""Run one child process to its end, within named bounds.

Every child leads a session and process group of its own, so that ending it ends what it started.
The environment is the one given, complete; nothing is inherited and no shell is involved. Output is
read to the end and kept by head and tail, so a flood costs time, never memory.

A process that leaves its group (`setsid`) escapes the group's end. Inside the sandbox the process
namespace closes that hole; outside it only trusted commands run (`backends/local.py`).
"""

import asyncio
import contextlib
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from homarus.base.errors import Invalid, Unavailable
from homarus.base.output import BoundedOutput

OUTPUT_BYTES_DEFAULT = 256 * 1024
"""Bytes kept of each of stdout and stderr: the first half and the last half."""
OUTPUT_BYTES_MAX = 64 * 1024 * 1024
STDIN_BYTES_MAX = 16 * 1024 * 1024
ARGV_BYTES_MAX = 1024 * 1024
WALL_S_MAX = 7 * 24 * 3600.0
TERM_GRACE_S_DEFAULT = 0.5
TERM_GRACE_S_MAX = 60.0
KILL_WAIT_S = 5.0
"""How long the end after SIGKILL is awaited; longer means a process stuck in the kernel."""
DRAIN_WAIT_S = 1.0
"""How long the pipes may stay open after the group's end (an escaped process holds them)."""
GROUP_POLL_S = 0.01

T = TypeVar("T")
Reason = Literal["exited", "timeout", "cancelled", "killed"]


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """What to run. `env` is the whole environment. `pass_fds` stay open in the child."""

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    stdin: bytes | None = None
    wall_s: float = 600.0
    output_bytes: int = OUTPUT_BYTES_DEFAULT
    term_grace_s: float = TERM_GRACE_S_DEFAULT
    pass_fds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise Invalid(
                "process.bad_spec", f"The command cannot be run: {problem}.", "Correct the command."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessResult:
    """How a child ended.

    `reason`: `exited` by itself with an exit code; `killed` by a signal that is not ours (a crash,
    a resource limit, the system's memory killer); `timeout` after `wall_s`; `cancelled` by a STOP.
    `exit_code` and `signal` are both None only for a process stuck in the kernel after SIGKILL.
    `cpu_ms` counts the child and all descendants it waited for; None: unknown. `peak_rss_bytes` is
    the largest single process among them; None when it stayed below our own peak, which hides
    smaller values (Linux hands the high-water mark on through exec).
    """

    exit_code: int | None
    signal: int | None
    stdout: bytes
    stderr: bytes
    truncated: bool
    wall_ms: int
    cpu_ms: int | None
    peak_rss_bytes: int | None
    reason: Reason

    @property
    def ok(self) -> bool:
        """True for exit code 0, reached by the child itself."""
        return self.reason == "exited" and self.exit_code == 0


class ProcessHandle:
    """A running child, for a STOP. Belongs to the event loop that runs it."""

    def __init__(self, pid: int, stopped: asyncio.Future[None]) -> None:
        self.pid = pid
        self._stopped = stopped

    def stop(self) -> None:
        """End the child: TERM, then KILL after the grace. `run` returns `cancelled`. Idempotent."""
        if not self._stopped.done():
            self._stopped.set_result(None)


async def run(
    spec: ProcessSpec, *, on_start: Callable[[ProcessHandle], None] | None = None
) -> ProcessResult:
    """Run `spec` to its end; when this returns or raises, the child's group has been ended.

    Cancelling the caller ends the group, waits for it and raises `CancelledError`; a second
    cancellation skips the grace. Raises `Unavailable("process.not_started")` when the program
    cannot be started. Call it on a thread that outlives the child: `prctl(PR_SET_PDEATHSIG)`,
    which the sandbox uses, fires when the *thread* that started the child ends.
    """
    child = _Child(spec)
    reason: Reason = "cancelled"
    try:
        if on_start is not None:
            on_start(ProcessHandle(child.pid, child.stopped))
        await child.connect()
        reason = await child.first_end()
    finally:
        await child.end(by_itself=reason == "exited")
    return child.result(reason)


class _Pipe(asyncio.Protocol):
    """One end of a pipe to the child; `closed` is set when its transport is done."""

    def __init__(self, closed: asyncio.Future[None], output: BoundedOutput | None = None) -> None:
        self._closed = closed
        self._output = output

    def data_received(self, data: bytes) -> None:
        if self._output is not None:
            self._output.add(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)


class _Child:
    """One started child: its pipes, its exit notice, its end."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._loop = asyncio.get_running_loop()
        self._peak_before = _peak_rss_bytes(resource.getrusage(resource.RUSAGE_SELF))
        self._started = time.monotonic()
        self._wall_s = 0.0
        self._popen = _start(spec)
        self.pid = self._popen.pid
        self.stopped: asyncio.Future[None] = self._loop.create_future()
        self._hurry: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._status: int | None = None
        self._usage: resource.struct_rusage | None = None
        self._pidfd: int | None = None
        self._outputs = (BoundedOutput(spec.output_bytes), BoundedOutput(spec.output_bytes))
        self._unconnected = [p for p in (self._popen.stdout, self._popen.stderr) if p]
        self._readers: list[tuple[asyncio.ReadTransport, asyncio.Future[None]]] = []
        self._writer: tuple[asyncio.WriteTransport, asyncio.Future[None]] | None = None
        self._cancelled = False
        self._watch()

    def _watch(self) -> None:
        """Learn of the exit: by pidfd where there is one (Linux), else by a waiting thread."""
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            threading.Thread(target=self._wait_in_thread, daemon=True).start()
        else:
            self._loop.add_reader(self._pidfd, self._on_exit)

    def _wait_in_thread(self) -> None:
        _, status, usage = os.wait4(self.pid, 0)
        self._status, self._usage = status, usage
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            self._loop.call_soon_threadsafe(self._on_exit)

    def _on_exit(self) -> None:
        self._unwatch()
        if not self._exited.done():
            self._exited.set_result(None)

    def _unwatch(self) -> None:
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    async def connect(self) -> None:
        for output, pipe in zip(self._outputs, list(self._unconnected), strict=True):
            closed: asyncio.Future[None] = self._loop.create_future()
            reader, _ = await self._unbroken(
                self._loop.connect_read_pipe(partial(_Pipe, closed, output), pipe)
            )
            self._unconnected.remove(pipe)
            self._readers.append((reader, closed))
        if self._popen.stdin is not None:
            closed = self._loop.create_future()
            writer, _ = await self._unbroken(
                self._loop.connect_write_pipe(partial(_Pipe, closed), self._popen.stdin)
            )
            self._writer = writer, closed
            writer.write(self._spec.stdin or b"")
            writer.write_eof()
        if self._cancelled:
            raise asyncio.CancelledError

    async def _unbroken(self, connecting: Coroutine[Any, Any, T]) -> T:
        """Connect a pipe, also when cancelled. uvloop closes the descriptor of one whose connecting
        is cut off, and its file object would close that number again: by then it may be another's.
        """
        task = self._loop.create_task(connecting)
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                self._cancelled = True
        return task.result()

    async def first_end(self) -> Reason:
        done, _ = await asyncio.wait(
            {self._exited, self.stopped},
            timeout=self._spec.wall_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._exited in done:
            return "exited"
        return "cancelled" if done else "timeout"

    async def end(self, *, by_itself: bool) -> None:
        """End the group, reap the child, close the pipes. Afterwards nothing of ours is left."""
        grace_end = self._loop.time() + (0.0 if by_itself else self._spec.term_grace_s)
        if not self._exited.done():
            self._signal_group(signal.SIGTERM)
            await self._wait(grace_end, self._exited, self._hurry)
        if by_itself or not self._exited.done():
            self._signal_group(signal.SIGKILL)  # the unreaped child still holds the group's number
            await self._wait(self._loop.time() + KILL_WAIT_S, self._exited)
        self._reap()
        await self._empty_group(grace_end)
        await self._drain()
        self._wall_s = time.monotonic() - self._started
        if self._cancelled:
            raise asyncio.CancelledError

    async def _wait(self, until: float, *futures: asyncio.Future[None]) -> None:
        """Wait for one of `futures`. A cancellation does not stop the end, it cuts the grace."""
        while not any(future.done() for future in futures):
            left_s = until - self._loop.time()
            if left_s <= 0:
                return
            try:
                await asyncio.wait(futures, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                self._cancelled = True
                if not self._hurry.done():
                    self._hurry.set_result(None)

    def _signal_group(self, number: signal.Signals | Literal[0]) -> bool:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        except PermissionError:  # only members that changed their user are left
            return True
        return True

    def _reap(self) -> None:
        if self._status is None and self._exited.done():
            _, self._status, self._usage = os.wait4(self.pid, 0)
        if self._status is not None:
            self._popen.returncode = os.waitstatus_to_exitcode(self._status)

    async def _empty_group(self, grace_end: float) -> None:
        """Give members that outlived the leader the rest of the grace, then KILL them."""
        while self._signal_group(0) and self._loop.time() < grace_end and not self._hurry.done():
            await self._poll()
        if not self._signal_group(signal.SIGKILL):
            return
        kill_end = self._loop.time() + DRAIN_WAIT_S
        while self._signal_group(0) and self._loop.time() < kill_end:
            await self._poll()

    async def _poll(self) -> None:
        await self._wait(self._loop.time() + GROUP_POLL_S, self._loop.create_future())

    async def _drain(self) -> None:
        """Read what is left in the pipes, then close everything."""
        drain_end = self._loop.time() + DRAIN_WAIT_S
        for reader, closed in self._readers:
            await self._wait(drain_end, closed)
            if not closed.done():
                reader.close()
                await self._wait(self._loop.time() + DRAIN_WAIT_S, closed)
        if self._writer is not None and not self._writer[1].done():
            self._writer[0].abort()
            await self._wait(self._loop.time() + DRAIN_WAIT_S, self._writer[1])
        elif self._writer is None and self._popen.stdin is not None:
            self._popen.stdin.close()
        for pipe in self._unconnected:
            pipe.close()
        self._unwatch()

    def result(self, reason: Reason) -> ProcessResult:
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        number = -code if code is not None and code < 0 else None
        usage = self._usage
        peak = None if usage is None else _peak_rss_bytes(usage)
        stdout, stderr = self._outputs
        return ProcessResult(
            exit_code=None if number else code,
            signal=number,
            stdout=stdout.value(),
            stderr=stderr.value(),
            truncated=bool(stdout.left_out_bytes or stderr.left_out_bytes),
            wall_ms=round(self._wall_s * 1000),
            cpu_ms=None if usage is None else round((usage.ru_utime + usage.ru_stime) * 1000),
            peak_rss_bytes=peak if peak is not None and peak > self._peak_before else None,
            reason="killed" if reason == "exited" and number else reason,
        )


def _start(spec: ProcessSpec) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            spec.argv,
            bufsize=0,
            cwd=spec.cwd,
            env=dict(spec.env),
            stdin=subprocess.DEVNULL if spec.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=spec.pass_fds,
        )
    except OSError as exc:
        raise Unavailable(
            "process.not_started",
            f"{spec.argv[0]} could not be started: {exc.strerror or exc}.",
            "Check that the program is installed and may be executed, and that its working "
            "directory exists.",
            program=spec.argv[0],
        ) from exc


def _peak_rss_bytes(usage: resource.struct_rusage) -> int:
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _problem(spec: ProcessSpec) -> str:
    """Why `spec` cannot be run, or ''."""
    if not spec.argv or not spec.argv[0]:
        return "it has no program"
    texts = [*spec.argv, *spec.env, *spec.env.values(), str(spec.cwd)]
    if any("\0" in text for text in texts):
        return "an argument or variable holds a NUL character"
    if any("=" in name or not name for name in spec.env):
        return "a variable's name is empty or holds '='"
    try:
        argv_bytes = sum(len(os.fsencode(text)) + 1 for text in texts)
    except UnicodeEncodeError:
        return "an argument cannot be encoded"
    if argv_bytes > ARGV_BYTES_MAX:
        return f"its arguments have {argv_bytes} bytes, more than {ARGV_BYTES_MAX}"
    if len(spec.stdin or b"") > STDIN_BYTES_MAX:
        return f"its input has more than {STDIN_BYTES_MAX} bytes"
    if not (math.isfinite(spec.wall_s) and 0 < spec.wall_s <= WALL_S_MAX):
        return f"wall_s is {spec.wall_s}, not above 0 and at most {WALL_S_MAX:.0f}"
    if not 0 <= spec.term_grace_s <= TERM_GRACE_S_MAX:
        return f"term_grace_s is {spec.term_grace_s}, not 0 to {TERM_GRACE_S_MAX:.0f}"
    if not 0 <= spec.output_bytes <= OUTPUT_BYTES_MAX:
        return f"output_bytes is {spec.output_bytes}, not 0 to {OUTPUT_BYTES_MAX}"
    return ""
