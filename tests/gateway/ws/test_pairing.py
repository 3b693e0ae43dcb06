"""Devices: paired at once on this machine, let in by an operator else (contract, 2.6)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from homarus.testing.daemon import Daemon, running
from homarus.testing.ground import ManualClock
from tests.gateway.ws.client import (
    CLI,
    PROXIED,
    REMOTE,
    Client,
    Device,
    dialled,
    gateway_token,
    joined,
)

PAIRING = ("operator.pairing",)
READ, WRITE, ADMIN = ("operator.read",), ("operator.read", "operator.write"), ("operator.admin",)
DEVICE = Device(1)


@asynccontextmanager
async def proxied(tmp_path: Path, **more: Any) -> AsyncIterator[Daemon]:
    async with running(tmp_path / "home", **PROXIED, **more) as daemon:
        yield daemon


async def asks(daemon: Daemon, **more: Any) -> dict[str, Any]:
    """A device from elsewhere wants in: the error's details."""
    async with dialled(daemon, additional_headers=REMOTE) as client:
        options = {"device": DEVICE, "scopes": READ} | more
        reply = await client.greet(options.pop("token", gateway_token(daemon)), **options)
        assert reply["error"]["code"] == "NOT_PAIRED", reply
        code, why = await client.closed()
        assert code == 1008 and why.startswith("pairing required")
        return dict(reply["error"]["details"])


# -- on this machine -----------------------------------------------------------------------


async def test_on_this_machine_a_device_is_paired_at_once(daemon: Daemon) -> None:
    async with joined(daemon, device=DEVICE, scopes=READ) as client:
        token = client.hello["auth"]["deviceToken"]
        assert len(token) == 43 and client.hello["auth"]["scopes"] == list(READ)
        assert (await client.call("status"))["runtimeVersion"]
    async with joined(daemon, device=DEVICE, scopes=READ) as client:
        assert client.hello["auth"]["deviceToken"] == token
    async with joined(daemon, device=DEVICE, scopes=WRITE) as client:
        wider = client.hello["auth"]["deviceToken"]
        assert wider != token
    async with joined(daemon, scopes=ADMIN) as owner:
        (row,) = (await owner.call("device.pair.list"))["paired"]
        assert (row["deviceId"], row["approvedVia"]) == (DEVICE.id, "silent")
        assert row["scopes"] == sorted(WRITE)
        assert token not in str(row) and wider not in str(row)


async def test_a_device_token_is_as_good_as_the_secret_for_its_device(daemon: Daemon) -> None:
    async with joined(daemon, device=DEVICE, scopes=WRITE) as client:
        token = client.hello["auth"]["deviceToken"]
    for auth in ({"token": token}, {"deviceToken": token}, {"token": "old", "deviceToken": token}):
        async with dialled(daemon) as client:
            assert (await client.greet(auth=auth, device=DEVICE, scopes=READ))["ok"]
            assert client.hello["auth"]["method"] == "device-token"
            assert client.hello["auth"]["scopes"] == list(READ)
            assert (await client.error("chat.send", {}))["code"] == "FORBIDDEN"
    async with dialled(daemon) as client:
        reply = await client.greet(auth={"token": token}, device=DEVICE, scopes=ADMIN)
        assert reply["error"]["details"]["code"] == "AUTH_SCOPE_MISMATCH"
    async with dialled(daemon) as client:
        reply = await client.greet(auth={"token": token}, device=Device(2), scopes=READ)
        assert reply["error"]["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"


async def test_a_device_token_is_nothing_without_its_device(daemon: Daemon) -> None:
    """It is an operator's, but the kernel takes it beside a signature alone."""
    async with joined(daemon, device=DEVICE, scopes=ADMIN) as client:
        token = client.hello["auth"]["deviceToken"]
    async with dialled(daemon) as client:
        reply = await client.greet(token, scopes=ADMIN)
        assert reply["error"]["details"]["code"] == "DEVICE_IDENTITY_REQUIRED"
    thief = daemon.client(token)
    assert (await thief.get("/api/v1/agents")).json()["code"] == "identity.device"
    reply = await thief.post("/api/v1/stops", json={"scope": "company", "reason": "x"})
    assert reply.status_code == 403


async def test_what_a_device_does_is_the_devices_in_the_ledger(daemon: Daemon) -> None:
    async with joined(daemon, device=DEVICE, scopes=ADMIN) as client:
        await client.call("sessions.list")
        await client.error("device.pair.remove", {"deviceId": "0" * 64})
    rows = (await daemon.owner.get("/api/v1/receipts", params={"limit": 20})).json()
    found = [row for row in rows["receipts"] if row["capability"] == "device.change"]
    assert found and {row["proof"] for row in found} == {"device"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"signedAt": 1}, "device-signature-stale"),
        ({"nonce": "other"}, "device-nonce-mismatch"),
        ({"nonce": " "}, "device-nonce-missing"),
        ({"id": "0" * 64}, "device-id-mismatch"),
        ({"publicKey": "x"}, "device-public-key"),
        ({"signature": "x"}, "device-signature"),
    ],
)
async def test_a_device_that_does_not_prove_its_key(
    daemon: Daemon, change: dict[str, Any], reason: str
) -> None:
    async with dialled(daemon) as client:
        params: dict[str, Any] = {
            "minProtocol": 4, "maxProtocol": 4, "client": CLI,
            "auth": {"token": gateway_token(daemon)},
        }  # fmt: skip
        params["device"] = DEVICE.proof(params, client.nonce, client.ts) | change
        reply = await client.raw_call("connect", params)
        assert reply["error"]["details"]["reason"] == reason
        assert (await client.closed())[0] == 1008


async def test_a_hello_cannot_be_played_again(daemon: Daemon) -> None:
    params: dict[str, Any] = {
        "minProtocol": 4, "maxProtocol": 4, "client": CLI, "auth": {"token": gateway_token(daemon)},
    }  # fmt: skip
    async with dialled(daemon) as client:
        params["device"] = DEVICE.proof(params, client.nonce, client.ts)
        assert (await client.raw_call("connect", params))["ok"]
    async with dialled(daemon) as client:
        reply = await client.raw_call("connect", params)
        assert reply["error"]["details"]["reason"] == "device-nonce-mismatch"


async def test_a_signature_of_version_2_counts(daemon: Daemon) -> None:
    async with dialled(daemon) as client:
        params: dict[str, Any] = {
            "minProtocol": 4, "maxProtocol": 4, "client": CLI,
            "auth": {"token": gateway_token(daemon)},
        }  # fmt: skip
        params["device"] = DEVICE.proof(params, client.nonce, client.ts, version=2)
        assert (await client.raw_call("connect", params))["ok"]


# -- from elsewhere ------------------------------------------------------------------------


async def test_from_elsewhere_somebody_has_to_say_yes(tmp_path: Path) -> None:
    async with proxied(tmp_path) as daemon, joined(daemon) as owner:
        details = await asks(daemon)
        assert details["reason"] == "not-paired"
        request = details["requestId"]
        told = await owner.event("device.pair.requested")
        assert (told["requestId"], told["deviceId"]) == (request, DEVICE.id)
        assert (await asks(daemon))["requestId"] == request
        (waiting,) = (await owner.call("device.pair.list"))["pending"]
        assert (waiting["scopes"], waiting["remoteIp"]) == (list(READ), "203.0.113.9")

        made = await owner.call("device.pair.approve", {"requestId": request})
        assert made["device"]["approvedVia"] == "owner"
        told = await owner.event("device.pair.resolved")
        assert (told["requestId"], told["decision"]) == (request, "approved")
        async with joined(daemon, device=DEVICE, scopes=READ, headers=REMOTE) as client:
            token = client.hello["auth"]["deviceToken"]
            assert (await client.call("status"))["runtimeVersion"]
        async with joined(daemon, token, device=DEVICE, scopes=READ, headers=REMOTE) as client:
            assert client.hello["auth"]["method"] == "device-token"
        details = await asks(daemon, scopes=WRITE)
        assert details["reason"] == "scope-upgrade"
        assert details["approvedScopes"] == list(READ)
        moved = CLI | {"platform": "darwin"}
        assert (await asks(daemon, client=moved))["reason"] == "metadata-upgrade"
        assert (await asks(daemon, client=moved, token=token))["reason"] == "metadata-upgrade"
        error = await owner.error("device.pair.approve", {"requestId": request})
        assert error["details"]["code"] == "device.request_over"


async def test_no_is_no_until_it_is_asked_again(tmp_path: Path) -> None:
    async with proxied(tmp_path) as daemon, joined(daemon) as owner:
        request = (await asks(daemon))["requestId"]
        await owner.call("device.pair.reject", {"requestId": request})
        told = await owner.event("device.pair.resolved")
        assert told["decision"] == "rejected"
        assert (await asks(daemon))["requestId"] != request
        error = await owner.error("device.pair.approve", {"requestId": "none"})
        assert error["details"]["code"] == "device.request_unknown"


@pytest.mark.parametrize(("later_ms", "approved"), [(299_999, True), (300_000, False)])
async def test_a_request_can_be_answered_for_five_minutes(
    tmp_path: Path, later_ms: int, approved: bool
) -> None:
    clock = ManualClock()
    async with proxied(tmp_path, clock=clock) as daemon, joined(daemon) as owner:
        request = (await asks(daemon))["requestId"]
        clock.advance(later_ms)
        reply = await owner.raw_call("device.pair.approve", {"requestId": request})
        assert reply["ok"] is approved
        assert bool((await owner.call("device.pair.list"))["paired"]) is approved


async def test_only_who_may_pair_hears_of_it(tmp_path: Path) -> None:
    async with (
        proxied(tmp_path) as daemon,
        joined(daemon) as owner,
        joined(daemon, scopes=WRITE) as other,
    ):
        request = (await asks(daemon))["requestId"]
        await owner.event("device.pair.requested")
        error = await other.error("device.pair.approve", {"requestId": request})
        assert error["details"]["missingScope"] == "operator.pairing"
        assert not [e for e in other.events if e["event"].startswith("device.pair")]


@pytest.mark.parametrize(
    ("mine", "wanted", "missing"),
    [
        (PAIRING, ADMIN, "operator.admin"),
        (PAIRING, READ, "operator.read"),
        (PAIRING, (), None),
        (PAIRING, PAIRING, None),
        (PAIRING + READ, WRITE, "operator.write"),
        (PAIRING + READ, (*READ, "operator.approvals"), "operator.approvals"),
        (PAIRING + WRITE, ("operator.talk", *READ), None),
        (PAIRING + WRITE, ("operator.talk.secrets",), "operator.talk.secrets"),
        (ADMIN, (*ADMIN, *PAIRING, "operator.talk.secrets"), None),
    ],
)  # fmt: skip
async def test_nobody_lets_a_device_have_more_than_they_have(
    tmp_path: Path, mine: tuple[str, ...], wanted: tuple[str, ...], missing: str | None
) -> None:
    """Neither does whoever connects by a device token of their own."""
    async with proxied(tmp_path) as daemon, joined(daemon, scopes=ADMIN) as owner:
        async with joined(daemon, device=Device(2), scopes=mine) as first:
            token = first.hello["auth"]["deviceToken"]
        request = {"requestId": (await asks(daemon, scopes=wanted))["requestId"]}
        async with joined(daemon, token, device=Device(2), scopes=mine) as client:
            reply = await client.raw_call("device.pair.approve", request)
        assert reply["ok"] is (missing is None)
        if missing is not None:
            error = reply["error"]
            assert (error["code"], error["details"]["missingScope"]) == ("FORBIDDEN", missing)
            assert (await owner.call("device.pair.list"))["pending"]
            assert await owner.call("device.pair.approve", request)


async def test_a_node_is_let_in_by_who_may_pair(tmp_path: Path) -> None:
    """What it may be asked is approved beside (`node.pair.approve`)."""
    async with proxied(tmp_path) as daemon, joined(daemon, scopes=PAIRING) as less:
        host = CLI | {"id": "node-host", "mode": "node"}
        asked = await asks(daemon, role="node", scopes=(), client=host)
        made = await less.call("device.pair.approve", {"requestId": asked["requestId"]})
        assert made["device"]["roles"] == ["node"]


async def test_nobody_gives_what_it_does_not_have(tmp_path: Path) -> None:
    """A viewer's secret pairs a viewer's device, whatever that asks for."""
    async with running(tmp_path / "home") as daemon:
        _, secret = await daemon.token(kind="operator", role="viewer")
        async with joined(daemon, secret, device=DEVICE, scopes=ADMIN + READ) as client:
            assert client.hello["auth"]["scopes"] == list(READ)


# -- taking back ---------------------------------------------------------------------------


@asynccontextmanager
async def of_device(daemon: Daemon) -> AsyncIterator[tuple[Client, str]]:
    async with joined(daemon, device=DEVICE, scopes=ADMIN) as client:
        yield client, client.hello["auth"]["deviceToken"]


@pytest.mark.parametrize("how", ["remove", "revoke", "rotate", "token"])
async def test_a_device_that_is_cut_off_is_cut_off_now(daemon: Daemon, how: str) -> None:
    async with joined(daemon) as owner, of_device(daemon) as (client, token):
        role = {"deviceId": DEVICE.id, "role": "operator"}
        if how == "remove":
            await owner.call("device.pair.remove", {"deviceId": DEVICE.id})
        elif how == "revoke":
            await owner.call("device.token.revoke", role)
        elif how == "rotate":
            rotated = await owner.call("device.token.rotate", role)
            assert rotated["tokenDelivery"] == "withheld-cross-device" and "token" not in rotated
        else:
            rows = (await daemon.owner.get("/api/v1/tokens?limit=50")).json()["tokens"]
            (row,) = [row for row in rows if row["name"].startswith("device ")]
            reply = await daemon.owner.delete(f"/api/v1/tokens/{row['id']}")
            assert reply.status_code == 200, reply.text
        assert (await client.closed())[0] == 1008
        async with dialled(daemon) as again:
            reply = await again.greet(auth={"deviceToken": token}, device=DEVICE, scopes=READ)
            assert reply["error"]["details"]["code"] == "AUTH_DEVICE_TOKEN_MISMATCH"
        async with of_device(daemon) as (_, fresh):  # the secret itself lets it in again
            assert fresh != token


async def test_a_device_renews_its_own_token(daemon: Daemon) -> None:
    async with of_device(daemon) as (client, token):
        params = {"deviceId": DEVICE.id, "role": "operator", "scopes": list(READ)}
        made = await client.call("device.token.rotate", params)
        assert made["tokenDelivery"] == "in-band" and made["token"] != token
        assert made["scopes"] == list(READ)
        await client.closed()
    async with dialled(daemon) as client:
        reply = await client.greet(auth={"token": made["token"]}, device=DEVICE, scopes=READ)
        assert reply["ok"]


@pytest.mark.parametrize(
    ("mine", "wanted", "missing"),
    [
        (PAIRING, None, "operator.read"),
        (PAIRING, WRITE, "operator.read"),
        (PAIRING, PAIRING, None),
        (PAIRING + WRITE, None, None),
        (PAIRING + READ, READ, None),
    ],
)
async def test_a_renewed_token_is_no_wider_than_who_renews_it(
    daemon: Daemon, mine: tuple[str, ...], wanted: tuple[str, ...] | None, missing: str | None
) -> None:
    async with joined(daemon, device=DEVICE, scopes=PAIRING + WRITE) as client:
        token = client.hello["auth"]["deviceToken"]
    params = {"deviceId": DEVICE.id, "role": "operator", "scopes": wanted}
    async with joined(daemon, token, device=DEVICE, scopes=mine) as client:
        reply = await client.raw_call("device.token.rotate", params)
    if missing is None:
        assert reply["ok"] and reply["payload"]["token"] != token
    else:
        assert reply["error"]["details"]["missingScope"] == missing
        async with joined(daemon, token, device=DEVICE, scopes=PAIRING):
            pass


async def test_a_device_has_a_name(daemon: Daemon) -> None:
    async with of_device(daemon) as (client, _):
        named = {"deviceId": DEVICE.id, "label": "Mia's laptop"}
        assert (await client.call("device.pair.rename", named))["label"] == "Mia's laptop"
        (row,) = (await client.call("device.pair.list"))["paired"]
        assert (row["operatorLabel"], row["connected"]) == ("Mia's laptop", True)
        error = await client.error("device.pair.rename", named | {"label": "x" * 65})
        assert "at label" in error["message"]
