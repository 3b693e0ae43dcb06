"""A device proves its key: Ed25519 over words of the handshake (gateway contract, 2.4). Pure."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SKEW_MS: Final = 120_000
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
MAX_TEXT: Final = 512


class Signed(msgspec.Struct, frozen=True):
    """What the client says it signed, with what it says about its key."""

    device: str
    public_key: str
    signature: str
    signed_ms: int
    nonce: str
    client_id: str
    client_mode: str
    role: str
    scopes: Sequence[str]
    token: str
    platform: str
    family: str


class Unproven(msgspec.Struct, frozen=True):
    """Why the key was not proven: `code` and `reason` of the error's details."""

    code: str
    reason: str
    message: str


def check(signed: Signed, nonce: str, now_ms: int) -> Unproven | None:
    """None: the device has the key. The order of the checks is the contract's."""
    key = unpadded(signed.public_key, KEY_BYTES)
    if key is None:
        return Unproven("DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key",
                        "device public key invalid")  # fmt: skip
    if hashlib.sha256(key).hexdigest() != signed.device:
        return Unproven("DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch",
                        "device identity mismatch")  # fmt: skip
    if abs(now_ms - signed.signed_ms) > SKEW_MS:
        return Unproven("DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale",
                        "device signature expired")  # fmt: skip
    if not signed.nonce.strip():
        return Unproven("DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing",
                        "device nonce required")  # fmt: skip
    if signed.nonce != nonce:
        return Unproven("DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch",
                        "device nonce mismatch")  # fmt: skip
    signature = unpadded(signed.signature, SIGNATURE_BYTES)
    if signature is None or not _verifies(key, signature, signed):
        return Unproven("DEVICE_AUTH_SIGNATURE_INVALID", "device-signature",
                        "device signature invalid")  # fmt: skip
    return None


def _verifies(key: bytes, signature: bytes, signed: Signed) -> bool:
    public = Ed25519PublicKey.from_public_bytes(key)
    for text in (payload_v3(signed), payload_v2(signed)):
        try:
            public.verify(signature, text.encode())
        except InvalidSignature:
            continue
        return True
    return False


def payload_v3(signed: Signed) -> str:
    return _joined("v3", signed, _plain(signed.platform), _plain(signed.family))


def payload_v2(signed: Signed) -> str:
    return _joined("v2", signed)


def _joined(version: str, signed: Signed, *more: str) -> str:
    return "|".join(
        (version, signed.device, signed.client_id, signed.client_mode, signed.role,
         ",".join(signed.scopes), str(signed.signed_ms), signed.token, signed.nonce, *more)
    )  # fmt: skip


def _plain(text: str) -> str:
    """Trimmed, and lower case in ASCII alone."""
    return "".join(c.lower() if c.isascii() else c for c in text.strip())


def unpadded(text: str, size: int) -> bytes | None:
    """Base64url without padding, of exactly `size` bytes, in its one spelling; None: it is not."""
    if len(text) > MAX_TEXT:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == size and of_bytes(raw) == text else None


def of_bytes(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
