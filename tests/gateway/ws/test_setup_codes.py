"""A new device comes in by a set-up code, and by nothing that looks like one (contract, 2.5, 9)."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from homarus.gateway.ws import setup_text
from homarus.testing.daemon import Daemon, running
from homarus.testing.ground import ManualClock
from tests.gateway.ws.client import (
    CLI,
    REMOTE,
    Client,
    Device,
    dialled,
    gateway_token,
    joined,
)

DEVICE = Device(1)
BEHIND = {"public_url": "https://gate.example"}
NODE: dict[str, Any] = {
    "client": {
        "id": "node-host", "version": "1", "platform": "linux", "mode": "node",
        "displayName": "bench",
    },
    "role": "node", "scopes": (), "commands": ["system.which"],
}  # fmt: skip
LIMITED = ["operator.approvals", "operator.questions", "operator.read", "operator.write"]


async def code(owner: Client, profile: str = "node", **more: Any) -> tuple[dict[str, Any], str]:
    """The reply, and the bootstrap token in it."""
    made = await owner.call("device.pair.setupCode", {"bootstrapProfile": profile} | more)
    return made, setup_text.offer_of(made["setupCode"]).bootstrap_token


async def refused(wire: Client, secret: str, **how: Any) -> dict[str, Any]:
    options: dict[str, Any] = NODE | {"device": DEVICE} | how
    reply = await wire.greet(auth={"bootstrapToken": secret}, **options)
    assert not reply["ok"], reply
    assert (await wire.closed())[0] == 1008
    return dict(reply["error"])


async def test_a_node_comes_in_by_a_code(tmp_path: Path) -> None:
    async with running(tmp_path / "home", **BEHIND) as daemon, joined(daemon) as owner:
        made, secret = await code(owner)
        assert made | {"setupCode": "", "setupId": ""} == {
            "setupId": "", "setupCode": "", "expiresAtMs": made["expiresAtMs"],
            "gatewayUrl": "wss://gate.example", "urlSource": "gateway.publicUrl",
            "auth": "token", "access": "node",
        }  # fmt: skip
        status = {"setupId": made["setupId"]}
        known = await owner.call("device.pair.setupStatus", status)
        assert known == status | {"state": "open", "expiresAtMs": made["expiresAtMs"]}

        async with dialled(daemon, additional_headers=REMOTE) as client:
            reply = await client.greet(auth={"bootstrapToken": secret}, device=DEVICE, **NODE)
            assert reply["ok"], reply
            auth = client.hello["auth"]
            assert (auth["method"], auth["role"], auth["scopes"]) == ("bootstrap-token", "node", [])
            assert len(auth["deviceToken"]) == 43 and "deviceTokens" not in auth
        told = await owner.event("device.pair.setup.completed")
        assert told == {
            "setupId": made["setupId"], "deviceId": DEVICE.id, "deviceName": "bench",
            "access": "node", "ts": told["ts"],
        }  # fmt: skip
        known = await owner.call("device.pair.setupStatus", status)
        assert (known["state"], known["completion"]) == ("used", told)
        (row,) = (await owner.call("device.pair.list"))["paired"]
        assert (row["deviceId"], row["approvedVia"], row["roles"]) == (DEVICE.id, "owner", ["node"])

        async with dialled(daemon, additional_headers=REMOTE) as client:
            given = {"deviceToken": auth["deviceToken"]}
            assert (await client.greet(auth=given, device=DEVICE, **NODE))["ok"]
        # what it may do there is approved by a person all the same
        (asked,) = (await owner.call("node.pair.list"))["pending"]
        assert asked["commands"] == ["system.which"]


async def test_an_operator_has_what_the_code_allows_and_no_more(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        _, secret = await code(owner, "operator")
    async with dialled(daemon) as client:
        asked = ("operator.read", "operator.admin", "operator.pairing")
        reply = await client.greet(
            auth={"bootstrapToken": secret}, device=DEVICE, client=CLI, scopes=asked
        )
        assert reply["ok"], reply
        auth = client.hello["auth"]
        assert auth["scopes"] == ["operator.read"]
        assert (await client.call("status"))["runtimeVersion"]
        error = await client.error("device.pair.setupCode")
        assert error["details"]["missingScope"] == "operator.admin"
    async with dialled(daemon) as client:
        given = {"deviceToken": auth["deviceToken"]}
        reply = await client.greet(auth=given, device=DEVICE, scopes=tuple(LIMITED))
        assert reply["ok"] and client.hello["auth"]["scopes"] == LIMITED


async def test_a_telephone_gets_the_tokens_of_both_roles(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        made = await owner.call("device.pair.setupCode", {"includeQr": True})
        assert made["access"] == "limited"
    secret = setup_text.offer_of(made["setupCode"]).bootstrap_token
    async with dialled(daemon) as client:
        assert (await client.greet(auth={"bootstrapToken": secret}, device=DEVICE, **NODE))["ok"]
        (other,) = client.hello["auth"]["deviceTokens"]
        assert (other["role"], other["scopes"]) == ("operator", LIMITED)
        assert other["issuedAtMs"] and other["deviceToken"] != client.hello["auth"]["deviceToken"]
    async with joined(daemon, other["deviceToken"], device=DEVICE, scopes=("operator.read",)) as op:
        assert op.hello["auth"]["method"] == "device-token"


async def test_what_clients_read_in_a_code(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        made, secret = await code(owner, publicUrl="https://gate.example/gw/")
        raw = made["setupCode"]
        assert re.fullmatch(r"[A-Za-z0-9_-]+", raw)
        assert json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))) == {
            "url": "wss://gate.example/gw", "bootstrapToken": secret,
            "expiresAtMs": made["expiresAtMs"],
        }  # fmt: skip
        assert (made["gatewayUrl"], made["urlSource"]) == (
            "wss://gate.example/gw", "request.publicUrl",
        )  # fmt: skip
        made, _ = await code(owner)
        assert (made["gatewayUrl"], made["urlSource"]) == (
            f"ws{daemon.url.removeprefix('http')}", "connection",
        )  # fmt: skip


async def test_a_code_is_used_once(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        _, secret = await code(owner)
    async with dialled(daemon) as client:
        assert (await client.greet(auth={"bootstrapToken": secret}, device=DEVICE, **NODE))["ok"]
    for device in (DEVICE, Device(2)):
        async with dialled(daemon) as client:
            error = await refused(client, secret, device=device)
            assert error["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"


@pytest.mark.parametrize(("later_ms", "good"), [(599_999, True), (600_000, False)])
async def test_a_code_lasts_ten_minutes(tmp_path: Path, later_ms: int, good: bool) -> None:
    clock = ManualClock()
    async with running(tmp_path / "home", clock=clock) as daemon, joined(daemon) as owner:
        made, secret = await code(owner)
        clock.advance(later_ms)
        async with dialled(daemon) as client:
            reply = await client.greet(auth={"bootstrapToken": secret}, device=DEVICE, **NODE)
            assert reply["ok"] is good, reply
        known = await owner.call("device.pair.setupStatus", {"setupId": made["setupId"]})
        assert known["state"] == ("used" if good else "expired")


async def test_a_code_can_be_taken_back(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        made, secret = await code(owner)
        which = {"setupId": made["setupId"]}
        assert await owner.call("device.pair.setupRevoke", which) == which | {"state": "revoked"}
        async with dialled(daemon) as client:
            error = await refused(client, secret)
            assert error["details"]["code"] == "AUTH_BOOTSTRAP_TOKEN_INVALID"
        error = await owner.error("device.pair.setupRevoke", which)
        assert error["details"]["code"] == "device.code_over"
        assert await owner.call("device.pair.setupStatus", {"setupId": "never"}) == {}


@pytest.mark.parametrize(
    ("how", "secret", "detail"),
    [
        ({"device": None}, None, "DEVICE_IDENTITY_REQUIRED"),
        ({}, "x" * 43, "AUTH_BOOTSTRAP_TOKEN_INVALID"),
        ({"role": "operator", "client": CLI}, None, "AUTH_BOOTSTRAP_TOKEN_INVALID"),
        ({"client": CLI | {"id": "openclaw-control-ui", "mode": "ui"}, "role": "operator"}, None,
         "CONTROL_UI_ORIGIN_NOT_ALLOWED"),
    ],
)  # fmt: skip
async def test_what_a_code_does_not_do(
    daemon: Daemon, how: dict[str, Any], secret: str | None, detail: str
) -> None:
    async with joined(daemon) as owner:
        made, real = await code(owner)
        async with dialled(daemon) as client:
            error = await refused(client, secret or real, **how)
            assert error["details"]["code"] == detail
        known = await owner.call("device.pair.setupStatus", {"setupId": made["setupId"]})
        assert known["state"] == "open", "nothing was used up"


async def test_a_signature_covers_the_code(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        _, secret = await code(owner)
    async with dialled(daemon) as client:
        params = {"minProtocol": 4, "maxProtocol": 4, "auth": {"bootstrapToken": "other"}} | NODE
        params["device"] = DEVICE.proof(params, client.nonce, client.ts)
        params["auth"] = {"bootstrapToken": secret}
        reply = await client.raw_call("connect", params)
        assert reply["error"]["details"]["reason"] == "device-signature"


async def test_another_secret_beside_it_counts_alone(daemon: Daemon) -> None:
    """The signature covers one of them."""
    async with joined(daemon) as owner:
        made, secret = await code(owner)
        both = {"token": gateway_token(daemon), "bootstrapToken": secret}
        async with dialled(daemon) as client:
            assert (await client.greet(auth=both, device=DEVICE, **NODE))["ok"]
            assert client.hello["auth"]["method"] == "token"
        known = await owner.call("device.pair.setupStatus", {"setupId": made["setupId"]})
        assert known["state"] == "open"


async def test_guessing_locks_an_address_out(tmp_path: Path) -> None:
    async with running(tmp_path / "home", **BEHIND) as daemon, joined(daemon) as owner:
        _, secret = await code(owner)
        seen = []
        for guess in ("x" * 43,) * 10 + (secret,):
            async with dialled(daemon, additional_headers=REMOTE) as client:
                seen.append((await refused(client, guess))["details"]["code"])
        assert seen == ["AUTH_BOOTSTRAP_TOKEN_INVALID"] * 10 + ["AUTH_RATE_LIMITED"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"bootstrapProfile": "full"},
            "at bootstrapProfile: must be one of node, operator, limited",
        ),
        ({"publicUrl": "ws://gate.example"}, "at publicUrl: gate.example would be reached without"),
        ({"publicUrl": "nonsense"}, "at publicUrl: 'nonsense' is no address"),
        ({"joinUrl": True}, "unexpected property 'joinUrl'"),
    ],
)
async def test_unusable_wishes(daemon: Daemon, params: dict[str, Any], words: str) -> None:
    async with joined(daemon) as owner:
        error = await owner.error("device.pair.setupCode", params)
        assert words in error["message"], error


async def test_the_ledger_knows_and_no_secret_is_kept(daemon: Daemon) -> None:
    async with joined(daemon) as owner:
        _, secret = await code(owner)
        async with dialled(daemon) as client:
            await client.greet(auth={"bootstrapToken": secret}, device=DEVICE, **NODE)
        await owner.call("health")
    rows = (await daemon.owner.get("/api/v1/receipts", params={"limit": 20})).json()["receipts"]
    by = {row["capability"]: row for row in rows}
    assert by["device.redeem"]["actor"] == "system:gateway"
    assert by["device.redeem"]["target"] == f"device:{DEVICE.id}"
    assert by["device.invite"]["actor"].startswith("operator:")
    files = [path for path in daemon.app.settings.home.rglob("*") if path.is_file()]
    assert files and not [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:18789", "ws://127.0.0.1:18789"),
        ("ws://192.168.1.5:18789/", "ws://192.168.1.5:18789"),
        ("ws://gate.local", "ws://gate.local"),
        ("ws://[fd00::1]:1", "ws://[fd00::1]:1"),
        ("https://gate.example", "wss://gate.example"),
        ("wss://gate.example:444/x", "wss://gate.example:444/x"),
        ("ws://gate.example", None),
        ("ws://8.8.8.8", None),
        ("ftp://gate.local", None),
        ("wss://", None),
        ("wss://u:p@gate.example", None),
        ("wss://gate.example?x=1", None),
        ("wss://gate.example:x", None),
        ("wss://" + "x" * 600, None),
    ],
)
def test_addresses(url: str, address: str | None) -> None:
    if address is None:
        with pytest.raises(Exception) as error:
            setup_text.address(url)
        assert getattr(error.value, "code", "") == "device.address"
    else:
        assert setup_text.address(url) == address


@pytest.mark.parametrize(
    "text",
    ["", "x", "é", "x" * 3_000, setup_text.code_of(setup_text.Offer("ws://open.example", "t")),
     base64.urlsafe_b64encode(b'{"url": "ws://127.0.0.1"}').decode()],
    ids=["nothing", "short", "no base64", "long", "open net", "no token"],
)  # fmt: skip
def test_what_is_no_set_up_code(text: str) -> None:
    with pytest.raises(Exception) as error:
        setup_text.offer_of(text)
    assert getattr(error.value, "code", "") == "device.code"
