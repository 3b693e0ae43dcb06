"""The text that a set-up code is handed over as, and the address in it (gateway contract, 9). Pure.

    code_of(Offer(url, token, expires_ms)) -> one word
    offer_of(it) -> Offer                     so clients of OpenClaw read it too

It is base64url of JSON `{url, bootstrapToken, expiresAtMs}`: for whoever holds it, and for no log.
"""

import base64
import binascii
import ipaddress
from typing import Final
from urllib.parse import urlsplit

import msgspec

from homarus.base.errors import Invalid

MAX_CODE: Final = 2_048
MAX_URL: Final = 512
_SCHEMES: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_ADDRESS: Final = "Give one such as wss://gate.example or ws://192.168.1.5:18789."


class Offer(msgspec.Struct, frozen=True, rename="camel"):
    """`url` of the gateway, ws or wss; `bootstrap_token`: see `kernel/setup_codes.py`. What else a
    code of another gateway says is not looked at."""

    url: str
    bootstrap_token: str
    expires_at_ms: int | None = None


def code_of(offer: Offer) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(offer)).rstrip(b"=").decode()


def offer_of(code: str) -> Offer:
    """Raises `device.code`."""
    text = code.strip()
    try:
        if len(text) > MAX_CODE:
            raise ValueError
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        offer = msgspec.json.decode(raw, type=Offer)
        return msgspec.structs.replace(offer, url=address(offer.url))
    except (binascii.Error, ValueError, msgspec.DecodeError, Invalid):
        raise Invalid("device.code", "that is no set-up code",
                      "Take it whole from `homarus device setup-code`.") from None  # fmt: skip


def address(url: str) -> str:
    """As devices dial it: ws or wss. What goes plainly over the open net is refused: whoever
    listens there would be let in instead. Raises `device.address`."""
    try:
        parts = urlsplit(url.strip())
        host, scheme = parts.hostname or "", _SCHEMES.get(parts.scheme, "")
        _ = parts.port
    except ValueError:
        host, scheme = "", ""
    if (
        not host
        or not scheme
        or parts.username
        or parts.query
        or parts.fragment
        or (len(url) > MAX_URL)
    ):
        raise Invalid("device.address", f"{url[:80]!r} is no address of a gateway", _ADDRESS)
    if scheme == "ws" and not is_near(host):
        raise Invalid(
            "device.address", f"{host[:80]} would be reached without TLS over the open net",
            "Put a proxy with TLS before the daemon and give its wss:// address.",
        )  # fmt: skip
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def is_near(host: str) -> bool:
    """This machine, or the network that it is in."""
    try:
        at = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local"))
    return at.is_private or at.is_loopback or at.is_link_local
