"""Messages over HTTP: how many are sent in a second, and how soon a client that waits hears one."""

import asyncio
import re
import time
from statistics import median, quantiles
from urllib.parse import urlsplit

from bench import office
from bench.aims import Outcome
from bench.daemon import Daemon, daemon, profile_from_now
from bench.load import MAX_REPLY_BYTES, Connection
from bench.office import Office, Worker
from bench.profiles import top_functions
from bench.scratch import copied, scratch

SENDERS = 16
ROUNDS, QUICK_ROUNDS = 3, 1
EACH, QUICK_EACH = 100, 25
WAKES, QUICK_WAKES = 60, 15
TOP = 15
NEXT, MORE = re.compile(rb'"nextSeq":(\d+)'), b'"hasMore":true'


def measure(quick: bool) -> Outcome:
    each, wakes = (QUICK_EACH, QUICK_WAKES) if quick else (EACH, WAKES)
    rates: list[float] = []
    woken: list[float] = []
    failures = 0
    with scratch() as folder:
        seed = office.found(folder / "seed", SENDERS, 1)
        for n in range(QUICK_ROUNDS if quick else ROUNDS):
            with daemon(copied(seed.home, folder / f"home-{n}")) as running:
                rate, missed = asyncio.run(_send(running, seed, each))
                rates.append(rate)
                failures += missed
                woken += asyncio.run(_wake(running, seed, wakes))
    return Outcome(
        figures={"rate": median(rates), "wake_p95": quantiles(woken, n=20)[-1]},
        notes=[
            f"{SENDERS} agents into one thread; median of {len(rates)} daemons, "
            f"best {max(rates):,.0f}/s",
            f"from the send to the reply of the poll that waits: median {median(woken):.1f} ms, "
            f"most {max(woken):.1f} ms",
        ],
        failures=failures,
        profile=lambda: profile(each),
    )


async def _connect(running: Daemon) -> Connection:
    address = urlsplit(running.url)
    return Connection(
        *await asyncio.open_connection(address.hostname, address.port, limit=MAX_REPLY_BYTES)
    )


def _head(running: Daemon, worker: Worker, request: str) -> bytes:
    return (
        f"{request} HTTP/1.1\r\nhost: {urlsplit(running.url).netloc}\r\n"
        f"authorization: Bearer {worker.secret}\r\n"
    ).encode()


def _message(running: Daemon, worker: Worker, text: str) -> tuple[bytes, bytes]:
    body = b'{"text":"%s","agentId":"%s"}' % (text.encode(), worker.agent.encode())
    return _head(running, worker, "POST /api/mcp/messages/send"), body


async def _send(running: Daemon, seed: Office, each: int) -> tuple[float, int]:
    """Messages a second by all senders side by side, and how many were refused."""
    refused = 0

    async def sender(worker: Worker) -> None:
        nonlocal refused
        connection = await _connect(running)
        for n in range(each):
            head, body = _message(running, worker, f"message {n} of {worker.name}")
            status, _ = await connection.post(head, f"{worker.agent}:{n}", body)
            refused += status != 200
        connection.close()

    began = time.perf_counter()
    await asyncio.gather(*(sender(worker) for worker in seed.workers))
    return len(seed.workers) * each / (time.perf_counter() - began), refused


async def _wake(running: Daemon, seed: Office, times: int) -> list[float]:
    """Milliseconds from sending to the waiting poll's reply."""
    polling, sending = await _connect(running), await _connect(running)
    ear, mouth = seed.workers[0], seed.workers[1]
    seen, more = 0, True
    while more:
        _, reply = await polling.ask(_poll(running, ear, seen))
        seen, more = _next(reply), MORE in reply
    ms = []
    for n in range(times):
        asked = asyncio.create_task(polling.ask(_poll(running, ear, seen)))
        await asyncio.sleep(SETTLE_S)
        head, body = _message(running, mouth, f"wake {n}")
        began = time.perf_counter()
        sent = asyncio.create_task(sending.post(head, f"wake:{n}", body))
        _, reply = await asked
        ms.append(1000 * (time.perf_counter() - began))
        seen = _next(reply)
        await sent
    polling.close()
    sending.close()
    return ms


def _next(reply: bytes) -> int:
    found = NEXT.search(reply)
    if found is None:
        raise RuntimeError(f"no cursor in {reply[:200]!r}")
    return int(found[1])


SETTLE_S = 0.15
"""Until the poll is held for sure, and past the rest that a poll takes between two looks."""


def _poll(running: Daemon, worker: Worker, after: int) -> bytes:
    path = f"GET /api/mcp/messages/sync?mode=all&sinceSeq={after}"
    return _head(running, worker, path) + b"\r\n"


def profile(each: int) -> list[str]:
    with scratch() as folder:
        seed = office.found(folder / "home", SENDERS, 1)
        found = folder / "profile"
        with daemon(seed.home, profile=found) as running:
            profile_from_now(running)
            asyncio.run(_send(running, seed, each))
        lines = ["functions of the daemon's event loop, by own time (cProfile):"]
        return lines + top_functions(str(found), TOP)
