"""From the challenge to the hello, on the wire (gateway contract, 1, 2)."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from homarus.control_plane.proxies import forwarded_for, is_local_name
from homarus.gateway.ws.hub import Policy
from homarus.testing.daemon import Daemon, running
from tests.gateway.asking import asking
from tests.gateway.ws.client import ADMIN, CLI, TEST, Device, dialled, gateway_token, joined
from tests.gateway.ws.conftest import ONE_LOOP

pytestmark = ONE_LOOP


async def test_hello(shared: Daemon) -> None:
    async with joined(shared) as client:
        hello = client.hello
        assert (hello["type"], hello["protocol"]) == ("hello-ok", 4)
        assert hello["auth"] == {
            "method": "token", "role": "operator", "scopes": ["operator.admin"],
        }  # fmt: skip
        assert hello["policy"] == {
            "maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000,
        }  # fmt: skip
        assert {"health", "chat.send", "agent", "sessions.list"} <= set(
            hello["features"]["methods"]
        )
        assert {"agent", "chat", "tick", "shutdown"} <= set(hello["features"]["events"])
        assert "published-model-catalog" in hello["features"]["capabilities"]
        snapshot = hello["snapshot"]
        assert snapshot["health"]["ok"] is True
        assert snapshot["presence"][0]["reason"] == "self"
        assert snapshot["stateVersion"].keys() == {"presence", "health"}
        assert snapshot["stateDir"] == str(shared.app.settings.home)
        assert hello["server"]["connId"]


async def test_what_is_not_built_is_not_advertised_and_says_why(shared: Daemon) -> None:
    async with joined(shared) as client:
        assert "node.pending.enqueue" not in client.hello["features"]["methods"]
        error = await client.error("node.pending.enqueue", {"name": "x", "anything": 1})
        assert error["code"] == "UNAVAILABLE"
        assert "node.pending.enqueue is not offered" in error["message"]


async def test_connect_is_only_the_first_request(shared: Daemon) -> None:
    async with joined(shared) as client:
        error = await client.error("connect", {})
        assert error["message"] == "connect is only valid as the first request"
        assert (await client.call("health"))["ok"] is True


def connect_with(**change: Any) -> dict[str, Any]:
    base = {"minProtocol": 4, "maxProtocol": 4, "client": CLI}
    return {name: value for name, value in (base | change).items() if value is not None}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (connect_with(extra=1), "invalid connect params: at root: unexpected property 'extra'"),
        (connect_with(client=CLI | {"extra": 1}), "at /client: unexpected property 'extra'"),
        (connect_with(minProtocol=None), "must have required property 'minProtocol'"),
        (connect_with(minProtocol="4"), "at /minProtocol: must be integer"),
        *((connect_with(minProtocol=n), "at /minProtocol: must be >= 1") for n in (0, -1)),
        (connect_with(client=CLI | {"id": "nobody"}), "at /client/id"),
        (connect_with(client=CLI | {"mode": "odd"}), "at /client/mode"),
        (connect_with(client=CLI | {"buildId": "x" * 97}), "at client/buildId"),
        (connect_with(scopes=["s"] * 201), "at scopes"),
        (connect_with(role="king"), "invalid role"),
        (connect_with(client=CLI | {"version": "\0"}), "must not hold the character U+0000"),
        ([], "at root: must be object"),
        ("x", "at root: must be object"),
    ],
)
async def test_unusable_hellos(shared: Daemon, params: Any, words: str) -> None:
    async with dialled(shared) as client:
        reply = await client.raw_call("connect", params)
        assert reply["error"]["code"] == "INVALID_REQUEST"
        assert words in reply["error"]["message"]
        assert (await client.closed())[0] == 1008


async def test_another_protocol_ends_with_1002(shared: Daemon) -> None:
    async with dialled(shared) as client:
        reply = await client.greet("x", minProtocol=3, maxProtocol=3)
        assert reply["error"]["details"]["code"] == "PROTOCOL_MISMATCH"
        assert (await client.closed())[0] == 1002


async def test_an_old_probe_is_answered_in_its_protocol(shared: Daemon) -> None:
    probe = CLI | {"id": "openclaw-probe", "mode": "probe"}
    async with joined(shared, client=probe, minProtocol=3, maxProtocol=3) as client:
        assert client.hello["protocol"] == 3
        assert (await client.call("health"))["ok"] is True


@pytest.mark.parametrize(
    ("auth", "code", "details"),
    [
        (None, "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"),
        ({"token": "wrong"}, "INVALID_REQUEST", "AUTH_TOKEN_MISMATCH"),
        ({"token": "wr ong"}, "INVALID_REQUEST", "AUTH_TOKEN_MISMATCH"),
        ({"password": "x" * 5_000}, "INVALID_REQUEST", "AUTH_TOKEN_MISMATCH"),
        ({"token": ""}, "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED"),
    ],
)
async def test_no_secret_or_a_wrong_one(
    shared: Daemon, auth: dict[str, str] | None, code: str, details: str
) -> None:
    async with dialled(shared) as client:
        reply = await client.greet(auth=auth)
        assert (reply["error"]["code"], reply["error"]["details"]["code"]) == (code, details)
        assert (await client.closed())[0] == 1008


async def test_the_secret_may_come_as_a_password(shared: Daemon) -> None:
    async with dialled(shared) as client:
        await client.greet(auth={"password": gateway_token(shared)})
        assert client.hello["auth"]["method"] == "password"
        assert (await client.call("status"))["runtimeVersion"]


async def test_without_a_device_only_the_command_line_keeps_its_scopes(shared: Daemon) -> None:
    async with joined(shared, client=TEST) as client:
        assert client.hello["auth"]["scopes"] == []
        assert "stateDir" not in client.hello["snapshot"]
        assert (await client.call("health"))["ok"] is True
        error = await client.error("status")
        assert error["code"] == "FORBIDDEN"
        assert error["details"] == {
            "code": "MISSING_SCOPE", "missingScope": "operator.read",
            "requiredScopes": ["operator.read"],
        }  # fmt: skip


@pytest.mark.parametrize(
    ("role", "scopes"),
    [
        ("viewer", ["operator.read"]),
        ("operator", ["operator.read", "operator.write"]),
        ("approver", ["operator.read", "operator.write", "operator.approvals"]),
        ("owner", ["operator.read", "operator.write", "operator.approvals", "operator.pairing",
                   "operator.admin"]),
    ],
)  # fmt: skip
async def test_a_token_has_the_scopes_of_its_role(
    shared: Daemon, role: str, scopes: list[str]
) -> None:
    asked = tuple(f"operator.{word}" for word in ("read", "write", "approvals", "pairing", "admin"))
    _, secret = await shared.token(kind="operator", role=role)
    async with joined(shared, secret, scopes=asked) as client:
        assert client.hello["auth"]["scopes"] == scopes


@pytest.mark.parametrize("device", [None, Device(1)], ids=["no device", "a device"])
async def test_a_company_token_has_no_operator_scopes(
    shared: Daemon, device: Device | None
) -> None:
    async with joined(shared, shared.company_token, device=device) as client:
        assert client.hello["auth"]["scopes"] == []
        assert "deviceToken" not in client.hello["auth"]
        for method in ("status", "chat.send", "device.pair.list", "config.get"):
            assert (await client.error(method, {}))["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"X-Forwarded-For": "203.0.113.9"}, 403),
        ({"X-Real-IP": "127.0.0.1"}, 403),
        ({"X-Forwarded-Port": "443"}, 403),
        ({"Forwarded": "for=1"}, 403),
    ],
)
async def test_who_may_not_even_upgrade(
    shared: Daemon, headers: dict[str, str], status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """That is no fault of the daemon: its log is quiet."""
    with pytest.raises(InvalidStatus) as refused:
        async with dialled(shared, additional_headers=headers):
            pass
    assert refused.value.response.status_code == status
    async with joined(shared):
        assert not [row for row in caplog.records if row.levelno >= logging.ERROR]


async def test_a_page_of_our_own_may(shared: Daemon) -> None:
    headers = {"Origin": shared.url}
    page = CLI | {"id": "openclaw-control-ui", "mode": "ui"}
    async with dialled(shared, additional_headers=headers) as client:
        assert (await client.greet(gateway_token(shared), client=page))["ok"]


DESK = "https://desk.example:8443"


@pytest.mark.parametrize(
    ("origin", "may"),
    [
        (DESK, True),
        ("https://DESK.example:8443", True),
        ("http://desk.example:8443", False),
        ("https://desk.example", False),
        ("https://desk.example:8443.evil.example", False),
        ("null", False),
        ("https://[", False),
        ("", False),
    ],
)
async def test_a_page_elsewhere_that_was_named_may(shared: Daemon, origin: str, may: bool) -> None:
    page = CLI | {"id": "openclaw-control-ui", "mode": "ui"}
    app, before = shared.app, shared.app.settings
    app.apply(replace(before, allowed_origins=(DESK,)))
    try:
        async with dialled(shared, additional_headers={"Origin": origin}) as client:
            assert may and (await client.greet(gateway_token(shared), client=page))["ok"]
    except InvalidStatus as refused:
        assert not may and refused.response.status_code == 403
    finally:
        app.apply(before)
    with pytest.raises(InvalidStatus):  # closed again, at once
        async with dialled(shared, additional_headers={"Origin": DESK}):
            pass


async def test_a_foreign_page_is_no_control_page(shared: Daemon) -> None:
    page = CLI | {"id": "openclaw-control-ui", "mode": "ui"}
    async with dialled(shared) as client:
        reply = await client.greet(gateway_token(shared), client=page)
        assert reply["error"]["details"]["code"] == "CONTROL_UI_ORIGIN_NOT_ALLOWED"


async def test_no_compression_is_agreed_on(shared: Daemon) -> None:
    async with dialled(shared, compression="deflate") as client:
        assert client.wire.protocol.extensions == []


async def test_one_that_says_nothing_is_let_go(tmp_path: Path) -> None:
    async with running(tmp_path / "home") as daemon:
        daemon.app.talk.hub.policy = Policy(handshake_s=0.1)
        async with dialled(daemon) as client:
            assert await client.closed() == (1000, "")


async def test_wrong_secrets_from_elsewhere_are_counted(tmp_path: Path) -> None:
    headers = {"X-Forwarded-For": "203.0.113.9"}
    async with running(tmp_path / "home", public_url="http://gate.example") as daemon:
        for _ in range(10):
            async with dialled(daemon, additional_headers=headers) as client:
                reply = await client.greet("wrong")
                assert reply["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
        async with dialled(daemon, additional_headers=headers) as client:
            error = (await client.greet(gateway_token(daemon)))["error"]
            assert error["details"]["code"] == "AUTH_RATE_LIMITED"
            assert error["details"]["recommendedNextStep"] == "wait_then_retry"
            assert error["retryAfterMs"] > 290_000
        async with joined(daemon) as client:  # this machine is exempt
            assert client.hello["auth"]["scopes"] == list(ADMIN)


async def test_more_sockets_than_there_may_be(tmp_path: Path) -> None:
    async with running(tmp_path / "home", max_sockets=1) as daemon, dialled(daemon):
        with pytest.raises(InvalidStatus) as refused:
            async with dialled(daemon):
                pass
        assert refused.value.response.status_code == 503


async def test_the_policy_is_the_contracts() -> None:
    assert msgspec.structs.asdict(Policy()) == {
        "handshake_s": 15.0, "tick_s": 30.0, "health_s": 60.0,
        "max_payload_bytes": 26_214_400, "max_buffered_bytes": 52_428_800, "in_flight": 64,
        "waiting": 64,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({b"x-forwarded-for": b"203.0.113.9"}, "203.0.113.9"),
        ({b"x-forwarded-for": b"10.0.0.1, 203.0.113.9"}, "203.0.113.9"),
        ({b"x-forwarded-for": b"2001:db8::1"}, "2001:db8::1"),
        ({b"x-real-ip": b"203.0.113.9"}, "203.0.113.9"),
        ({b"x-forwarded-for": b"203.0.113.9, nonsense"}, None),
        ({b"forwarded": b"for=203.0.113.9"}, None),
        ({}, None),
    ],
)
async def test_whom_a_proxy_speaks_for(headers: dict[bytes, bytes], address: str | None) -> None:
    assert forwarded_for(headers) == address


@pytest.mark.parametrize(
    ("host", "local"),
    [
        (b"127.0.0.1:1", True), (b"localhost", True), (b"[::1]:1", True), (b"a.localhost", True),
        (b"gate.example", False), (b"127.0.0.1.evil.example", False), (b"", False),
        (b"[bad", False),
    ],
)  # fmt: skip
async def test_names_that_mean_this_machine(host: bytes, local: bool) -> None:
    assert is_local_name({b"host": host}) is local


async def test_a_hello_names_the_agents_of_now(tmp_path: Path) -> None:
    """Health is kept for a minute; what a client starts from is not of before."""
    async with asking(tmp_path / "home", agents=()) as ask:
        for made, default in ((None, ""), ("ada", "ada"), ("bob", ""), ("main", "main")):
            if made is not None:
                await ask.agent(made)
            async with joined(ask.daemon) as client:
                snapshot = client.hello["snapshot"]
                defaults, health = snapshot["sessionDefaults"], snapshot["health"]
                assert defaults["defaultAgentId"] == health["defaultAgentId"] == default
                assert defaults["mainSessionKey"] == f"agent:{default or 'main'}:main"
                listed = await client.call("agents.list")
                assert [row["agentId"] for row in health["agents"]] == [
                    row["id"] for row in listed["agents"]
                ]
