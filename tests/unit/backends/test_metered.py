"""Commands that misbehave, for real: each is ended within its bound, and nobody of it is left.

Each holds a pipe open that the test reads, and so does whoever it starts: it is at its end when
nobody is left.
"""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from homarus.backends.layers import SandboxLayers, probe
from homarus.backends.local import SandboxedCommand, interpreter
from homarus.backends.metered import Meter, MeteredResult
from homarus.backends.trees import Bounds
from homarus.base.process import ProcessHandle
from homarus.kernel.limits import MIB, Limits
from homarus.scheduler.command import BACKSTOP_BYTES
from tests.support.requires import requires

WAIT_S = 60.0
HOST = probe()
NONE = SandboxLayers((), prlimit=HOST.prlimit, setpriv=HOST.setpriv)
BOUNDS = Bounds(cpu_s=0.2, memory_bytes=128 * MIB, processes=24)
LIMITS = Limits(cpu_s=2, memory_bytes=2 * BOUNDS.memory_bytes, processes=64)
PATIENT = 20
"""Seconds of the processor for what should end by its memory: a slow host's pages cost much."""
BACKSTOP = BOUNDS.memory_bytes + BACKSTOP_BYTES
"""What the system itself allows it: a fast host takes much between two looks."""
SLACK_MS = 1_000
"""Governance contract, 8."""

OPEN = (
    "import os, signal, time\nalive = os.open('alive', os.O_WRONLY)\nos.set_inheritable(alive, 1)\n"
)
SPIN = "while True: pass\n"
DEAF = "for n in (1, 2, 3, 15, 24): signal.signal(n, signal.SIG_IGN)\n"
AWAY = """
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
"""
CASES = {
    "spins": (SPIN, "cpu"),
    "ignores every signal that it may": (DEAF + SPIN, "cpu"),
    "closes its output": ("os.close(1); os.close(2)\n" + SPIN, "cpu"),
    "has children that spin": ("for _ in range(3): os.fork()\n" + SPIN, "cpu"),
    "starts one child after the other": (
        "while True:\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.05: pass\n"
        "        os._exit(0)\n"
        "    os.wait()\n",
        "cpu",
    ),
    "waits for none of its children": (
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "for _ in range(12):\n"
        "    at, to = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        while time.process_time() < 0.15: pass\n"
        "        os._exit(0)\n"
        "    os.close(to); os.read(at, 1)\n",
        "cpu",
    ),
    "has a child in a session of its own": (
        DEAF + AWAY + "    while True: pass\nsignal.pause()\n",
        "cpu",
    ),
    "allocates": ("kept = []\nwhile True: kept.append(bytearray(MIB))\n", "memory"),
    "has children that allocate": (
        "for _ in range(3): os.fork()\nkept = bytearray(b'x') * (40 * MIB)\nsignal.pause()\n",
        "memory",
    ),
}  # fmt: skip


@pytest.fixture(params=["sandboxed", "plain"])
def layers(request: pytest.FixtureRequest) -> SandboxLayers:
    if request.param == "plain":
        return NONE
    requires("bubblewrap")
    return HOST


@pytest.fixture
def alive(tmp_path: Path) -> Iterator[int]:
    os.mkfifo(tmp_path / "alive")
    fd = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    yield fd
    os.close(fd)


def left(alive: int) -> bool:
    """Whether somebody holds the other end."""
    try:
        return os.read(alive, 1) != b""
    except BlockingIOError:
        return True


def command(workspace: Path, code: str, limits: Limits = LIMITS) -> SandboxedCommand:
    code = OPEN + f"MIB = {MIB}\n" + code
    return SandboxedCommand((interpreter().python, "-c", code), workspace, limits=limits)


def held(over: str) -> tuple[Bounds, Limits]:
    """What lets a command go over that, and over nothing else before."""
    if over == "cpu":
        return BOUNDS, LIMITS
    limits = replace(LIMITS, cpu_s=PATIENT, memory_bytes=BACKSTOP)
    return replace(BOUNDS, cpu_s=PATIENT), limits


async def run(
    layers: SandboxLayers, it: SandboxedCommand, bounds: Bounds = BOUNDS
) -> MeteredResult:
    async with asyncio.timeout(WAIT_S):
        return await Meter().run_command(bounds, it, layers, trusted=True)


@pytest.mark.parametrize("what", CASES)
async def test_it_is_ended_within_its_bound_with_all_it_started(
    layers: SandboxLayers, tmp_path: Path, alive: int, what: str
) -> None:
    code, over = CASES[what]
    bounds, limits = held(over)
    result = await run(layers, command(tmp_path, code, limits), bounds)
    assert (result.over, result.ok) == (over, False), result
    assert not left(alive)
    assert result.cpu_ms is not None and result.peak_rss_bytes is not None
    if over == "cpu":
        assert bounds.cpu_s * 1_000 <= result.cpu_ms <= bounds.cpu_s * 1_000 + SLACK_MS
    if over == "memory":
        assert result.peak_rss_bytes > BOUNDS.memory_bytes
    assert result.facts()["over"] == over


@pytest.fixture
def groups() -> Iterator[Path]:
    """A folder of cgroup v2 in which groups can be made."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    mount = next((at.split()[4] for at in mounts if " - cgroup2 " in at), None)
    folder = None if mount is None else Path(mount, f"homarus-tests-{os.getpid()}")
    if folder is None or not os.access(folder.parent, os.W_OK):
        pytest.skip("nobody delegated a group to this process")
    folder.mkdir()
    yield folder
    folder.rmdir()  # and none is left in it


@pytest.mark.parametrize(
    "what", ["waits for none of its children", "has a child in a session of its own", "allocates"]
)
async def test_the_kernels_groups_count_and_end_them_too(
    layers: SandboxLayers, tmp_path: Path, alive: int, groups: Path, what: str
) -> None:
    code, over = CASES[what]
    bounds, limits = held(over)
    (groups / "homarus-run-1-1").mkdir()  # of a daemon that died
    meter = Meter(groups)
    async with asyncio.timeout(WAIT_S):
        result = await meter.run_command(
            bounds, command(tmp_path, code, limits), layers, trusted=True
        )
    assert (result.over, result.ok) == (over, False), result
    assert not left(alive)


async def test_what_stays_within_its_bounds_ends_as_it_would(
    layers: SandboxLayers, tmp_path: Path, alive: int
) -> None:
    code = "print('said', flush=True); os._exit(7)"
    result = await run(layers, command(tmp_path, code))
    assert (result.over, result.exit_code, result.reason) == (None, 7, "exited")
    assert result.stdout == b"said\n"


async def test_ever_more_children_are_ended_where_the_system_does_not_count_them(
    layers: SandboxLayers, tmp_path: Path, alive: int
) -> None:
    few = Bounds(cpu_s=10, memory_bytes=1024 * MIB, processes=2)
    code = "for _ in range(20):\n    if os.fork() == 0: signal.pause()\nsignal.pause()\n"
    result = await run(layers, command(tmp_path, code), few)
    assert result.over == "processes"
    assert not left(alive)


@pytest.mark.parametrize("number", [9, 15])
async def test_a_command_that_a_signal_ends_ends_by_it(tmp_path: Path, number: int) -> None:
    """Outside the sandbox too, where something of ours stands before it."""
    os.mkfifo(tmp_path / "alive")
    fd = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    result = await run(NONE, command(tmp_path, f"os.kill(os.getpid(), {number})"))
    os.close(fd)
    assert (result.reason, result.signal, result.over) == ("killed", number, None)


async def test_who_outlives_the_command_is_ended_with_it(
    layers: SandboxLayers, tmp_path: Path, alive: int
) -> None:
    result = await run(layers, command(tmp_path, AWAY + "    signal.pause()\n"))
    assert (result.ok, result.exit_code) == (True, 0)
    assert not left(alive)


async def test_a_stop_ends_who_has_left_the_session_too(
    layers: SandboxLayers, tmp_path: Path, alive: int
) -> None:
    """Also where the command itself is deaf to it, and what stands before it is killed."""
    loop = asyncio.get_running_loop()
    there: asyncio.Future[None] = loop.create_future()
    handles: list[ProcessHandle] = []
    code = DEAF + AWAY + "    os.write(alive, b'x')\n    signal.pause()\nsignal.pause()\n"
    loop.add_reader(alive, lambda: there.done() or there.set_result(None))  # type: ignore[func-returns-value]
    running = asyncio.create_task(
        Meter().run_command(
            BOUNDS, command(tmp_path, code), layers, trusted=True, on_start=handles.append
        )
    )
    async with asyncio.timeout(WAIT_S):
        await there
        loop.remove_reader(alive)
        assert os.read(alive, 1) == b"x"
        handles[0].stop()
        result = await running
    assert (result.reason, result.over) == ("cancelled", None)
    assert not left(alive)


async def test_one_meter_keeps_apart_what_it_watches(
    layers: SandboxLayers, tmp_path: Path, alive: int
) -> None:
    meter = Meter()
    much = Bounds(cpu_s=60, memory_bytes=1024 * MIB, processes=24)
    codes = {
        "while time.process_time() < 0.2: pass": much,
        "for _ in range(2): os.fork()\n" + SPIN: BOUNDS,
    }
    async with asyncio.timeout(WAIT_S):
        good, bad = await asyncio.gather(
            *(
                meter.run_command(bounds, command(tmp_path, code), layers, trusted=True)
                for code, bounds in codes.items()
            )
        )
    assert (good.ok, good.over, bad.over) == (True, None, "cpu")
    assert not left(alive)
