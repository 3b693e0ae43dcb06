"""What becomes of frames that are none (gateway contract, 1): a close, or an error."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from homarus.gateway.ws import frames
from homarus.gateway.ws.hub import Policy
from homarus.service.protocols import MAX_FRAGMENTS, MAX_UNREAD_PONGS
from homarus.testing.daemon import Daemon, running
from tests.gateway.ws.client import SOON_S, dialled, gateway_token, joined
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP
INVALID = (1008, "invalid request frame")
DEEP = "[" * 5_000 + "]" * 5_000


def request(**change: Any) -> str:
    frame = {"type": "req", "id": "1", "method": "health"} | change
    return json.dumps({name: value for name, value in frame.items() if value is not None})


BAD: list[tuple[str | bytes, tuple[int, str]]] = [
    ("[]", INVALID),
    ("{}", INVALID),
    ("1", INVALID),
    (request(type="res"), INVALID),
    (request(type=None), INVALID),
    (request(id=""), INVALID),
    (request(id=None), INVALID),
    (request(id=7), INVALID),
    (request(id="x" * 257), INVALID),
    (request(method=""), INVALID),
    (request(method=["health"]), INVALID),
    (request(extra=1), INVALID),
    (request(traceparent="x" * 129), INVALID),
    (request(params=None)[:-1] + ',"params":' + DEEP + "}", INVALID),
]


@pytest.mark.parametrize(("text", "ended"), [*BAD, ("{", (1000, "")), (b"\x00\xff", (1000, ""))])
async def test_before_the_hello(shared: Daemon, text: str | bytes, ended: tuple[int, str]) -> None:
    async with dialled(shared) as client:
        await client.wire.send(text)
        assert await client.closed() == ended


@pytest.mark.parametrize(("text", "ended"), [*BAD, ("{", INVALID), (b"\x00", INVALID)])
async def test_after_the_hello(shared: Daemon, text: str | bytes, ended: tuple[int, str]) -> None:
    async with joined(shared) as client:
        await client.wire.send(text)
        assert await client.closed() == ended


async def test_something_else_than_connect_first(shared: Daemon) -> None:
    async with dialled(shared) as client:
        error = await client.error("health")
        assert error["message"] == "invalid handshake: first request must be connect"
        assert (await client.closed())[0] == 1008


@pytest.mark.parametrize(
    ("method", "params", "words"),
    [
        ("nothing.such", {}, "unknown method: nothing.such"),
        ("status", {"odd": 1}, "invalid status params: at root: unexpected property 'odd'"),
        ("status", [], "invalid status params: at root: must be object"),
        ("chat.send", {}, "must have required property 'sessionKey'"),
        ("chat.send", {"sessionKey": 1, "message": "", "idempotencyKey": ""},
         "at /sessionKey: must be string"),
        ("chat.history", {"sessionKey": "main", "limit": "many"}, "at /limit: must be integer"),
        ("sessions.preview", {"keys": [1]}, "at /keys/0: must be string"),
        ("chat.history", {"sessionKey": "a\0b"}, "must not hold the character U+0000"),
        ("chat.send", {"sessionKey": "main", "message": "x", "idempotencyKey": "k" * 300},
         "unusable idempotency key"),
        ("sessions.preview", {"keys": ["k"] * 65}, "at keys: at most 64 items"),
    ],
)  # fmt: skip
async def test_requests_that_make_no_sense(
    shared: Daemon, method: str, params: Any, words: str
) -> None:
    async with joined(shared) as client:
        error = await client.error(method, params)
        assert error["code"] == "INVALID_REQUEST"
        assert words in error["message"]
        assert (await client.call("health"))["ok"] is True


async def test_params_may_be_missing_or_null(shared: Daemon) -> None:
    async with joined(shared) as client:
        for n, tail in enumerate(("", ',"params":null', ',"params":{}')):
            await client.wire.send(f'{{"type":"req","id":"p{n}","method":"health"{tail}}}')
            assert (await client.reply(f"p{n}"))["ok"]


async def test_a_frame_has_a_size(shared: Daemon) -> None:
    """64 KiB before the hello, 25 MiB after it; one more byte ends the connection."""
    async with dialled(shared) as client:
        await client.wire.send("x" * (frames.HELLO_BYTES + 1))
        assert (await client.closed())[0] == 1009
    async with joined(shared) as client:
        big = "x" * 1_000_000
        error = await client.error("status", {"odd": big})
        assert error["code"] == "INVALID_REQUEST" and len(error["message"]) <= 500


async def test_the_size_after_the_hello_is_the_policys(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        daemon.app.talk.hub.policy = Policy(max_payload_bytes=200_000)
        async with joined(daemon) as client:
            assert client.hello["policy"]["maxPayload"] == 200_000
            await client.error("status", {"odd": "x" * 199_000})
            await client.wire.send("x" * 200_001)
            assert (await client.closed())[0] == 1009


async def test_a_frame_in_pieces_of_one_byte(shared: Daemon) -> None:
    async with joined(shared) as client:
        await client.wire.send(list(request(id="pieces")))
        assert (await client.reply("pieces"))["ok"]


async def test_more_pieces_than_a_message_may_have(shared: Daemon) -> None:
    """Empty pieces cost nothing on the wire; they are counted all the same."""
    async with joined(shared) as client:
        await client.wire.send([""] * (MAX_FRAGMENTS + 10))
        assert (await client.closed())[0] == 1009


async def test_pings_are_answered_and_a_flood_of_them_is_not_kept(shared: Daemon) -> None:
    async with joined(shared) as client:
        waiter = await client.wire.ping()
        async with asyncio.timeout(SOON_S):
            await waiter
        for _ in range(MAX_UNREAD_PONGS + 500):  # read as they come: nothing is wrong with it
            client.wire.protocol.send_ping(b"x" * 100)
        client.wire.send_data()
        assert (await client.call("health"))["ok"] is True


UPGRADE = (
    "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PINGS = (b"\x89\xfd" + bytes(4) + b"x" * 125) * 1_000
MAX_BATCHES = 400


async def test_pings_of_one_that_never_reads_the_answers(shared: Daemon) -> None:
    """Its answers would pile up in memory: the connection is dropped."""
    host, port = shared.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sock.setblocking(False)
        await loop.sock_connect(sock, (host, int(port)))
        await loop.sock_sendall(sock, UPGRADE.encode())
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(4 * SOON_S):
                for _ in range(MAX_BATCHES):
                    await loop.sock_sendall(sock, PINGS)
    async with joined(shared) as client:
        assert (await client.call("health"))["ok"] is True


async def test_a_client_that_vanishes_takes_nothing_with_it(shared: Daemon) -> None:
    before = len(shared.app.talk)
    async with joined(shared) as stays:
        async with dialled(shared) as client:
            await client.greet(gateway_token(shared))
            client.wire.transport.abort()
        assert (await stays.call("health"))["ok"] is True
        async with asyncio.timeout(SOON_S):
            while len(shared.app.talk) > before + 1:
                await stays.call("health")


async def test_more_requests_at_one_time_than_there_may_be(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        daemon.app.talk.hub.policy = Policy(in_flight=1, waiting=2)
        async with joined(daemon) as client:
            waits = {"runId": "nobody", "timeoutMs": 300}
            ids = [await client.send("agent.wait", waits) for _ in range(3)]
            refused = await client.reply(ids[2])
            assert refused["error"]["code"] == "UNAVAILABLE"
            assert refused["error"]["retryable"] is True
            assert "2 requests of this connection wait" in refused["error"]["message"]
            assert (await client.call("health"))["ok"] is True, "those that wait leave it room"
            error = await client.error("chat.abort", {"sessionKey": "main"})
            assert error["details"]["code"] == "agent.none"
            for id_ in ids[:2]:
                assert (await client.reply(id_))["payload"]["status"] == "timeout"
            assert (await client.call("health"))["ok"] is True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Object contains unknown field `x`", "at root: unexpected property 'x'"),
        ("Object contains unknown field `x` - at `$.a.b`", "at /a/b: unexpected property 'x'"),
        ("Object missing required field `x`", "must have required property 'x'"),
        ("Expected `str | null`, got `int` - at `$.a[0]`", "at /a/0: must be string or null"),
        ("Invalid enum value 'x' - at `$.a`", "at /a: Invalid enum value 'x'"),
    ],
)
async def test_the_words_of_the_validator(text: str, shown: str) -> None:
    assert frames.like_ajv(text) == shown


async def test_an_event_is_one_object() -> None:
    made = frames.event("tick", b'{"ts":1}', 3, b'{"presence":1,"health":2}')
    assert msgspec.json.decode(made) == {
        "type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 3,
        "stateVersion": {"presence": 1, "health": 2},
    }  # fmt: skip
