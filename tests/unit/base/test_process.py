"""The process runner, with real children that do not want to end.

Nothing sleeps here: a child says that it is ready by a file or by its output, and every wait is for
a condition with a bound.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from homarus.base.errors import Invalid, Unavailable
from homarus.base.process import (
    ARGV_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    ProcessHandle,
    ProcessResult,
    ProcessSpec,
    run,
)

WAIT_S = 20.0
PYTHON = os.path.realpath(sys.executable)


def python(code: str, cwd: Path, **more: object) -> ProcessSpec:
    return ProcessSpec((PYTHON, "-I", "-S", "-c", code), cwd, **more)  # type: ignore[arg-type]


async def run_apart(code: str, cwd: Path) -> bytes:
    """Output of `code` in a Python that a shell starts: an exec hands on the peak memory of who
    called it, and a test process may have grown to any size."""
    argv = ("/bin/sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", code)
    result = await run(ProcessSpec(argv, cwd, {"PYTHONPATH": os.pathsep.join(sys.path)}))
    assert result.stderr == b""
    return result.stdout


async def until(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - processes give no signal of their own
            await asyncio.sleep(0.005)
    assert condition(), what


def gone(pid: int) -> bool:
    """True when `pid` runs no more: reaped, or a zombie that its new parent has yet to reap."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


class Running:
    """A run in the background, with its handle; ready when the child has written `pids`."""

    def __init__(self, spec: ProcessSpec, pids: Path) -> None:
        self.handles: list[ProcessHandle] = []
        self._pids = pids
        self.task = asyncio.create_task(run(spec, on_start=self.handles.append))

    async def pids(self) -> list[int]:
        await until(
            lambda: self._pids.exists() and self._pids.read_text().endswith("\n"), "child ready"
        )
        return [int(word) for word in self._pids.read_text().split()]

    async def result(self) -> ProcessResult:
        async with asyncio.timeout(WAIT_S):
            return await self.task


@pytest.fixture(scope="module")
def uvloop_used() -> None:
    """The first loop of uvloop opens a pipe for signals that stays as long as the process."""
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.new_event_loop().close()


@pytest.fixture
def open_fds(uvloop_used: None) -> Iterator[None]:
    """No run leaves a descriptor behind."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_output_exit_code_and_usage(tmp_path: Path, open_fds: None) -> None:
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    result = await run(python(code, tmp_path))
    assert (result.exit_code, result.signal, result.reason) == (3, None, "exited")
    assert (result.stdout, result.stderr, result.truncated) == (b"out\n", b"err\n", False)
    assert not result.ok
    assert result.cpu_ms is not None
    assert 0 < result.cpu_ms <= result.wall_ms * (os.cpu_count() or 1) + 20


async def test_cpu_time_is_that_of_the_child(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    cpu_ms = (await run(python(code, tmp_path))).cpu_ms
    assert cpu_ms is not None
    assert cpu_ms >= 300


@pytest.mark.parametrize(
    ("own_mib", "child_mib", "known"),
    [(0, 200, True), pytest.param(300, 200, False, id="hidden by our own peak")],
)
async def test_peak_memory_is_that_of_the_child(
    tmp_path: Path, own_mib: int, child_mib: int, known: bool
) -> None:
    code = f"""
import asyncio, pathlib, sys
from homarus.base.process import ProcessSpec, run
own = bytearray({own_mib} * 1024 * 1024)
argv = (sys.executable, "-c", "x = bytearray({child_mib} * 1024 * 1024)")
print(asyncio.run(run(ProcessSpec(argv, pathlib.Path.cwd()))).peak_rss_bytes)
"""
    peak = (await run_apart(code, tmp_path)).decode().strip()
    if known:
        assert child_mib <= int(peak) / 1024**2 < child_mib + 100
    else:
        assert peak == "None"


async def test_environment_is_complete(tmp_path: Path) -> None:
    os.environ["HOMARUS_TEST_LEAK"] = "secret"
    try:
        result = await run(ProcessSpec(("/usr/bin/env",), tmp_path, {"ONLY": "this"}))
    finally:
        del os.environ["HOMARUS_TEST_LEAK"]
    assert result.stdout == b"ONLY=this\n"


async def test_working_directory_and_no_shell(tmp_path: Path) -> None:
    result = await run(ProcessSpec(("/bin/echo", "$HOME; `id` *", "a\nb"), tmp_path))
    assert result.stdout == b"$HOME; `id` * a\nb\n"
    result = await run(ProcessSpec(("/bin/pwd",), tmp_path))
    assert result.stdout.strip() == bytes(tmp_path)


@pytest.mark.parametrize(
    ("stdin", "expected"), [(None, b""), (b"", b""), (b"x\n" * 300_000, b"x\n" * 300_000)]
)
async def test_stdin(tmp_path: Path, stdin: bytes | None, expected: bytes, open_fds: None) -> None:
    spec = ProcessSpec(("/bin/cat",), tmp_path, stdin=stdin, output_bytes=1_000_000)
    assert (await run(spec)).stdout == expected


async def test_child_that_never_reads_its_stdin(tmp_path: Path, open_fds: None) -> None:
    assert (await run(ProcessSpec(("/bin/true",), tmp_path, stdin=b"x" * 1_000_000))).ok


async def test_passed_descriptor_stays_open(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"through")
        code = f"import os; os.write(1, os.read({reader}, 7))"
        result = await run(python(code, tmp_path, pass_fds=(reader,)))
    finally:
        os.close(reader)
        os.close(writer)
    assert result.stdout == b"through"


async def test_flood_is_read_to_the_end_and_kept_by_head_and_tail(tmp_path: Path) -> None:
    code = (
        "import os; block = b'x' * 65536\n"
        "os.write(1, b'first ')\n"
        "for _ in range(1600): os.write(1, block)\n"
        "os.write(1, b' last')"
    )
    result = await run(python(code, tmp_path, output_bytes=1024))
    assert result.ok
    assert result.truncated
    assert result.stdout.startswith(b"first xxx")
    assert result.stdout.endswith(b"xxx last")
    assert b"[%d bytes left out]" % (1600 * 65536 + 11 - 1024) in result.stdout
    assert len(result.stdout) < 1100


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
async def test_end_by_a_signal_that_is_not_ours(tmp_path: Path, number: signal.Signals) -> None:
    result = await run(python(f"import os; os.kill(os.getpid(), {number:d})", tmp_path))
    assert (result.exit_code, result.signal, result.reason) == (None, number, "killed")


IGNORES_TERM = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pids = [os.getpid()]
ready, born = os.pipe()
for _ in range(2):
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            os.write(born, b"x")
        time.sleep(600)
    pids.append(child)
for _ in range(2):
    os.read(ready, 1)
open(sys.argv[1] + ".new", "w").write(" ".join(map(str, pids)) + chr(10))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


def stubborn(tmp_path: Path, **more: object) -> tuple[ProcessSpec, Path]:
    """A child that ignores TERM and has forked children and grandchildren that do so too."""
    pids = tmp_path / "pids"
    argv = (PYTHON, "-I", "-S", "-c", IGNORES_TERM, str(pids))
    return ProcessSpec(argv, tmp_path, term_grace_s=0.1, **more), pids  # type: ignore[arg-type]


def group_members(pgid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and not gone(int(entry.name)):
            try:
                if os.getpgid(int(entry.name)) == pgid:
                    found.append(int(entry.name))
            except ProcessLookupError:
                continue
    return found


async def test_stop_ends_the_whole_group(tmp_path: Path, open_fds: None) -> None:
    spec, pids_file = stubborn(tmp_path)
    running = Running(spec, pids_file)
    pids = await running.pids()
    assert len(group_members(pids[0])) == 5
    handle = running.handles[0]
    assert handle.pid == pids[0]
    handle.stop()
    handle.stop()
    result = await running.result()
    assert (result.reason, result.signal, result.exit_code) == ("cancelled", signal.SIGKILL, None)
    assert group_members(pids[0]) == []
    handle.stop()  # after the end: nothing


async def test_timeout_ends_the_whole_group(tmp_path: Path) -> None:
    spec, pids_file = stubborn(tmp_path, wall_s=1.0)
    running = Running(spec, pids_file)
    pids = await running.pids()
    result = await running.result()
    assert (result.reason, result.signal) == ("timeout", signal.SIGKILL)
    assert 1000 <= result.wall_ms < WAIT_S * 1000
    assert group_members(pids[0]) == []


@pytest.mark.parametrize("times", [1, 3])
async def test_cancelling_ends_the_group_before_it_raises(
    tmp_path: Path, times: int, open_fds: None
) -> None:
    spec, pids_file = stubborn(tmp_path)
    running = Running(spec, pids_file)
    pids = await running.pids()
    for _ in range(times):
        running.task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await running.result()
    assert group_members(pids[0]) == []


async def test_second_cancellation_skips_the_grace(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    argv = (PYTHON, "-I", "-S", "-c", IGNORES_TERM, str(pids))
    running = Running(ProcessSpec(argv, tmp_path, term_grace_s=60), pids)
    await running.pids()
    running.task.cancel()
    await asyncio.sleep(0)
    running.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running.result()


async def test_cancelled_before_it_has_begun(tmp_path: Path, open_fds: None) -> None:
    task = asyncio.create_task(run(ProcessSpec(("/bin/sleep", "600"), tmp_path)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_term_gives_time_to_clean_up(tmp_path: Path) -> None:
    code = """
import os, signal, sys
def clean(*_):
    print("cleaned", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, clean)
open("ready", "w").write("1\\n")
signal.pause()
"""
    running = Running(python(code, tmp_path, term_grace_s=30), tmp_path / "ready")
    await running.pids()
    running.handles[0].stop()
    result = await running.result()
    assert (result.reason, result.exit_code, result.stdout) == ("cancelled", 0, b"cleaned\n")


async def test_a_member_that_outlives_its_leader_has_the_grace_too(tmp_path: Path) -> None:
    worker = 'trap "echo cleaned; exit 0" TERM; echo $$ >ready; while :; do read x <fifo; done'
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "worker").write_text(worker)
    argv = ("/bin/sh", "-c", "/bin/sh worker & wait")
    spec = ProcessSpec(argv, tmp_path, {"PATH": os.defpath}, term_grace_s=30)
    running = Running(spec, tmp_path / "ready")
    await running.pids()
    running.handles[0].stop()
    result = await running.result()
    assert (result.reason, result.stdout) == ("cancelled", b"cleaned\n")


async def test_what_a_command_leaves_running_ends_with_it(tmp_path: Path, open_fds: None) -> None:
    code = """
import os, time
child = os.fork()
if child == 0:
    time.sleep(600)
print(child, flush=True)
"""
    result = await run(python(code, tmp_path))
    assert (result.reason, result.exit_code) == ("exited", 0)
    assert gone(int(result.stdout))


async def test_a_child_that_closes_its_output_is_still_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    code = """
import os, sys
print("before", flush=True)
os.close(1); os.close(2)
open("closed", "w").write("1\\n")
open("gate").read()
os._exit(7)
"""
    running = Running(python(code, tmp_path), tmp_path / "closed")
    await running.pids()
    assert not running.task.done()
    (tmp_path / "gate").write_text("go")
    result = await running.result()
    assert (result.exit_code, result.stdout) == (7, b"before\n")


async def test_an_escaped_process_that_holds_the_output_does_not_hold_the_run(
    tmp_path: Path, open_fds: None
) -> None:
    code = """
import os, time
out, into = os.pipe()
escaped = os.fork()
if escaped == 0:
    os.setsid()
    os.write(into, b"x")
    time.sleep(600)
os.read(out, 1)
print(escaped, flush=True)
"""
    result = await run(python(code, tmp_path))
    os.kill(int(result.stdout), signal.SIGKILL)  # it lived: the module says so
    assert (result.reason, result.exit_code) == ("exited", 0)


async def test_a_failing_on_start_ends_the_child(tmp_path: Path, open_fds: None) -> None:
    started: list[int] = []

    def fail(handle: ProcessHandle) -> None:
        started.append(handle.pid)
        raise LookupError("no row")

    with pytest.raises(LookupError, match="no row"):
        await run(ProcessSpec(("/bin/sleep", "600"), tmp_path), on_start=fail)
    assert gone(started[0])


@pytest.mark.parametrize(
    "argv", [("/nonexistent/program",), ("no-such-program",), ("/etc/passwd",), ("/",)]
)
async def test_a_program_that_cannot_start(
    tmp_path: Path, argv: tuple[str, ...], open_fds: None
) -> None:
    with pytest.raises(Unavailable) as caught:
        await run(ProcessSpec(argv, tmp_path))
    assert caught.value.code == "process.not_started"
    assert argv[0] in caught.value.message
    assert caught.value.remedy


async def test_a_missing_working_directory(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="could not be started"):
        await run(ProcessSpec(("/bin/true",), tmp_path / "absent"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"argv": ()}, "no program"),
        ({"argv": ("",)}, "no program"),
        ({"argv": ("/bin/echo", "a\0b")}, "NUL"),
        ({"argv": ("/bin/echo", "\ud800")}, "encoded"),
        ({"argv": ("/bin/echo", "x" * ARGV_BYTES_MAX)}, "bytes"),
        ({"env": {"A=B": "c"}}, "variable's name"),
        ({"env": {"": "c"}}, "variable's name"),
        ({"env": {"A": "b\0"}}, "NUL"),
        ({"wall_s": 0.0}, "wall_s"),
        ({"wall_s": float("inf")}, "wall_s"),
        ({"wall_s": float("nan")}, "wall_s"),
        ({"term_grace_s": -1.0}, "term_grace_s"),
        ({"output_bytes": -1}, "output_bytes"),
        ({"output_bytes": OUTPUT_BYTES_MAX + 1}, "output_bytes"),
    ],
)
def test_a_bad_spec_says_why(tmp_path: Path, change: dict[str, object], expected: str) -> None:
    fields: dict[str, object] = {"argv": ("/bin/true",), "cwd": tmp_path}
    with pytest.raises(Invalid, match=expected) as caught:
        ProcessSpec(**fields | change)  # type: ignore[arg-type]
    assert caught.value.code == "process.bad_spec"


async def test_many_at_once(tmp_path: Path, open_fds: None) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(run(ProcessSpec(("/bin/echo", str(n)), tmp_path))) for n in range(40)
        ]
    assert [task.result().stdout for task in tasks] == [b"%d\n" % n for n in range(40)]


def test_the_runner_works_on_uvloop_too(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")
    spec, pids_file = stubborn(tmp_path)

    async def stop_one() -> ProcessResult:
        running = Running(spec, pids_file)
        await running.pids()
        running.handles[0].stop()
        return await running.result()

    async def echo() -> ProcessResult:
        return await run(ProcessSpec(("/bin/cat",), tmp_path, stdin=b"x" * 100_000))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(stop_one()).reason == "cancelled"
        assert len(runner.run(echo()).stdout) == 100_000


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("turns", range(10))
def test_cancelled_at_any_moment_of_its_start(
    tmp_path: Path, turns: int, loop: str, open_fds: None
) -> None:
    """The caller hears of its cancellation, and each descriptor is closed once."""
    factory = pytest.importorskip(loop).new_event_loop

    async def start_and_cancel() -> None:
        task = asyncio.create_task(run(ProcessSpec(("/bin/cat",), tmp_path, stdin=b"x")))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(start_and_cancel())


async def test_without_pidfd_a_thread_waits(tmp_path: Path) -> None:
    code = """
import asyncio, os, pathlib
del os.pidfd_open
from homarus.base.process import ProcessSpec, run
async def main():
    spec = ProcessSpec(("/bin/sh", "-c", "echo hello; exit 4"), pathlib.Path.cwd())
    result = await run(spec)
    print(result.exit_code, result.reason, result.stdout)
    spec = ProcessSpec(("/bin/sleep", "600"), pathlib.Path.cwd())
    result = await run(spec, on_start=lambda handle: handle.stop())
    print(result.signal, result.reason)
asyncio.run(main())
"""
    output = await run_apart(code, tmp_path)
    assert output.decode().splitlines() == ["4 exited b'hello\\n'", "15 cancelled"]
