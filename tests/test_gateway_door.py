"""No way round the door by the gateway's WebSocket: its methods, its events, its handshake.

As `test_one_door.py` walks routes: each method over a recording store, its reads over a transaction
that cannot write. A side path of each kind is planted and found.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.agents.live import Live
from homarus.base.action import Action, Actor, ActorKind, Allow, Proof
from homarus.base.clock import SystemClock
from homarus.base.errors import HomarusError
from homarus.channels.switch import Switch
from homarus.channels.worker import Channels
from homarus.config.channels import Account, ChannelConfig
from homarus.config.schema import Settings
from homarus.control_plane.auth import Door
from homarus.control_plane.feed import Feed
from homarus.control_plane.stream import Means
from homarus.gateway.ws import method as calling
from homarus.gateway.ws import pump
from homarus.gateway.ws.handshake import Client
from homarus.gateway.ws.hub import Hub
from homarus.gateway.ws.link import Link
from homarus.gateway.ws.method import Desk, Method, Nothing, read, work, write
from homarus.gateway.ws.methods.table import methods
from homarus.gateway.ws.peer import Peer
from homarus.gateway.ws.server import Gateway
from homarus.kernel.capabilities import BUILTIN
from homarus.records.blobs import Blobs
from homarus.testing.fake_channel import FakeChannel
from tests.test_one_door import COMPANY, OWNER, RecordingStore, Sealer, least
from tests.test_surfaces import frame_effects

CALL_S = 10.0
WORDS = {
    "exec.approval.request": {"command": "a"},
    "sessions.abort": {"key": "a"},
    "cron.add": {"schedule": {"kind": "every", "everyMs": 3_600_000}},
    "message.action": {"action": "send", "params": {"to": "a", "message": "a"}},
}
"""What a method needs beyond its schema to come as far as its unit."""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of `means_over` is the working directory: some methods keep a file in it."""
    monkeypatch.chdir(tmp_path)


def means_over(store: RecordingStore) -> Means:
    return Means(
        store,  # type: ignore[arg-type]
        lambda rx, action: Allow(Actor(ActorKind.OPERATOR, OWNER.id)),
        Feed(store),  # type: ignore[arg-type]
        Blobs(Path("blobs")),
        Sealer(),
        Path(),
        live=Live(store),  # type: ignore[arg-type]
        channels=one_channel(store),
    )


def one_channel(store: RecordingStore) -> Switch:
    settings = Settings(home=Path(), channels={"a": ChannelConfig(accounts={"a": Account()})})
    adapters = {"a": FakeChannel("a")}
    switch = Switch(store, adapters, lambda: settings, lambda: COMPANY, lambda: 0)  # type: ignore[arg-type]
    switch.channels = Channels(store, adapters, lambda: settings, lambda: COMPANY, lambda: 0)  # type: ignore[arg-type]
    return switch


def peer() -> Peer:
    return Peer(
        id="p", link=Link(lambda: 1_000_000), company=COMPANY, token=OWNER, proof=Proof.TOKEN,
        role="operator", scopes=("operator.admin",),
        client=Client(id="cli", version="1", platform="x", mode="cli"), caps=frozenset(),
        device=None, address="127.0.0.1", direct=True, since_ms=0,
    )  # fmt: skip


async def units_of(row: Method) -> tuple[list[Action], str]:
    """What the store was asked for, and what went wrong with a transaction that cannot write."""
    store = RecordingStore()
    hub = Hub(means_over(store), Live(store), lambda: 0, lambda: COMPANY)  # type: ignore[arg-type]
    given = least(row.params) | WORDS.get(row.name, {})
    params = msgspec.convert(given, row.params, strict=True)
    try:
        async with asyncio.timeout(CALL_S):
            done = await calling.call(hub, peer(), row, params)
            if isinstance(done, calling.Later):
                await done.rest()
    except HomarusError:
        pass
    except AssertionError as error:
        return store.units, str(error)
    except (AttributeError, TypeError, ValueError):
        pass  # a unit that is recorded and not run gives nothing to go on with
    return store.units, ""


async def walk(rows: dict[str, Method]) -> list[str]:
    """One line per method that reaches an effect otherwise than by units of its own capability."""
    found = []
    for row in rows.values():
        units, wrong = await units_of(row)
        asked = [action.capability for action in units]
        writes = row.capability != "read"
        if wrong:
            found.append(f"{row.name}: {wrong}")
        if row.capability not in BUILTIN or (row.kind == "read" and writes):
            found.append(f"{row.name}: {row.kind} as {row.capability}")
        if set(asked) - {row.capability} or (asked and not writes):
            found.append(f"{row.name}: units {asked}")
        if row.kind == "write" and asked != [row.capability]:
            found.append(f"{row.name}: units {asked}")
        if any(action.system or action.credential != OWNER.id for action in units):
            found.append(f"{row.name}: acts without the caller's credential")
    return found


async def test_every_method_is_behind_the_door() -> None:
    assert await walk(methods()) == []


REACHED = ("chat.send", "agent", "chat.abort", "sessions.patch", "sessions.create",
           "device.token.rotate", "device.pair.approve", "exec.approval.request", "send",
           "message.action", "poll", "channels.start", "channels.stop",
           "channels.pairing.approve")  # fmt: skip


@pytest.mark.parametrize("name", REACHED)
async def test_the_walk_comes_as_far_as_the_units(name: str) -> None:
    row = methods()[name]
    units, _ = await units_of(row)
    assert [action.capability for action in units] == [row.capability]


async def own_rights(desk: Desk, params: Any) -> Any:
    action = Action(COMPANY, "task.move", "task:1", system="side-path")
    return await desk.hub.means.store.write(action, lambda tx: None)


async def by_a_read(desk: Desk, params: Any) -> Any:
    return await desk.read(lambda rx: rx.one("update task set state='done'"))


async def unit_of_a_read(desk: Desk, params: Any) -> Any:
    return await desk.write(lambda tx: None)


def writes_in_a_read(rx: Any, ask: Any) -> Any:
    return rx.one("update task set state='done'")


@pytest.mark.parametrize(
    "planted",
    [
        work("side", "", Nothing, own_rights, "a", "r", capability="turn.accept"),
        work("side", "", Nothing, by_a_read, "a", "r"),
        work("side", "", Nothing, unit_of_a_read, "a", "r"),
        read("side", "", Nothing, writes_in_a_read, "a", "r"),
        read("side", "", Nothing, lambda rx, ask: {}, "a", "r", capability="turn.accept"),
        write("side", "", Nothing, "nothing.such", lambda tx, ask: {}, "a", "r"),
    ],
    ids=["own rights", "by a read", "unit of a read", "writes", "read as a write", "unknown"],
)
async def test_a_planted_side_path_is_found(planted: Method) -> None:
    assert await walk({"side": planted}) != []


def test_events_read() -> None:
    assert frame_effects(pump.KINDS) == []


@pytest.mark.parametrize("sql", ["update task set state='done' returning id"])
def test_a_planted_event_that_writes_is_found(sql: str) -> None:
    planted: dict[str, Callable[..., Any]] = {"side": lambda rx, company, event: rx.one(sql)}
    assert frame_effects(planted) == ["side"]


HELLO = {"minProtocol": 4, "maxProtocol": 4, "client": {"id": "cli", "version": "1",
         "platform": "x", "mode": "cli"}, "scopes": ["operator.admin"]}  # fmt: skip


def frame(name: str, params: Any) -> str:
    return msgspec.json.encode(
        {"type": "req", "id": "1", "method": name, "params": params}
    ).decode()


@pytest.mark.parametrize("auth", [{}, {"token": "ho_" + "0" * 48}])
@pytest.mark.parametrize("first", ["connect", "chat.send"])
async def test_a_stranger_reaches_no_unit(first: str, auth: dict[str, str]) -> None:
    store = RecordingStore()
    door = Door(store, SystemClock(), COMPANY)  # type: ignore[arg-type]
    sent = await converse(store, door, [frame(first, HELLO | {"auth": auth})])
    assert store.units == [] and sent[-1]["type"] == "websocket.close"
    assert '"ok":false' in sent[-2]["text"]


async def converse(store: RecordingStore, door: Door, texts: list[str]) -> list[Any]:
    """What an upgraded client is sent until it is closed."""
    gateway = Gateway(
        means_over(store), door, SystemClock(), lambda: Settings(Path(), max_sockets=10)
    )
    heard: list[Any] = [{"type": "websocket.connect"}]
    heard += [{"type": "websocket.receive", "text": text} for text in texts]
    sent: list[Any] = []

    async def receive() -> Any:
        return heard.pop(0) if heard else {"type": "websocket.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"127.0.0.1")],
             "client": ("127.0.0.1", 1), "extensions": {}}  # fmt: skip
    async with asyncio.timeout(CALL_S):
        await gateway(scope, receive, send)
    return sent
