"""Which hosts a run may reach. Pure.

    api.example.com          this host, on ports 80 and 443
    api.example.com:8443     on this port alone
    *.example.com            every host below it
    *                        every public host
    10.0.0.0/8  [fd00::1]:8080  127.0.0.1:9000      addresses

An address that is not public (loopback, private, link-local, metadata services) is reached only
where an entry names it, or a network that holds it; the name that leads to it needs an entry too.
"""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from homarus.base.errors import Refused
from homarus.egress.addresses import Address, carried, is_public, parse

MAX_ENTRIES: Final = 500
MAX_HOST: Final = 253
PORTS: Final = (80, 443)
_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*"
)


class Unusable(ValueError):
    """An entry of a list, or a host, that means nothing."""


class Entry(msgspec.Struct, frozen=True):
    """`name` with or without a leading `*.`, `*`, or `network`; `port` None: the usual ones."""

    name: str
    network: Any = None
    port: int | None = None

    def fits_port(self, port: int) -> bool:
        return port in PORTS if self.port is None else port == self.port

    def fits_name(self, host: str) -> bool:
        if self.network is not None:
            return False
        if self.name == "*":
            return True
        if self.name.startswith("*."):
            return host.endswith(self.name[1:]) and len(host) > len(self.name) - 1
        return host == self.name


def normal(host: str) -> str:
    """A host in its one form: lower case, ASCII, without a last dot; an address in its short one.

    Raises Unusable.
    """
    text = host.strip().lower().removesuffix(".")
    address = parse(text)
    if address is not None:
        return str(address)
    try:
        text = text.encode("idna").decode() if not text.isascii() else text
    except UnicodeError:
        raise Unusable(f"{host[:80]!r} is no host") from None
    if len(text) > MAX_HOST or not _NAME.fullmatch(text):
        raise Unusable(f"{host[:80]!r} is no host")
    return text


def entry(text: str) -> Entry:
    """Raises Unusable."""
    plain = text.strip().lower()
    if plain.startswith("["):
        host, _, port = plain[1:].partition("]")
        port = port.removeprefix(":")
    elif plain.count(":") > 1:
        host, port = plain, ""
    else:
        host, _, port = plain.partition(":")
    if port and not (port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536):
        raise Unusable(f"{text[:80]!r} has no such port")
    number = int(port) if port else None
    network = _network(host)
    if network is not None or host == "*":
        return Entry(host, network, number)
    star = "*." if host.startswith("*.") else ""
    return Entry(star + normal(host.removeprefix("*.")), None, number)


def _network(text: str) -> Any:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


class Rules:
    """A list of hosts, read. What is unreadable in it allows nothing; `wrong` names it.

    `mirrors`: `host:port` where the company's mirrors write, which no list opens to a run.
    """

    def __init__(self, listed: Iterable[str], mirrors: Iterable[str] = ()) -> None:
        self.entries: list[Entry] = []
        self.wrong: list[str] = []
        self.mirrors = frozenset(mirrors)
        for text, _ in zip(listed, range(MAX_ENTRIES), strict=False):
            try:
                self.entries.append(entry(str(text)))
            except Unusable:
                self.wrong.append(str(text))

    def mirrors_at(self, port: int) -> list[str]:
        """Names of mirrors' servers on that port: an address may be one of theirs."""
        places = (place.rsplit(":", 1) for place in sorted(self.mirrors))
        return [host for host, at in places if at == str(port) and parse(host) is None]

    def check(self, host: str, port: int) -> None:
        """Before anything is looked up. Raises `egress.host`, `egress.mirror`."""
        if f"{host}:{port}" in self.mirrors:
            raise mirrored(host, port)
        address = parse(host)
        if address is not None:
            self.check_address(host, address, port)
            return
        if not any(each.fits_name(host) and each.fits_port(port) for each in self.entries):
            raise refused("host", host, port, "it is not on the list of hosts")

    def check_address(self, host: str, address: Address, port: int) -> None:
        """What a name turned out to be, or the address that was asked for. Raises `egress.host`,
        `egress.address`, `egress.mirror`."""
        if any(f"{each}:{port}" in self.mirrors for each in carried(address)):
            raise mirrored(host, port)
        named = [
            each for each in self.entries
            if each.network is not None and each.fits_port(port)
            and any(a.version == each.network.version and a in each.network
                    for a in carried(address))
        ]  # fmt: skip
        if named:
            return
        if not is_public(address):
            raise refused("address", host, port, f"{address} is not public")
        literal = parse(host) is not None
        if literal and not any(e.name == "*" and e.fits_port(port) for e in self.entries):
            raise refused("host", host, port, "this address is not on the list of hosts")


def mirrored(host: str, port: int) -> Refused:
    return Refused(
        "egress.mirror",
        f"{host[:100]}:{port} is a mirror of this company: the outbox alone writes there",
        "Change the local row; the outbox carries it there.",
        rule="R3",
    )


def refused(word: str, host: str, port: int, why: str) -> Refused:
    return Refused(
        f"egress.{word}",
        f"{host[:100]}:{port} is not reached: {why}",
        "Propose it for the governed setting `egress.hosts` (a command: for its `targets`), or do "
        "without.",
        rule="egress",
    )


def of_targets(targets: Iterable[str]) -> tuple[str, ...]:
    """The hosts that a capability's target patterns name: `https://api.example.com/v1/**`."""
    found = []
    for pattern in targets:
        scheme, _, rest = pattern.partition("://")
        if scheme not in ("http", "https") or not rest:
            continue
        place = rest.split("/", 1)[0]
        bare = place.rsplit(":", 1)[0] if re.search(r":\d+$", place) else place
        port = place[len(bare) + 1 :] or ("443" if scheme == "https" else "80")
        found.append(f"{bare}:{port}")
    return tuple(dict.fromkeys(found))


def of_url(url: str) -> tuple[str, str, int]:
    """`(scheme, host, port)` of an http or https URL. Raises Unusable."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Unusable("it is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unusable("it is no http or https URL")
    if parts.username is not None or parts.password is not None:
        raise Unusable("it holds a user or a password")
    return parts.scheme, normal(parts.hostname), port or (443 if parts.scheme == "https" else 80)
