"""One company's events to 1,000 sockets: frames a second, each socket with all of them in order;
then all of them again by replay, and once more beside sockets that never read."""

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx2
import msgspec
import psutil

from bench import office
from bench.aims import Outcome
from bench.daemon import Daemon, daemon, profile_from_now
from bench.listening import Heard, Plan
from bench.office import Office
from bench.profiles import top_functions
from bench.scratch import scratch

CLIENTS, QUICK_CLIENTS = 990, 200
DEAF = 10
EVENTS, QUICK_EVENTS = 60, 30
REPLAYED = 100
KIND = "thread_message"
TOP = 15


def measure(quick: bool) -> Outcome:
    clients, events = (QUICK_CLIENTS, QUICK_EVENTS) if quick else (CLIENTS, EVENTS)
    with scratch() as folder:
        seed = office.found(folder / "home", 1, 1)
        with daemon(seed.home) as running:
            since = _head(running, seed)
            process = psutil.Process(running.pid)
            before = process.cpu_times()
            live = _hear(running, seed, _plan(running, seed, clients, events), events)
            after = process.cpu_times()
            again = _plan(running, seed, REPLAYED, events, since=since)
            replay = _hear(running, seed, again, 0)
            beside = _plan(running, seed, clients, events, deaf=DEAF)
            slow = _hear(running, seed, beside, events)
    cpu_s = after.user + after.system - before.user - before.system
    return Outcome(
        figures={
            "rate": live.frames / live.wall_s,
            "replay": replay.frames / replay.wall_s,
            "beside_deaf": slow.frames / slow.wall_s,
        },
        notes=[
            f"{clients} sockets, {events} messages: {live.frames:,} frames in {live.wall_s:.2f} s; "
            f"CPU a frame: daemon {1e6 * cpu_s / live.frames:.0f} us, listeners "
            f"{1e6 * live.cpu_s / live.frames:.0f} us",
            f"replay of {events} to {REPLAYED} sockets; {DEAF} deaf sockets beside the rest",
        ],
        failures=sum(heard.wrong + heard.closed for heard in (live, replay, slow)),
        profile=lambda: profile(clients, events),
    )


def _plan(
    running: Daemon, seed: Office, clients: int, events: int, *, deaf: int = 0,
    since: int | None = None,
) -> Plan:  # fmt: skip
    secret = seed.workers[0].secret
    return Plan(running.url, secret, clients, events, KIND, deaf=deaf, since=since)


@contextlib.contextmanager
def _wire(running: Daemon, seed: Office) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {seed.workers[0].secret}"}
    with httpx2.Client(base_url=running.url, headers=headers, timeout=60.0) as wire:
        yield wire


def _head(running: Daemon, seed: Office) -> int:
    with _wire(running, seed) as wire:
        return int(wire.get("/api/v1/events?limit=1").json()["head"])


def _hear(running: Daemon, seed: Office, plan: Plan, events: int) -> Heard:
    """What the listeners heard of `events` messages, sent when all are connected."""
    child = subprocess.Popen(
        [sys.executable, "-m", "bench.listening"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(msgspec.json.encode(plan) + b"\n")
    child.stdin.flush()
    if child.stdout.readline() != b"ready\n":
        raise RuntimeError(f"the listeners ended: {child.wait()}")
    talking = threading.Thread(target=_talk, args=(running, seed, events))
    talking.start()
    line = child.stdout.readline()
    talking.join()
    child.wait()
    return msgspec.json.decode(line, type=Heard)


def _talk(running: Daemon, seed: Office, events: int) -> None:
    with _wire(running, seed) as wire:
        for n in range(events):
            body = {"text": f"message {n}", "agentId": seed.workers[0].agent}
            wire.post("/api/mcp/messages/send", json=body).raise_for_status()


def profile(clients: int, events: int) -> list[str]:
    with scratch() as folder:
        seed = office.found(folder / "home", 1, 1)
        found = folder / "profile"
        with daemon(seed.home, profile=found) as running:
            profile_from_now(running)
            _hear(running, seed, _plan(running, seed, clients, events), events)
        lines = ["functions of the daemon's event loop, by own time (cProfile):"]
        return lines + top_functions(str(found), TOP)
