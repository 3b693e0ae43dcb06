"""Commands run for real: what a sandboxed one sees and reaches; what runs without a sandbox."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from homarus.backends.layers import SandboxLayers, probe
from homarus.backends.local import (
    PATH,
    CommandResult,
    SandboxedCommand,
    interpreter,
    run_command,
)
from homarus.base.errors import Invalid, Unavailable
from homarus.base.process import ProcessHandle, ProcessSpec
from homarus.base.process import run as run_process
from homarus.kernel.limits import MIB, Limits
from tests.support.requires import requires

WAIT_S = 20.0
HOST = probe()
NONE = SandboxLayers((), prlimit=HOST.prlimit, setpriv=HOST.setpriv)
sandboxed = pytest.mark.usefixtures("bubblewrap")


async def run(
    workspace: Path, *argv: str, layers: SandboxLayers = HOST, trusted: bool = False, **more: object
) -> CommandResult:
    command = SandboxedCommand(argv, workspace, **more)  # type: ignore[arg-type]
    return await run_command(command, layers, trusted=trusted)


async def python(workspace: Path, code: str, **more: object) -> CommandResult:
    return await run(workspace, interpreter().python, "-c", code, **more)  # type: ignore[arg-type]


async def answer(workspace: Path, code: str, **more: object) -> object:
    """What `code` binds to `answer`, computed in the sandbox."""
    result = await python(workspace, f"import json, os\n{code}\nprint(json.dumps(answer))", **more)
    assert result.ok, result.stderr.decode()
    assert result.sandbox == "bwrap"
    return json.loads(result.stdout)


@pytest.fixture
def bubblewrap() -> None:
    requires("bubblewrap")
    assert HOST.sandbox == "bwrap", HOST.as_json()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "workspace"
    path.mkdir(parents=True)
    return path


@sandboxed
class TestView:
    async def test_workspace_is_writable_and_the_working_directory(self, workspace: Path) -> None:
        code = "open('made', 'w').write('here'); answer = [os.getcwd(), os.environ['HOME']]"
        assert await answer(workspace, code) == [str(workspace)] * 2
        assert (workspace / "made").read_text() == "here"

    async def test_inputs_are_read_only(self, workspace: Path, tmp_path: Path) -> None:
        given = tmp_path / "given"
        given.mkdir()
        (given / "file").write_text("as it was")
        code = f"""
answer = [open('{given}/file').read()]
for act in (lambda: open('{given}/file', 'w'), lambda: open('{given}/new', 'w'),
            lambda: os.unlink('{given}/file'), lambda: os.chmod('{given}/file', 0)):
    try:
        act(); answer.append('done')
    except OSError as exc:
        answer.append(exc.strerror)
"""
        said = await answer(workspace, code, inputs=(given,))
        assert said == ["as it was"] + ["Read-only file system"] * 4
        assert [at.name for at in given.iterdir()] == ["file"]

    async def test_home_and_state_are_not_there(self, workspace: Path, tmp_path: Path) -> None:
        (tmp_path / "state" / "secret").write_text("token")
        home = str(Path.home())
        code = f"""
def listed(path):
    try: return sorted(os.listdir(path))
    except OSError as exc: return exc.strerror
answer = [listed('{tmp_path}/state'), listed('/home'), [at for at in listed('{home}') if at in
          ('.bashrc', '.ssh', '.profile')] if os.path.isdir('{home}') else []]
"""
        said = await answer(workspace, code)
        assert said == [["workspace"], "No such file or directory", []]

    async def test_state_below_an_input_stays_hidden(self, workspace: Path, tmp_path: Path) -> None:
        (tmp_path / "state" / "secret").write_text("token")
        (tmp_path / "seen").write_text("x")
        state = tmp_path / "state"
        code = f"answer = [sorted(os.listdir('{tmp_path}')), os.listdir('{state}')]"
        said = await answer(workspace, code, inputs=(tmp_path,), hidden=(state,))
        assert said == [["seen", "state"], ["workspace"]]

    async def test_environment_is_clear(self, workspace: Path) -> None:
        os.environ["HOMARUS_TEST_LEAK"] = "secret"
        try:
            result = await run(workspace, "env", env={"GIVEN": "a b\n;"})
        finally:
            del os.environ["HOMARUS_TEST_LEAK"]
        names = {line.partition(b"=")[0] for line in result.stdout.splitlines()}
        assert names - {b";"} == {b"GIVEN", b"HOME", b"LANG", b"PATH", b"PWD"}
        assert b"GIVEN=a b\n;" in result.stdout

    async def test_environment_is_not_in_any_argument_list(self, workspace: Path) -> None:
        seen: list[bytes] = []

        def look() -> None:
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        seen.append((entry / "cmdline").read_bytes())
                    except OSError:
                        continue

        os.mkfifo(workspace / "gate")
        command = SandboxedCommand(("cat", "gate"), workspace, env={"GIVEN": "open-sesame"})
        task = asyncio.create_task(run_command(command, HOST, trusted=False))
        await opened_for_writing(workspace / "gate", look)
        assert (await task).ok
        assert any(b"--json-status-fd" in at for at in seen)
        assert not any(b"open-sesame" in at for at in seen)

    async def test_network_is_out_of_reach(self, workspace: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S):
                listener.accept()[0].close()  # from here it is reachable
            code = f"""
import socket
import sys
answer = []
for address in (('127.0.0.1', {port}), ('192.0.2.1', 80)):
    try:
        socket.create_connection(address, timeout=5); answer.append('connected')
    except OSError as exc:
        answer.append(exc.strerror)
answer.append([name for _, name in socket.if_nameindex()])
"""
            said = await answer(workspace, code)
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
        assert said == ["Connection refused", "Network is unreachable", ["lo"]]

    async def test_abstract_sockets_are_out_of_reach(self, workspace: Path) -> None:
        name = f"\0homarus-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(name)
            listener.listen()
            code = f"""
import socket
import sys
try:
    socket.socket(socket.AF_UNIX).connect({name!r}); answer = 'connected'
except OSError as exc:
    answer = exc.strerror
"""
            assert await answer(workspace, code) == "Connection refused"

    async def test_no_other_process_is_seen(self, workspace: Path) -> None:
        code = """
answer = []
for at in os.listdir('/proc'):
    if at.isdigit(): answer.append(open(f'/proc/{at}/comm').read().strip())
"""
        said = await answer(workspace, code)
        assert isinstance(said, list)
        assert len(said) <= 2
        assert not any("pytest" in at for at in said)

    async def test_no_capability_and_no_way_to_get_one(self, workspace: Path) -> None:
        code = """
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
answer = [status[at].strip() for at in ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs')]
"""
        assert await answer(workspace, code) == ["0" * 16] * 3 + ["1"]

    async def test_etc_is_minimal_and_the_system_read_only(self, workspace: Path) -> None:
        code = """
answer = [os.path.exists('/etc/shadow'), os.path.exists('/etc/hosts'), os.access('/usr', os.W_OK)]
"""
        assert await answer(workspace, code) == [False, False, False]

    async def test_tmp_is_fresh(self, workspace: Path, tmp_path: Path) -> None:
        code = "answer = os.listdir('/tmp'); open('/tmp/left', 'w').write('x')"
        first = await answer(workspace, code)
        assert await answer(workspace, code) == first
        assert isinstance(first, list)
        assert "left" not in first

    async def test_our_source_is_seen_and_our_environment_is_not(self, workspace: Path) -> None:
        code = """
import homarus, sys, importlib.util
answer = [homarus.__version__ != '', importlib.util.find_spec('apsw') is None]
"""
        assert await answer(workspace, code) == [True, True]

    async def test_descriptors_of_the_sandbox_stay_outside(self, workspace: Path) -> None:
        result = await run(workspace, "ls", "/proc/self/fd")
        assert result.stdout.split() == [b"0", b"1", b"2", b"3"]  # 3 is the listing itself


async def opened_for_writing(fifo: Path, then: Callable[[], None]) -> None:
    """Wait until a reader has the FIFO open, do `then`, and let the reader go on."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
                break
            except OSError:  # ENXIO: nobody reads yet
                await asyncio.sleep(0.005)
    try:
        then()
    finally:
        os.close(fd)


@sandboxed
class TestLimits:
    async def test_cpu(self, workspace: Path) -> None:
        result = await python(workspace, "while True: pass", limits=Limits(cpu_s=1))
        assert result.exit_code == 128 + signal.SIGXCPU
        assert result.cpu_ms is not None
        assert 700 <= result.cpu_ms <= 2000  # the kernel counts the limit in whole ticks

    async def test_memory(self, workspace: Path) -> None:
        limits = Limits(memory_bytes=64 * MIB)
        result = await python(workspace, "bytearray(100 * 1024 * 1024)", limits=limits)
        assert (result.exit_code, b"MemoryError" in result.stderr) == (1, True)

    async def test_file_size(self, workspace: Path) -> None:
        limits = Limits(file_bytes=1000)
        result = await python(
            workspace,
            "open('x', 'wb', 0).write(bytes(2000)); open('x', 'ab', 0).write(b'1')",
            limits=limits,
        )
        assert (result.exit_code, b"File too large" in result.stderr) == (1, True)
        assert (workspace / "x").stat().st_size == 1000

    @pytest.mark.skipif(not HOST.active("process-count"), reason="the kernel spares root")
    async def test_processes(self, workspace: Path) -> None:
        script = "for i in 1 2 3 4 5 6 7 8; do sleep 600 & done; wait"
        result = await run(workspace, "sh", "-c", script, limits=Limits(processes=6))
        assert b"Cannot fork" in result.stderr

    async def test_wall_clock_ends_what_has_left_its_session_too(self, workspace: Path) -> None:
        code = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
print('ready', flush=True)
time.sleep(600)
"""
        result = await python(workspace, code, limits=Limits(wall_s=1))
        assert result.reason == "timeout"
        assert b"ready" in result.stdout
        # the pipes reached their end: nobody holds them any more
        assert result.wall_ms < 10_000


@sandboxed
class TestEnds:
    async def test_stop(self, workspace: Path) -> None:
        os.mkfifo(workspace / "gate")
        started: asyncio.Future[ProcessHandle] = asyncio.get_running_loop().create_future()
        command = SandboxedCommand(("cat", "gate"), workspace)
        task = asyncio.create_task(
            run_command(command, HOST, trusted=False, on_start=started.set_result)
        )
        async with asyncio.timeout(WAIT_S):
            (await started).stop()
            result = await task
        assert (result.reason, result.ok) == ("cancelled", False)

    @pytest.mark.parametrize(
        ("script", "code"), [("exit 0", 0), ("exit 1", 1), ("kill -9 $$", 137), ("exit 200", 200)]
    )
    async def test_exit_codes(self, workspace: Path, script: str, code: int) -> None:
        result = await run(workspace, "sh", "-c", script)
        assert (result.reason, result.exit_code, result.signal) == ("exited", code, None)

    async def test_cpu_time_is_that_of_the_command(self, workspace: Path) -> None:
        code = "import time\nwhile time.process_time() < 0.3: pass"
        result = await python(workspace, code)
        assert result.cpu_ms is not None
        assert result.cpu_ms >= 300

    async def test_input_and_output(self, workspace: Path) -> None:
        result = await run(workspace, "cat", stdin=b"through")
        assert result.stdout == b"through"
        assert result.facts()["sandbox"] == "bwrap"

    async def test_a_view_that_cannot_be_built(self, workspace: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        broken = SandboxLayers(HOST.layers, "/bin/false", HOST.prlimit)
        with pytest.raises(Unavailable) as caught:
            await run(workspace, "true", layers=broken)
        assert caught.value.code == "sandbox.failed"

    @pytest.mark.parametrize("program", ["no-such-program", "/no/such/program", "./absent", ""])
    async def test_a_program_that_is_not_there(self, workspace: Path, program: str) -> None:
        for layers in (HOST, NONE):
            with pytest.raises(Unavailable) as caught:
                await run(workspace, program, layers=layers, trusted=True)
            assert caught.value.code == "process.not_started"

    async def test_a_program_of_the_workspace(self, workspace: Path) -> None:
        (workspace / "tool").write_text("#!/bin/sh\necho made here\n")
        (workspace / "tool").chmod(0o755)
        assert (await run(workspace, "./tool")).stdout == b"made here\n"

    async def test_odd_names_survive(self, workspace: Path) -> None:
        name = os.fsdecode(b"line\nbreak \xff '\"$(x)")
        (workspace / name).write_text("content")
        assert (await run(workspace, "cat", name)).stdout == b"content"


@pytest.mark.parametrize(
    ("layers", "trusted", "unsandboxed", "expected"),
    [
        (HOST, False, False, "bwrap"),
        (HOST, True, False, "bwrap"),
        (HOST, True, True, "none"),
        (HOST, False, True, "sandbox.required"),
        (NONE, False, False, "sandbox.missing"),
        (NONE, False, True, "sandbox.required"),
        (NONE, True, False, "none"),
        (NONE, True, True, "none"),
        (SandboxLayers(()), True, False, "none"),
        (SandboxLayers((), bwrap="/bin/false"), False, False, "sandbox.missing"),
    ],
)
async def test_who_may_run_without_a_sandbox(
    workspace: Path, layers: SandboxLayers, trusted: bool, unsandboxed: bool, expected: str
) -> None:
    if expected == "bwrap":
        requires("bubblewrap")
    try:
        result = await run(
            workspace, "pwd", layers=layers, trusted=trusted, unsandboxed=unsandboxed
        )
    except (Unavailable, Invalid) as exc:
        assert exc.code == expected
        assert exc.remedy
    else:
        assert (result.sandbox, result.stdout.strip()) == (expected, bytes(workspace))
        assert result.facts()["sandbox"] == expected


class TestPlain:
    """A trusted command without a sandbox still has a clean environment and its limits."""

    async def test_environment(self, workspace: Path) -> None:
        os.environ["HOMARUS_TEST_LEAK"] = "secret"
        try:
            result = await run(workspace, "env", layers=NONE, trusted=True, env={"A": "b"})
        finally:
            del os.environ["HOMARUS_TEST_LEAK"]
        names = {line.partition(b"=")[0] for line in result.stdout.splitlines()}
        assert names == {b"A", b"HOME", b"LANG", b"PATH"}

    @pytest.mark.skipif(NONE.prlimit is None, reason="prlimit is not installed")
    async def test_limits(self, workspace: Path) -> None:
        limits = Limits(file_bytes=1000)
        code = "open('x', 'wb', 0).write(bytes(2000)); open('x', 'ab', 0).write(b'1')"
        result = await python(workspace, code, layers=NONE, trusted=True, limits=limits)
        assert b"File too large" in result.stderr

    @pytest.mark.skipif(NONE.setpriv is None, reason="setpriv is not installed")
    async def test_no_new_privileges(self, workspace: Path) -> None:
        result = await run(
            workspace, "grep", "NoNewPrivs", "/proc/self/status", layers=NONE, trusted=True
        )
        assert result.stdout.split() == [b"NoNewPrivs:", b"1"]

    async def test_our_interpreter(self, workspace: Path) -> None:
        result = await python(workspace, "import homarus", layers=NONE, trusted=True)
        assert result.ok, result.stderr


RUNNER = """
import asyncio, pathlib, sys
from homarus.backends.layers import SandboxLayers, probe
from homarus.backends.local import SandboxedCommand, run_command
layers = probe()
if sys.argv[1] == "none":
    layers = SandboxLayers((), prlimit=layers.prlimit, setpriv=layers.setpriv)
script = "exec 3>gate; echo ready >&3; sleep 600"
command = SandboxedCommand(("sh", "-c", script), pathlib.Path(sys.argv[2]))
asyncio.run(run_command(command, layers, trusted=True))
"""


@pytest.mark.parametrize("sandbox", ["bwrap", "none"])
async def test_a_command_dies_with_the_process_that_runs_it(workspace: Path, sandbox: str) -> None:
    """kill -9 of the runner; the command held the FIFO open, so its end is the reader's end."""
    if sandbox == "bwrap":
        requires("bubblewrap")
    elif NONE.setpriv is None:
        pytest.skip("setpriv (util-linux) is not installed")
    os.mkfifo(workspace / "gate")
    script = RUNNER if sandbox == "bwrap" else RUNNER.replace("sleep", "exec sleep")
    argv = (sys.executable, "-c", script, sandbox, str(workspace))
    started: asyncio.Future[ProcessHandle] = asyncio.get_running_loop().create_future()
    spec = ProcessSpec(argv, workspace, {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": PATH})
    task = asyncio.create_task(run_process(spec, on_start=started.set_result))
    async with asyncio.timeout(WAIT_S):
        gate = await asyncio.to_thread(open, workspace / "gate", "rb", 0)
        assert await asyncio.to_thread(gate.readline) == b"ready\n"
        os.kill((await started).pid, signal.SIGKILL)
        assert await asyncio.to_thread(gate.read) == b""
        gate.close()
        assert (await task).reason == "killed"
