"""Many sockets that say nothing after their hello: others are served beside them."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import psutil
from websockets.asyncio.client import ClientConnection, connect

from bench.daemon import daemon
from homarus.flows import first_start
from tests.gateway.ws.client import SOON_S, Client
from tests.support.profile import chosen_profile

SOCKETS: Final = chosen_profile().pick(ci=150, full=10_000)
AT_ONCE: Final = 50
MAX_EACH_KB: Final = 100
"""A socket costs a connection, its task and its hello; not a buffer of its largest frame."""
ROOM: Final = 100
KB: Final = 1_024


async def test_idle_sockets(tmp_path: Path) -> None:
    most = {
        "HOMARUS_MAX_SOCKETS": str(SOCKETS + ROOM),
        "HOMARUS_MAX_CONNECTIONS": str(SOCKETS + 2 * ROOM),
    }
    home = tmp_path / "home"
    with daemon(home, settings=most) as running:
        token = (home / "run" / first_start.GATEWAY.file).read_text("ascii").strip()
        url = f"ws{running.url.removeprefix('http')}/"
        memory = psutil.Process(running.pid).memory_info
        at_once = asyncio.Semaphore(AT_ONCE)

        async def idle(stack: AsyncExitStack) -> ClientConnection:
            async with at_once:
                wire = await stack.enter_async_context(
                    connect(url, compression=None, close_timeout=1, ping_interval=None)
                )
                await greeted(wire, token)
                return wire

        async with AsyncExitStack() as stack:
            first = await greeted(await stack.enter_async_context(connect(url)), token)
            await first.call("health")
            before = memory().rss
            wires = await asyncio.gather(*(idle(stack) for _ in range(SOCKETS)))
            each_kb = (memory().rss - before) / KB / SOCKETS
            began = time.perf_counter()
            assert (await first.call("health"))["ok"] is True
            took_ms = 1000 * (time.perf_counter() - began)
            await Client(wires[-1], {"nonce": "", "ts": 0}).call("health")
            for wire in wires:
                wire.transport.abort()
            print(f"{SOCKETS} idle sockets, {each_kb:.0f} KB each; health {took_ms:.1f} ms")
        assert each_kb < MAX_EACH_KB


async def greeted(wire: ClientConnection, token: str) -> Client:
    async with asyncio.timeout(SOON_S):
        await wire.recv()
    client = Client(wire, {"nonce": "", "ts": 0})
    reply = await client.greet(token)
    assert reply["ok"], reply
    return client
