"""Who may upgrade: the page's origin and the name the daemon was reached by (design, 5).

A browser sends `Origin` with every upgrade; one that names another place is a foreign page using
the visitor's browser. A daemon that only this machine reaches must also be *called* by a loopback
name: otherwise a public name was pointed at it (DNS rebinding).
"""

import ipaddress
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import urlsplit

from homarus.base.errors import Refused

LOCAL_NAMES: Final = frozenset({"localhost", "ip6-localhost"})


def check(
    headers: Mapping[bytes, bytes], *, loopback_only: bool, public_url: str = "",
    allowed: Collection[str] = (),
) -> None:  # fmt: skip
    """Raises Refused `origin.host` or `origin.foreign` (403). `public_url`: what people call the
    daemon by when a proxy stands before it; "": nothing but its own address. `allowed`: origins of
    pages elsewhere that may, where a page is known by nothing that a browser adds by itself."""
    host = headers.get(b"host", b"").decode("latin-1")
    name = _name(f"//{host}")
    if loopback_only and not _is_local(name) and (not name or name != _name(public_url)):
        raise Refused(
            "origin.host",
            f"this daemon is not reached as {host[:100]!r}",
            "Use 127.0.0.1 or localhost.",
            rule="identity",
        )
    origin = headers.get(b"origin")
    if origin is None:
        return
    text = origin.decode("latin-1")
    if text.lower() not in allowed and _place(text) != host.lower():
        raise Refused(
            "origin.foreign",
            f"a page of {text[:100]!r} may not connect",
            "Open the daemon's own page, or name this one in `gateway.controlUi.allowedOrigins`.",
            rule="identity",
        )


def _place(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_local(name: str) -> bool:
    if name in LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
