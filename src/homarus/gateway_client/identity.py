"""The key pair that a device is known by, and the token that a gateway gave it; both for its
owner alone."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from homarus.base import private
from homarus.base.errors import Invalid
from homarus.gateway.ws import signature
from homarus.gateway.ws.signature import Signed

KEY: Final = "identity.json"
TOKEN: Final = "device-token"  # noqa: S105 - a file's name
VERSION: Final = 1


class Identity:
    """`id`: SHA-256 of the public key, hexadecimal."""

    def __init__(self, folder: Path, key: Ed25519PrivateKey) -> None:
        self._folder = folder
        self._key = key
        raw = key.public_key().public_bytes_raw()
        self.id = hashlib.sha256(raw).hexdigest()
        self.public_key = signature.of_bytes(raw)

    def proof(self, connect: dict[str, Any], nonce: str, at_ms: int) -> dict[str, Any]:
        """`device` of the parameters `connect` (all but that)."""
        client, auth = connect["client"], connect["auth"]
        signed = Signed(
            device=self.id, public_key=self.public_key, signature="", signed_ms=at_ms,
            nonce=nonce, client_id=client["id"], client_mode=client["mode"],
            role=connect["role"], scopes=connect["scopes"],
            token=auth.get("token") or auth.get("deviceToken") or auth.get("bootstrapToken") or "",
            platform=client["platform"], family=client.get("deviceFamily", ""),
        )  # fmt: skip
        made = self._key.sign(signature.payload_v3(signed).encode())
        return {
            "id": self.id, "publicKey": self.public_key, "nonce": nonce, "signedAt": at_ms,
            "signature": signature.of_bytes(made),
        }  # fmt: skip

    def token(self) -> str:
        """What the gateway gave last; "": nothing."""
        return private.read(self._folder / TOKEN)

    def keep_token(self, token: str) -> None:
        if token != self.token():
            private.write(self._folder / TOKEN, token)


def load(folder: Path) -> Identity:
    """The one of this folder, made when there is none. Raises `device.identity`."""
    path = folder / KEY
    text = private.read(path)
    if not text:
        key = Ed25519PrivateKey.generate()
        kept = {"version": VERSION, "privateKey": signature.of_bytes(key.private_bytes_raw())}
        private.write(path, json.dumps(kept))
        return Identity(folder, key)
    try:
        raw = signature.unpadded(json.loads(text)["privateKey"], signature.KEY_BYTES)
    except (ValueError, TypeError, KeyError):
        raw = None
    if raw is None:
        raise Invalid("device.identity", f"{path} holds no key",
                      "Move it away; the device then has to be let in anew.")  # fmt: skip
    if path.stat().st_mode & 0o077:
        raise Invalid("device.identity", f"{path} can be read by others", f"chmod 600 {path}")
    return Identity(folder, Ed25519PrivateKey.from_private_bytes(raw))
