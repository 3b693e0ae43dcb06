"""A turn of an agent: what a run costs beside its model, the first one, and many at a time.

The model answers at once: the daemon's own scripted one for the overhead, a scripted provider over
loopback (so that the model library and its connections count) for the rest.
"""

import itertools
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import psutil

from bench.aims import Outcome
from bench.daemon import Daemon, daemon, profile_from_now
from bench.profiles import top_functions
from bench.scratch import scratch
from homarus.testing.model_server import Echo, ModelServer, Stall

RUNS, QUICK_RUNS = 400, 100
A_SESSION = 10
"""Runs in one session; then another is begun, so that no transcript grows long."""
WARM_UP = 20
FIRSTS, QUICK_FIRSTS = 5, 2
SESSIONS = 200
TIMEOUT_S = 60.0
MB = 1_000_000
TOP = 15


def measure(quick: bool) -> Outcome:
    runs = QUICK_RUNS if quick else RUNS
    with scratch() as folder:
        with daemon(folder / "home") as running:
            agent(running, "ada", model="scripted")
            own_ms = overhead(running, runs)
        with ModelServer(default=Echo()) as provider:
            with daemon(folder / "wire") as running:
                configure(running, provider)
                wire_ms = overhead(running, runs)
            firsts = []
            for _ in range(QUICK_FIRSTS if quick else FIRSTS):
                with daemon(folder / "wire") as running:
                    firsts.append(run(running, "first") / 1000)
        before_mb, after_mb = many(folder / "many")
    return Outcome(
        figures={
            "overhead_p50": median(own_ms),
            "overhead_p99": p99(own_ms),
            "first": median(firsts),
            "sessions": after_mb,
        },
        notes=[
            f"{runs} runs, one at a time, over /v1/chat/completions; through a provider on "
            f"loopback {median(wire_ms):.1f} ms, p99 {p99(wire_ms):.1f} ms",
            f"{SESSIONS} sessions that stream at the same time: {before_mb:.0f} MB before, "
            f"{after_mb:.0f} MB with them",
        ],
        profile=lambda: profile(runs),
    )


def p99(values: list[float]) -> float:
    return quantiles(values, n=100)[98]


def overhead(running: Daemon, runs: int) -> list[float]:
    """Milliseconds of each run, from the request to the whole answer."""
    for n in range(WARM_UP):
        run(running, f"warm-{n // A_SESSION}")
    return [run(running, f"run-{n // A_SESSION}") for n in range(runs)]


def many(home: Path) -> tuple[float, float]:
    """Resident megabytes before and while SESSIONS turns wait for a model that has begun to speak.
    They stay together until the last one is there."""
    settings = {"HOMARUS_MAX_TURNS": str(SESSIONS)}
    with (
        ModelServer(default=Stall("Well")) as provider,
        daemon(home, settings=settings) as running,
    ):
        configure(running, provider)
        before = resident(running)
        with ThreadPoolExecutor(SESSIONS) as callers:
            asked = [callers.submit(accept, running, f"s-{n}") for n in range(SESSIONS)]
            for each in asked:
                each.result()
        provider.wait(lambda server: len(server.requests) >= SESSIONS, TIMEOUT_S)
        return before, resident(running)


def resident(running: Daemon) -> float:
    return float(psutil.Process(running.pid).memory_info().rss) / MB


def profile(runs: int) -> list[str]:
    with scratch() as folder:
        found = folder / "profile"
        with daemon(folder / "home", profile=found) as running:
            agent(running, "ada", model="scripted")
            profile_from_now(running)
            overhead(running, runs)
        lines = ["functions of the daemon's event loop, by own time (cProfile):"]
        return lines + top_functions(str(found), TOP)


# -- requests --------------------------------------------------------------------------------


def configure(running: Daemon, provider: ModelServer) -> None:
    post(running, "/api/v1/models", {
        "dialect": "openai", "baseUrl": provider.base_url("openai"), "model": "m-1", "key": "none",
    })  # fmt: skip
    agent(running, "ada")


def agent(running: Daemon, name: str, model: str | None = None) -> None:
    more = {} if model is None else {"llmModel": model}
    post(running, "/api/v1/agents", {"name": name, "executor": "llm"} | more)


def accept(running: Daemon, session: str) -> None:
    post(running, "/api/v1/turns", {"agentId": "ada", "text": "Well?", "sessionKey": session})


def run(running: Daemon, session: str) -> float:
    body = {"model": "openclaw/ada", "messages": [{"role": "user", "content": "Hello."}]}
    began = time.perf_counter()
    post(running, "/v1/chat/completions", body, {"x-openclaw-session-key": session})
    return 1000 * (time.perf_counter() - began)


_keys = itertools.count()


def post(running: Daemon, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    """Raises `HTTPError` for an answer that is no success."""
    request = urllib.request.Request(
        running.url + path,
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {running.owner}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"bench-{time.time_ns()}-{next(_keys)}",
        }
        | (headers or {}),
    )
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        return json.load(answer)
