"""Every list of the control plane at 100,000 rows: by the table of routes, plain and with each
filter, over HTTP to a daemon. A new list is measured without a word here.
"""

import asyncio
import re
import time
from collections.abc import Iterator
from statistics import median, quantiles
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from bench import office, rows
from bench.aims import Outcome
from bench.daemon import Daemon, daemon
from bench.load import MAX_REPLY_BYTES, Connection
from bench.rows import Seeded
from bench.scratch import scratch
from homarus.control_plane.route import Call, Route
from homarus.control_plane.table import routes
from homarus.kernel import tokens
from homarus.store.port import Params, Row, Rx

ROWS, QUICK_ROWS = 100_000, 10_000
EACH, QUICK_EACH = 30, 10
ROUNDS = 3
SHOWN = 6
STATEMENTS, SQL = 2, 160
LINES = "/audit/export"
"""A stream of lines for machines: it has no page."""

BY_KIND = {
    "projectId": "project", "agentId": "agent", "taskId": "task", "task": "task",
    "customerId": "customer", "actor": "agent",
}  # fmt: skip
BY_NAME = {
    "status": ("active", "open", "pending", "resolved"), "state": ("inbox", "done"),
    "severity": ("low", "high"), "type": ("project", "team"), "kind": ("common", "rare"),
    "verdict": ("allow", "refuse"), "resourceType": ("common", "rare"), "name": ("rare",),
    "path": ("rare",), "pathPrefix": ("rare",), "scopeType": ("company", "agent"),
    "provider": ("p", "q"), "intent": ("count words",), "scope": ("company",),
}  # fmt: skip


class Asked(msgspec.Struct, frozen=True):
    """One question; `p95`: how long its answers took in ms, the middle one of ROUNDS."""

    path: str
    p95: float
    filtered: bool


def measure(quick: bool) -> Outcome:
    with scratch() as folder:
        began = time.perf_counter()
        seed = rows.seed(folder / "home", QUICK_ROWS if quick else ROWS)
        took_s = time.perf_counter() - began
        with daemon(seed.home) as running:
            found, refused = asyncio.run(_walk(running, seed, QUICK_EACH if quick else EACH))
        handlers = asyncio.run(_handlers(seed, [asked.path for asked in found]))
        slowest = sorted(found, key=lambda asked: -asked.p95)
        worst = [asked.path for asked in slowest[:SHOWN]]
        return Outcome(
            figures={
                "plain_p95": max(asked.p95 for asked in found if not asked.filtered),
                "filtered_p95": max(asked.p95 for asked in found if asked.filtered),
                "handler": max(handlers.values()),
            },
            notes=[
                f"{seed.count:,} rows of each thing, seeded in {took_s:.0f} s; {len(found)} "
                f"questions, {refused} more were refused as nonsense",
                *(f"{asked.p95:6.1f} ms  {asked.path}" for asked in slowest[:SHOWN]),
                "handlers alone, best of three:",
                *(
                    f"{took:6.1f} ms  {path}"
                    for path, took in sorted(handlers.items(), key=lambda row: -row[1])[:SHOWN]
                ),
            ],
            profile=lambda: profile(worst, quick),
        )


def questions(seed: Seeded) -> list[tuple[str, bool]]:
    """Paths to ask, and whether a filter is set."""
    found: list[tuple[str, bool]] = []
    for route, path in _lists(seed):
        found.append((path, False))
        for name in route.query:
            found += [(f"{path}?{name}={quote(value)}", True) for value in _values(name, seed)]
    return found


def _lists(seed: Seeded) -> Iterator[tuple[Route, str]]:
    """Each list, and its path."""
    for route in routes():
        listing = isinstance(route, Route) and route.method == "GET" and "limit" in route.query
        if isinstance(route, Route) and listing and route.path != LINES:
            yield route, route.mounts[0] + _filled(route.path, seed)


def _filled(path: str, seed: Seeded) -> str:
    kind = {"threads": "thread", "projects": "project", "tasks": "task", "customers": "customer"}
    return re.sub(r"\{\w+\}", lambda _: seed.common[kind.get(path.split("/")[1], "agent")], path)


def _values(name: str, seed: Seeded) -> list[str]:
    """What is common, what is rare."""
    if name in BY_KIND:
        return [seed.common[BY_KIND[name]], seed.rare[BY_KIND[name]]]
    return list(BY_NAME.get(name, ()))


async def _walk(running: Daemon, seed: Seeded, each: int) -> tuple[list[Asked], int]:
    address = urlsplit(running.url)
    reader, writer = await asyncio.open_connection(
        address.hostname, address.port, limit=8 * MAX_REPLY_BYTES
    )
    connection = Connection(reader, writer)
    head = (
        f"HTTP/1.1\r\nhost: {address.netloc}\r\nauthorization: Bearer {running.owner}\r\n"
        f"x-homarus-company: {seed.company}\r\n\r\n"
    )
    found, refused = [], 0
    for path, filtered in questions(seed):
        request = f"GET {path} {head}".encode()
        status, _ = await connection.ask(request)
        if status != 200:
            refused += 1
            continue
        rounds = [await _round(connection, request, each) for _ in range(ROUNDS)]
        found.append(Asked(path, median(rounds), filtered))
    connection.close()
    return found, refused


async def _round(connection: Connection, request: bytes, each: int) -> float:
    """95th percentile of `each` answers, in ms."""
    ms = []
    for _ in range(each):
        asked = time.perf_counter()
        await connection.ask(request)
        ms.append(1000 * (time.perf_counter() - asked))
    return quantiles(ms, n=20)[-1]


class Timed:
    """An Rx that keeps how long each statement took: `spent` of `(seconds, sql, rows)`."""

    def __init__(self, rx: Rx) -> None:
        self._rx = rx
        self.now_ms = rx.now_ms
        self.dialect = rx.dialect
        self.spent: list[tuple[float, str, int]] = []

    def one(self, sql: str, params: Params = ()) -> Row | None:
        began = time.perf_counter()
        row = self._rx.one(sql, params)
        self.spent.append((time.perf_counter() - began, sql, int(row is not None)))
        return row

    def all(self, sql: str, params: Params = ()) -> list[Row]:
        began = time.perf_counter()
        rows = self._rx.all(sql, params)
        self.spent.append((time.perf_counter() - began, sql, len(rows)))
        return rows


def profile(paths: list[str], quick: bool) -> list[str]:
    """Where the time of the slowest lists goes: their handler, and its slowest statements."""
    with scratch() as folder:
        seed = rows.seed(folder / "home", QUICK_ROWS if quick else ROWS)
        return asyncio.run(_profile(seed, paths))


async def _profile(seed: Seeded, paths: list[str]) -> list[str]:
    opened = office.store(seed.home)
    await opened.start()
    try:
        lines = []
        for path in paths:
            lines += await opened.read(_handle, seed, path)
        return lines
    finally:
        await opened.stop()


async def _handlers(seed: Seeded, paths: list[str]) -> dict[str, float]:
    """Milliseconds of each list's handler without the wire, the best of three: what a busy machine
    adds is left out."""
    opened = office.store(seed.home)
    await opened.start()
    try:
        return {
            path: min([(await opened.read(_called, seed, path))[0] for _ in range(3)])
            for path in paths
        }
    finally:
        await opened.stop()


def _called(rx: Rx, seed: Seeded, path: str) -> tuple[float, Timed]:
    """One call of a list's handler: milliseconds, and its statements."""
    bare, _, query = path.partition("?")
    secret = (seed.home / "run" / "owner.token").read_text("ascii").strip()
    token = tokens.by_secret(rx, secret)
    route = next(r for r, filled in _lists(seed) if filled == bare)
    values = [part for part in bare.split("/") if part in seed.common.values()]
    names = dict(zip(re.findall(r"\{(\w+)\}", route.path), values, strict=True))
    timed = Timed(rx)
    began = time.perf_counter()
    route.handler(timed, Call(seed.company, token, names, dict(parse_qsl(query)), None))
    return 1000 * (time.perf_counter() - began), timed


def _handle(rx: Rx, seed: Seeded, path: str) -> list[str]:
    """Where one call of a list's handler spends its time."""
    took_ms, timed = _called(rx, seed, path)
    in_sql = 1000 * sum(spent for spent, _, _ in timed.spent)
    slow = sorted(timed.spent, reverse=True)[:STATEMENTS]
    return [
        f"{path}: handler {took_ms:.1f} ms, {len(timed.spent)} statements {in_sql:.1f} ms",
        *(f"    {1000 * s:6.2f} ms  {n:4d} rows  {sql[:SQL]}" for s, sql, n in slow),
    ]
