"""Where a request came from, when proxies may stand between (gateway contract, 1).

A forwarding header is anybody's word. It counts from a peer in `gateway.trustedProxies`, and, where
`gateway.publicUrl` says that a proxy stands before the daemon, from this machine.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec

FORWARDED: Final = (b"forwarded", b"x-real-ip")
FAMILY: Final = b"x-forwarded-"
"""Whatever begins so was added by a proxy too."""
MAX_HOPS: Final = 20
Networks = tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]


class Came(msgspec.Struct, frozen=True):
    """`address`: the client's; `proxied`: a proxy says so; `trusted`: one that is believed;
    `direct`: from this machine, by a name that means itself, through no proxy."""

    address: str
    proxied: bool
    trusted: bool
    direct: bool


def came(
    peer: str, headers: Mapping[bytes, bytes], trusted: tuple[str, ...], public_url: str
) -> Came:
    proxied = any(name in FORWARDED or name.startswith(FAMILY) for name in headers)
    known = networks(trusted)
    believed = proxied and _within(peer, known)
    address = peer
    if believed or (proxied and public_url and is_local(peer)):
        address = forwarded_for(headers, known) or peer
    direct = not proxied and is_local(peer) and is_local_name(headers)
    return Came(address, proxied, believed, direct)


@lru_cache(maxsize=8)
def networks(texts: tuple[str, ...]) -> Networks:
    """Addresses and networks. Raises ValueError."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def _within(address: str, known: Networks) -> bool:
    try:
        at = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(at in network for network in known)


def is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def forwarded_for(headers: Mapping[bytes, bytes], known: Networks = ()) -> str | None:
    """The client's address: the last one that is no proxy of ours, as each adds who called it."""
    text = headers.get(b"x-forwarded-for", headers.get(b"x-real-ip", b"")).decode("latin-1")
    hops = [hop.strip() for hop in text.split(",")][-MAX_HOPS:]
    while len(hops) > 1 and _within(hops[-1], known):
        hops.pop()
    try:
        return str(ipaddress.ip_address(hops[-1]))
    except ValueError:
        return None


def is_local_name(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client called this machine by a name that means itself."""
    host = headers.get(b"host", b"").decode("latin-1")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or is_local(name)
