"""Our gateway beside the original's, in one run: the same client, the same scripted model.

The original is `openclaw` of npm, which needs a Node: `nox -s openclaw` fetches both, and names
it in HOMARUS_OPENCLAW_NODE. Where it is not there, nothing is measured.
"""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, NamedTuple

import psutil
from websockets.asyncio.client import ClientConnection, connect

from bench.aims import Outcome
from bench.daemon import daemon
from bench.scratch import scratch
from bench.turn import configure
from homarus.testing.model_server import ModelServer, Say

NODE = "HOMARUS_OPENCLAW_NODE"
CALLS, QUICK_CALLS = 2_000, 300
CLIENTS = 8
EACH, QUICK_EACH = 500, 60
AT_ONCE = 16
"""Calls of one client that wait for their answers at the same time."""
RUNS, QUICK_RUNS = 60, 15
A_SESSION = 10
WARM_UP = 5
SETTLE_S = 10.0
WAIT_S = 120.0
MB = 1_000_000
_keys = itertools.count(1)


class Figures(NamedTuple):
    """`ready` seconds, `idle` MB, `p50` and `p99` ms of `health`, `rate` calls/s, `run` ms."""

    ready: float
    idle: float
    p50: float
    p99: float
    rate: float
    run: float


class Started(NamedTuple):
    url: str
    token: str
    pid: int
    took_s: float


def measure(quick: bool) -> Outcome:
    if not os.environ.get(NODE):
        return Outcome({}, [f"no {NODE}: the original is not here to be measured beside"])
    with scratch() as folder, ModelServer(default=Say("Done.")) as model:
        with ours(folder / "ours", model) as started:
            own = figures(started, quick)
        with theirs(folder / "theirs", model) as started:
            other = figures(started, quick)
    return Outcome(
        figures={
            "ready": other.ready / own.ready,
            "idle": other.idle / own.idle,
            "health_p50": own.p50 / other.p50,
            "health_p99": own.p99 / other.p99,
            "rate": own.rate / other.rate,
            "run": other.run / own.run,
        },
        notes=[told("ours", own), told("the original", other)],
    )


def told(name: str, found: Figures) -> str:
    return (
        f"{name}: ready in {found.ready:.2f} s, {found.idle:.0f} MB idle, health p50 "
        f"{found.p50:.2f} ms, p99 {found.p99:.2f} ms, {found.rate:.0f} calls/s of {CLIENTS} "
        f"clients, a run {found.run:.1f} ms"
    )


@contextmanager
def ours(home: Path, model: ModelServer) -> Iterator[Started]:
    """A home that exists, as the other's does."""
    with daemon(home) as running:
        configure(running, model)
    with daemon(home) as running:
        token = (home / "run" / "gateway.token").read_text("ascii").strip()
        yield Started(running.url, token, running.pid, running.took_s)


@contextmanager
def theirs(home: Path, model: ModelServer) -> Iterator[Started]:
    from tests.contract_openclaw.openclaw import program, real_gateway

    found, url = program(), model.base_url("openai")
    with real_gateway(found, home, url, "ada"):
        pass
    began = time.perf_counter()
    with real_gateway(found, home, url, "ada") as real:
        yield Started(real.url, real.token, real.pid, time.perf_counter() - began)


def figures(started: Started, quick: bool) -> Figures:
    time.sleep(SETTLE_S)
    top = psutil.Process(started.pid)
    family = [top, *top.children(recursive=True)]
    idle = sum(process.memory_info().rss for process in family) / MB
    took, rate, runs = asyncio.run(asked(started, quick))
    return Figures(started.took_s, idle, median(took), p99(took), rate, median(runs))


async def asked(started: Started, quick: bool) -> tuple[list[float], float, list[float]]:
    """Milliseconds of `health` one after the other; calls a second of CLIENTS; of agent runs."""
    url = f"ws{started.url.removeprefix('http')}/"
    async with connect(url, max_size=None, compression=None) as wire:
        await greet(wire, started.token)
        for _ in range(WARM_UP):
            await call(wire, "health")
        took = [await timed(wire, "health") for _ in range(QUICK_CALLS if quick else CALLS)]
        for n in range(WARM_UP):
            await run(wire, f"warm-{n}")
        count = QUICK_RUNS if quick else RUNS
        runs = [await run(wire, f"bench-{n // A_SESSION}") for n in range(count)]
    each = QUICK_EACH if quick else EACH
    began = time.perf_counter()
    await asyncio.gather(*(busy(url, started.token, each) for _ in range(CLIENTS)))
    return took, CLIENTS * each / (time.perf_counter() - began), runs


async def busy(url: str, token: str, each: int) -> None:
    async with connect(url, max_size=None, compression=None) as wire:
        await greet(wire, token)
        for _ in range(0, each, AT_ONCE):
            ids = [await send(wire, "sessions.list", {"limit": 20}) for _ in range(AT_ONCE)]
            waiting = set(ids)
            while waiting:
                frame = await heard(wire)
                if frame["type"] == "res":
                    waiting.discard(frame["id"])


async def greet(wire: ClientConnection, token: str) -> None:
    await heard(wire)
    client = {"id": "cli", "version": "1.0.0", "platform": "linux", "mode": "cli"}
    hello = {"minProtocol": 4, "maxProtocol": 4, "client": client, "auth": {"token": token},
             "scopes": ["operator.admin"]}  # fmt: skip
    await call(wire, "connect", hello)


async def run(wire: ClientConnection, session: str) -> float:
    """One run of the agent, from the request to its final answer."""
    params = {"message": "hello", "agentId": "ada", "idempotencyKey": f"run-{next(_keys)}",
              "sessionKey": f"agent:ada:{session}"}  # fmt: skip
    began = time.perf_counter()
    asked = await send(wire, "agent", params)
    while True:
        frame = await heard(wire)
        if frame["type"] == "res" and frame["id"] == asked:
            if not frame["ok"]:
                raise RuntimeError(f"agent: {frame['error']}")
            if frame["payload"]["status"] != "accepted":
                return 1000 * (time.perf_counter() - began)


async def timed(wire: ClientConnection, method: str) -> float:
    began = time.perf_counter()
    await call(wire, method)
    return 1000 * (time.perf_counter() - began)


async def call(wire: ClientConnection, method: str, params: Any = None) -> Any:
    asked = await send(wire, method, params or {})
    while True:
        frame = await heard(wire)
        if frame["type"] == "res" and frame["id"] == asked:
            if not frame["ok"]:
                raise RuntimeError(f"{method}: {frame['error']}")
            return frame["payload"]


async def send(wire: ClientConnection, method: str, params: Any) -> str:
    asked = str(next(_keys))
    await wire.send(json.dumps({"type": "req", "id": asked, "method": method, "params": params}))
    return asked


async def heard(wire: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(WAIT_S):
        return dict(json.loads(await wire.recv()))


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]
