"""The event socket by the wire (control-plane contract, 9; its weak spots 18.24)."""

import asyncio
import json
import socket as sockets
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from homarus.control_plane import socket as ours
from homarus.testing.daemon import Daemon, key, running
from homarus.testing.ground import ManualClock

SOON_S = 10.0


def dial(daemon: Daemon, token: str | None = None, query: str = "", **more: Any) -> connect:
    headers = {"Authorization": f"Bearer {token or daemon.company_token}"}
    headers |= more.pop("headers", {})
    return connect(daemon.socket_url + query, additional_headers=headers, **more)


async def frame(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(SOON_S):
        return dict(json.loads(await client.recv()))


async def until(client: ClientConnection, kind: str) -> dict[str, Any]:
    """The next frame of this type; others are passed over."""
    while True:
        got = await frame(client)
        if got["type"] == kind:
            return got


async def closed(client: ClientConnection) -> int:
    async with asyncio.timeout(SOON_S):
        try:
            while True:
                await client.recv()
        except ConnectionClosed as error:
            assert error.rcvd is not None
            return error.rcvd.code


async def test_connected_carries_its_place(daemon: Daemon) -> None:
    async with dial(daemon) as client:
        first = await frame(client)
        assert first["type"] == "connected"
        assert first["message"]
        head = (await daemon.company.get("/api/v1/events")).json()["head"]
        assert first["seq"] == head


async def test_ping_is_answered_and_the_rest_ignored(daemon: Daemon) -> None:
    async with dial(daemon) as client:
        await frame(client)
        for noise in ("hello", '{"type":"subscribe"}', b"\x00\x01"):
            await client.send(noise)
        await client.send("ping")
        async with asyncio.timeout(SOON_S):
            assert await client.recv() == "pong"


async def test_frames_are_flat_with_payload_and_seq(daemon: Daemon) -> None:
    async with dial(daemon) as client:
        await frame(client)
        agent = await daemon.agent("a1")
        got = await until(client, "agent_registered")
        assert got["agent"]["id"] == agent
        assert got["payload"] == {"type": "agent_registered", "agent": got["agent"]}
        head = (await daemon.company.get("/api/v1/events")).json()["head"]
        assert got["seq"] == head


async def test_a_frame_never_overtakes_the_reply_that_caused_it(daemon: Daemon) -> None:
    host, port = daemon.url.removeprefix("http://").split(":")
    async with dial(daemon) as client:
        await frame(client)
        reader, writer = await asyncio.open_connection(host, int(port))
        for n in range(10):
            heard = asyncio.create_task(until(client, "agent_registered"))
            body = json.dumps({"name": f"a{n}"})
            lines = (
                "POST /api/mcp/agents HTTP/1.1",
                f"Host: {host}:{port}",
                f"Idempotency-Key: {n}",
                f"Authorization: Bearer {daemon.company_token}",
                f"Content-Length: {len(body)}",
            )
            writer.write(("\r\n".join(lines) + f"\r\n\r\n{body}").encode())
            async with asyncio.timeout(SOON_S):
                assert b"201 Created" in await reader.readuntil(b"}}")
            assert not heard.done()
            await heard
        writer.close()


@pytest.mark.parametrize(
    "token, query, headers, status, code",
    [
        ("ec_" + "0" * 48, "", {}, 401, "identity.unknown"),
        (None, "?since_seq=x", {}, 400, "request.cursor"),
        (None, "", {"X-Homarus-Company": "other"}, 403, "identity.company"),
        (None, "", {"Origin": "https://evil.example"}, 403, "origin.foreign"),
    ],
)
async def test_refused_handshakes(
    daemon: Daemon, token: str | None, query: str, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with dial(daemon, token, query, headers=headers):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["code"] == code


async def test_a_page_that_the_gateway_lets_in_is_not_let_in_here(daemon: Daemon) -> None:
    """A browser adds the dashboard's cookie by itself; the gateway asks for a secret."""
    daemon.app.apply(replace(daemon.app.settings, allowed_origins=("https://desk.example",)))
    with pytest.raises(InvalidStatus) as refused:
        async with dial(daemon, headers={"Origin": "https://desk.example"}):
            pass
    assert refused.value.response.status_code == 403


async def test_the_daemons_own_page_may_connect(daemon: Daemon) -> None:
    async with dial(daemon, headers={"Origin": daemon.url}) as client:
        assert (await frame(client))["type"] == "connected"


async def test_replay_from_a_cursor_is_exact(daemon: Daemon) -> None:
    async with dial(daemon) as client:
        start = (await frame(client))["seq"]
    names = [f"a{n}" for n in range(120)]
    for name in names:
        await daemon.agent(name)
    async with dial(daemon, query=f"?since_seq={start}") as client:
        assert (await frame(client))["seq"] == start
        seen = [await until(client, "agent_registered") for _ in names]
        assert [got["agent"]["name"] for got in seen] == names
        seqs = [got["seq"] for got in seen]
        assert seqs == sorted(set(seqs))
        await daemon.agent("live")
        assert (await until(client, "agent_registered"))["agent"]["name"] == "live"


async def test_a_cursor_that_cannot_be_met_says_resync(daemon: Daemon) -> None:
    await daemon.agent("a1")
    head = (await daemon.company.get("/api/v1/events")).json()["head"]
    async with dial(daemon, query=f"?since_seq={head + 1000}") as client:
        assert (await frame(client))["type"] == "connected"
        assert await frame(client) == {"type": "resync", "seq": head}
        await daemon.agent("a2")
        assert (await until(client, "agent_registered"))["agent"]["name"] == "a2"


async def raw_handshake(daemon: Daemon) -> sockets.socket:
    """A client that was answered and has read nothing of it yet: a plain TCP socket."""
    host, port = daemon.url.removeprefix("http://").split(":")
    client = sockets.socket()
    client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    client.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(client, (host, int(port)))
    request = (
        f"GET /api/mcp/ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: 13\r\nAuthorization: Bearer {daemon.company_token}\r\n\r\n"
    )
    await loop.sock_sendall(client, request.encode())
    answered = asyncio.Event()
    loop.add_reader(client.fileno(), answered.set)
    async with asyncio.timeout(SOON_S):
        await answered.wait()
    loop.remove_reader(client.fileno())
    return client


async def test_a_client_that_opens_slowly_misses_nothing(daemon: Daemon) -> None:
    client = await raw_handshake(daemon)
    names = [f"a{n}" for n in range(20)]
    for name in names:
        await daemon.agent(name)
    loop = asyncio.get_running_loop()
    got = b""
    async with asyncio.timeout(SOON_S):
        while b'"name":"a19"' not in got:
            got += await loop.sock_recv(client, 65_536)
    client.close()
    assert got.index(b'"type":"connected"') < got.index(b'"name":"a0"')
    assert all(got.count(f'"name":"{name}"'.encode()) == 2 for name in names)


async def test_a_client_that_never_reads_is_cut_and_others_go_on(daemon: Daemon) -> None:
    notes = "x" * 19_000
    owner = {"X-Homarus-Company": "default"}
    path = f"/api/v1/companies/{daemon.company_id}"
    deaf = await raw_handshake(daemon)
    async with dial(daemon, max_queue=10_000) as client:
        await frame(client)
        assert len(daemon.app.sockets) == 2
        sent = 0
        async with asyncio.timeout(60):
            while len(daemon.app.sockets) == 2:
                body = {"contextNotes": f"{sent}{notes}"}
                reply = await daemon.owner.patch(path, json=body, headers=owner)
                assert reply.status_code == 200
                sent += 1
        for n in range(sent):
            got = await until(client, "company_context_updated")
            assert got["company"]["contextNotes"] == f"{n}{notes}"
    assert sent >= ours.MAX_QUEUED
    deaf.close()


async def test_revocation_closes_the_socket(daemon: Daemon) -> None:
    token_id, secret = await daemon.token()
    async with dial(daemon, secret) as client, dial(daemon) as other:
        await frame(client)
        await frame(other)
        assert (await daemon.owner.delete(f"/api/v1/tokens/{token_id}")).status_code == 200
        assert await closed(client) == ours.UNAUTHENTICATED
        assert (await until(other, "company_token_revoked"))["token"]["id"] == token_id


async def test_revocation_of_an_instance_token_closes_its_socket(daemon: Daemon) -> None:
    instance = {"X-Homarus-Company": "@instance"}
    body = {"name": "viewer", "kind": "operator", "role": "viewer"}
    made = (await daemon.owner.post("/api/v1/tokens", json=body, headers=instance)).json()
    async with dial(daemon, made["secret"]) as client:
        await frame(client)
        path = f"/api/v1/tokens/{made['token']['id']}"
        assert (await daemon.owner.delete(path, headers=instance)).status_code == 200
        assert await closed(client) == ours.UNAUTHENTICATED


async def test_expiry_closes_the_socket(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path / "home", clock=clock) as daemon:
        _, secret = await daemon.token(lifetimeDays=1)
        async with dial(daemon, secret) as client:
            await frame(client)
            clock.advance(86_400_000)
            assert await closed(client) == ours.UNAUTHENTICATED
        with pytest.raises(InvalidStatus) as refused:
            async with dial(daemon, secret):
                pass
        assert json.loads(refused.value.response.body)["code"] == "identity.expired"


async def test_the_socket_ends_with_the_daemon(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        client = await dial(daemon)
        await frame(client)
    assert await closed(client) in (ours.GOING_AWAY, 1012)
    await client.close()


async def test_other_companies_hear_nothing(daemon: Daemon) -> None:
    await daemon.owner.post("/api/v1/companies", json={"name": "Other"})
    theirs = {"X-Homarus-Company": "other"}
    async with dial(daemon, daemon.owner_token, headers=theirs) as client:
        await frame(client)
        await daemon.agent("hidden")
        reply = await daemon.owner.post(
            "/api/mcp/agents", json={"name": "shown"}, headers=key() | theirs
        )
        assert reply.status_code == 201
        assert (await until(client, "agent_registered"))["agent"]["name"] == "shown"
