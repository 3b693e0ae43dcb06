"""Devices: who wants in, who is in, their tokens (gateway contract, 2.6, 9)."""

import os
from collections.abc import Collection
from typing import Any, Final

from homarus.gateway.ws import frames, shapes
from homarus.gateway.ws.frames import Params
from homarus.gateway.ws.method import Ask, Desk, Nothing, work, write
from homarus.gateway.ws.secret import NONCE_BYTES, secret_of
from homarus.kernel import devices, scopes
from homarus.kernel.devices import Grant, Secret
from homarus.kernel.scopes import PAIRING
from homarus.store.port import Rx, Tx

Doc = dict[str, Any]


class OfRequest(Params):
    request_id: str


class OfDevice(Params):
    device_id: str


class Rename(Params):
    device_id: str
    label: str


class Rotate(Params):
    device_id: str
    role: str
    scopes: list[str] | None = None


class OfRole(Params):
    device_id: str
    role: str


async def listed(desk: Desk, params: Nothing) -> Doc:
    _ = params
    here = frozenset(peer.device for peer in desk.hub.peers.values() if peer.device)
    found: Doc = await desk.read(_listed, desk.peer.company, here)
    return found


def _listed(rx: Rx, company: str, here: frozenset[str]) -> Doc:
    return {
        "pending": [shapes.pairing(rx, row) for row in devices.pending(rx, company)],
        "paired": [shapes.device(rx, row, row.id in here) for row in devices.listed(rx, company)],
    }


def approve(tx: Tx, ask: Ask) -> Doc:
    """Nobody lets a device have more than the own connection may (contract, 4)."""
    asked = devices.request(tx, ask.company, ask.params.request_id)
    if asked is not None:
        _check(asked.scopes, ask.scopes)
    row = devices.decide(tx, ask.params.request_id, approve=True)
    device = devices.need(tx, tx.company, row.device)
    return {"requestId": row.id, "device": shapes.device(tx, device, connected=False)}


def _check(wanted: Collection[str], most: Collection[str]) -> None:
    """Raises Fault for the first that is beyond."""
    for scope in wanted:
        if scope not in most:
            raise frames.missing_scope(scope)


def reject(tx: Tx, ask: Ask) -> Doc:
    row = devices.decide(tx, ask.params.request_id, approve=False)
    return {"requestId": row.id, "deviceId": row.device}


def remove(tx: Tx, ask: Ask) -> Doc:
    return {"deviceId": devices.remove(tx, ask.params.device_id).id}


def rename(tx: Tx, ask: Ask) -> Doc:
    label = ask.params.label
    if len(label) > devices.MAX_LABEL:
        raise frames.bad_params("device.pair.rename", f"at label: at most {devices.MAX_LABEL}")
    row = devices.rename(tx, ask.params.device_id, label)
    return {"deviceId": row.id, "label": row.label}


async def rotate(desk: Desk, params: Rotate) -> Doc:
    """The value goes to the device itself alone; another one gets it when it connects. Nobody
    renews more than the own connection may."""
    secret = secret_of(desk.hub.means.sealer, os.urandom(NONCE_BYTES).hex())
    held: Grant = await desk.write(
        _rotate, params, scopes.closure(desk.peer.scopes), secret,
        target=f"device:{params.device_id[:80]}",
    )  # fmt: skip
    own = desk.peer.device == params.device_id
    found: Doc = {
        "deviceId": held.device, "role": held.role, "scopes": list(held.scopes),
        "rotatedAtMs": held.rotated_ms,
        "tokenDelivery": "in-band" if own else "withheld-cross-device",
    }  # fmt: skip
    return found | ({"token": secret.clear} if own else {})


def _rotate(tx: Tx, params: Rotate, most: frozenset[str], secret: Secret) -> Grant:
    wanted = None if params.scopes is None else tuple(params.scopes)
    made = devices.rotate(tx, params.device_id, params.role, wanted, secret)
    _check(made.scopes, most)
    return made


def revoke(tx: Tx, ask: Ask) -> Doc:
    at_ms = devices.revoke(tx, ask.params.device_id, ask.params.role)
    return {"deviceId": ask.params.device_id, "role": ask.params.role, "revokedAtMs": at_ms}


_CHANGE: Final = "device.change"
METHODS: Final = (
    work("device.pair.list", PAIRING, Nothing, listed, "Devices that want in, and those that are",
         "pending, paired"),
    write("device.pair.approve", PAIRING, OfRequest, "device.decide", approve,
          "Let a device in", "requestId, device", target="device:"),
    write("device.pair.reject", PAIRING, OfRequest, "device.decide", reject,
          "Do not let it in", "requestId, deviceId", target="device:"),
    write("device.pair.remove", PAIRING, OfDevice, _CHANGE, remove,
          "Forget a device; its tokens end", "deviceId", target="device:"),
    write("device.pair.rename", PAIRING, Rename, _CHANGE, rename, "Call a device something",
          "deviceId, label", target="device:"),
    work("device.token.rotate", PAIRING, Rotate, rotate, "Give a device another token",
         "role, scopes, rotatedAtMs, token to itself alone", capability=_CHANGE,
         target="device:"),
    write("device.token.revoke", PAIRING, OfRole, _CHANGE, revoke,
          "End what a device may in a role", "revokedAtMs", target="device:"),
)  # fmt: skip
