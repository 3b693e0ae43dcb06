"""A device proves its key (gateway contract, 2.4): a table of cases."""

from typing import Any

import msgspec
import pytest

from homarus.gateway.ws import signature
from homarus.gateway.ws.signature import Signed, check
from tests.gateway.ws.client import Device

NOW_MS = 1_767_322_800_000
DEVICE, OTHER = Device(1), Device(2)
WORDS = Signed(
    device=DEVICE.id, public_key=DEVICE.public_key, signature="", signed_ms=NOW_MS, nonce="n-1",
    client_id="cli", client_mode="cli", role="operator",
    scopes=("operator.read", "operator.write"), token="s3cret", platform=" Linux ", family="PC",
)  # fmt: skip


def signed(by: Device = DEVICE, payload: Any = signature.payload_v3, **words: Any) -> Signed:
    made = msgspec.structs.replace(WORDS, **words)
    return msgspec.structs.replace(made, signature=by.sign(payload(made)))


def code(words: Signed, nonce: str = "n-1", now_ms: int = NOW_MS) -> str:
    why = check(words, nonce, now_ms)
    return "" if why is None else why.reason


def test_the_payloads_word_by_word() -> None:
    start = f"{DEVICE.id}|cli|cli|operator|operator.read,operator.write|{NOW_MS}|s3cret|n-1"
    assert signature.payload_v2(WORDS) == f"v2|{start}"
    assert signature.payload_v3(WORDS) == f"v3|{start}|linux|pc"


def test_only_ascii_is_lowered() -> None:
    words = msgspec.structs.replace(WORDS, platform="İX", family="ÄB")
    assert signature.payload_v3(words).endswith("|İx|Äb")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (signed(), ""),
        (signed(payload=signature.payload_v2), ""),
        (signed(platform="", family=""), ""),
        (signed(scopes=()), ""),
        (signed(by=OTHER), "device-signature"),
        (signed(payload=lambda w: "v1" + signature.payload_v2(w)[2:]), "device-signature"),
        (signed(device=OTHER.id), "device-id-mismatch"),
        (signed(device=DEVICE.id.upper()), "device-id-mismatch"),
        (signed(nonce=""), "device-nonce-missing"),
        (signed(nonce="n-2"), "device-nonce-mismatch"),
        (signed(public_key="AAAA"), "device-public-key"),
        (signed(public_key=DEVICE.public_key + "="), "device-public-key"),
        (signed(public_key="A" * 10_000), "device-public-key"),
        (msgspec.structs.replace(signed(), signature="AAAA"), "device-signature"),
        (msgspec.structs.replace(signed(), signature="ä" * 86), "device-signature"),
    ],
)
def test_cases(words: Signed, reason: str) -> None:
    assert code(words) == reason


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "test"}, {"client_mode": "ui"}, {"role": "node"}, {"token": "other"},
        {"scopes": ("operator.write", "operator.read")}, {"scopes": ("operator.admin",)},
        {"platform": "darwin"}, {"family": "Mac"}, {"signed_ms": NOW_MS + 1},
    ],
)  # fmt: skip
def test_every_word_is_signed(change: dict[str, Any]) -> None:
    assert code(msgspec.structs.replace(signed(), **change)) == "device-signature"


@pytest.mark.parametrize(
    ("skew_ms", "reason"),
    [
        (-120_001, "device-signature-stale"), (-121_000, "device-signature-stale"),
        (-120_000, ""), (0, ""), (120_000, ""),
        (120_001, "device-signature-stale"), (121_000, "device-signature-stale"),
    ],
)  # fmt: skip
def test_two_minutes_either_way(skew_ms: int, reason: str) -> None:
    assert code(signed(), now_ms=NOW_MS + skew_ms) == reason


def test_a_signature_is_good_for_its_challenge_alone() -> None:
    assert code(signed(), nonce="another challenge") == "device-nonce-mismatch"
