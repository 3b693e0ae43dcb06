"""Frames that nobody meant, for as long as the profile says: each is answered or ends its own
connection, nothing fails unhandled, the daemon keeps its size."""

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.daemon import Daemon, daemon
from homarus.flows import first_start
from tests.gateway.ws.client import ADMIN, CLI, SOON_S
from tests.support.generated_frames import Frames
from tests.support.profile import chosen_profile

LASTS_S: Final = chosen_profile().pick(ci=4.0, full=600.0)
CONNECTIONS: Final = 4
BURST: Final = 25
ENOUGH: Final = 100
"""Frames that were surely sent, however slow the machine is."""
WARM: Final = chosen_profile().pick(ci=0.3, full=0.6)
"""The share of the time after which the daemon has all its modules, caches and pools. The caches
of the store's three connections, 16 MB each, fill with the rows that the frames leave behind."""
SPAN: Final = 0.1
"""The share over which its size is looked at: it varies by 10 MB with what is in use."""
MAX_GROWTH_MB: Final = chosen_profile().pick(ci=40, full=16)
RESTARTS: Final = {"gateway.restart.request", "update.run"}
MB: Final = 1_048_576


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Daemon, Path]]:
    """A daemon in a process of its own, and its home."""
    with daemon(tmp_path / "home") as running:
        yield running, tmp_path / "home"


class Sizes:
    """Of the daemon, in the course of the test."""

    def __init__(self, pid: int) -> None:
        self.began = time.monotonic()
        self._memory = psutil.Process(pid).memory_info
        self._noted: list[tuple[float, float]] = []

    def note(self) -> None:
        share = (time.monotonic() - self.began) / LASTS_S
        self._noted.append((share, self._memory().rss / MB))

    def between(self, first: float, last: float) -> float:
        """The median, in MB, of what was noted in this part of the time, or at all if nothing."""
        noted = [mb for share, mb in self._noted if first <= share <= last]
        return statistics.median(noted or [mb for _, mb in self._noted])


class Sender:
    """One connection after the other; counts what was sent, answered, and how it was closed."""

    def __init__(self, url: str, token: str, frames: Frames, note: Callable[[], None]) -> None:
        self._url, self._token, self._frames, self._note = url, token, frames, note
        self.sent = self.answered = self.number = 0
        self.codes: set[int] = set()

    async def run(self, until: float) -> None:
        while time.monotonic() < until:
            async with connect(self._url, max_size=None, compression=None, close_timeout=1) as wire:
                await self._greet(wire)
                try:
                    while time.monotonic() < until:
                        await self._burst(wire)
                        self._note()
                except ConnectionClosed as closed:
                    assert closed.rcvd is not None, "the gateway cut a connection without a word"
                    self.codes.add(closed.rcvd.code)

    async def _greet(self, wire: ClientConnection) -> None:
        async with asyncio.timeout(SOON_S):
            await wire.recv()
            hello = {
                "minProtocol": 4, "maxProtocol": 4, "client": CLI, "scopes": list(ADMIN),
                "auth": {"token": self._token},
            }  # fmt: skip
            frame = {"type": "req", "id": "hello", "method": "connect", "params": hello}
            await wire.send(json.dumps(frame))
            assert json.loads(await wire.recv())["ok"]

    async def _burst(self, wire: ClientConnection) -> None:
        """Requests are awaited: one without an answer is a failure, unless the socket is closed."""
        open_: dict[str, str | bytes] = {}
        for _ in range(BURST):
            self.number += 1
            frame, answered = self._frames.one(self.number)
            await wire.send(frame)
            self.sent += 1
            if answered:
                open_[str(self.number)] = frame
        try:
            async with asyncio.timeout(SOON_S * 2):
                while open_:
                    frame = json.loads(await wire.recv())
                    if frame["type"] == "res" and open_.pop(frame["id"], None) is not None:
                        self.answered += 1
        except TimeoutError:
            raise AssertionError(f"no answer to {[*open_.values()]}") from None


async def test_whatever_is_sent(alone: tuple[Daemon, Path]) -> None:
    running, home = alone
    token = (home / "run" / first_start.GATEWAY.file).read_text("ascii").strip()
    schema = httpx2.get(f"{running.url}/api/gateway.json").json()
    methods = sorted({*schema["methods"]} - RESTARTS - {"connect"})
    url = f"ws{running.url.removeprefix('http')}/"
    sizes = Sizes(running.pid)
    senders = [
        Sender(url, token, Frames(seed, schema, methods), sizes.note) for seed in range(CONNECTIONS)
    ]
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.run(sizes.began + LASTS_S))
    warm_mb = sizes.between(WARM - SPAN, WARM)
    grown_mb = sizes.between(1 - SPAN, 1) - warm_mb

    sent, answered = sum(s.sent for s in senders), sum(s.answered for s in senders)
    print(f"{sent} frames, {answered} answers, {warm_mb:.1f} MB and {grown_mb:+.1f} MB")
    assert sent > ENOUGH and answered > ENOUGH
    assert set().union(*(s.codes for s in senders)) <= {1000, 1002, 1003, 1007, 1008, 1009}
    assert failures(home) == []
    assert grown_mb < MAX_GROWTH_MB
    async with httpx2.AsyncClient(base_url=running.url) as http:
        assert (await http.get("/readyz")).status_code == 200


def failures(home: Path) -> list[Any]:
    """What the daemon logged as an error of its own."""
    lines = (home / "logs" / "homarus.log").read_text("utf-8").splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    return [row for row in said if row.get("level") in ("error", "critical")]
