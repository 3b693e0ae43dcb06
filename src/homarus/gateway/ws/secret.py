"""The secret of a device's token: derived, never kept, so that it can be handed out again."""

from typing import Final

from homarus.control_plane.route import Sealer
from homarus.gateway.ws import signature
from homarus.kernel.devices import Secret

NONCE_BYTES: Final = 16


def secret_of(sealer: Sealer, nonce: str) -> Secret:
    """The token that belongs to a nonce: 43 characters of base64url."""
    return Secret(nonce, signature.of_bytes(sealer.derive(f"device-token:{nonce}".encode())))
