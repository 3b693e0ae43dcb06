"""Which addresses are out in the world. Pure.

An address that carries another inside (IPv4-mapped, 6to4, NAT64, Teredo) is judged by that one too.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE: Final = IPv6Network("::/96")
_NOT_PUBLIC: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15",
        "240.0.0.0/4", "255.255.255.255/32", "fec0::/10", "100::/64", "2001:db8::/32", "3fff::/20",
    )
)  # fmt: skip
"""What the standard library's word `global` does not leave out in every release."""


def parse(text: str) -> Address | None:
    """An address as text, without a zone; None: it is none."""
    try:
        return ip_address(text.partition("%")[0].strip("[]"))
    except ValueError:
        return None


def carried(address: Address) -> tuple[Address, ...]:
    """The address itself and those inside it."""
    if isinstance(address, IPv4Address):
        return (address,)
    found: list[Address] = [address]
    for inner in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())):
        if inner is not None:
            found.append(inner)
    if any(address in net for net in _NAT64) or address in _COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(found)


def is_public(address: Address) -> bool:
    """Whether it, and each address that it carries, is anybody's to reach."""
    return all(_is_public(one) for one in carried(address))


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return True  # the address inside decides
    if isinstance(address, IPv6Address) and any(address in net for net in _NAT64):
        return True
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in net for net in _NOT_PUBLIC if net.version == address.version)
    )
