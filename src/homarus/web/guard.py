"""Which requests a browser may make here: the host it thinks it talks to, and where it stands.

A page of another site cannot reach the dashboard by a name that it lets point here (`Host`), nor
make this browser post or open a socket (`Origin`).
"""

import ipaddress
from collections.abc import Mapping
from typing import Final

from homarus.base.errors import Refused

MAX_HOST: Final = 300
MAX_PATH: Final = 10_000
HOME: Final = "/app"
SESSION_COOKIE: Final = "homarus_session"
COMPANY_COOKIE: Final = "homarus_company"
COOKIE_PATH: Final = "/app"

POLICY: Final = "content-security-policy"
HEADERS: Final = {
    POLICY: (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def check_host(headers: Mapping[str, str], names: frozenset[str]) -> None:
    """Addresses, `localhost` and the configured `names` only. Raises `web.host`."""
    host = headers.get("host", "")
    if len(host) > MAX_HOST or not _known(_name(host), names):
        raise Refused(
            "web.host",
            f"the dashboard does not answer to the name {host[:80]!r}",
            "Open it by the address that `homarus status` shows.",
            rule="host",
        )


def check_origin(headers: Mapping[str, str]) -> None:
    """A browser says where the request comes from; it must be here. Raises `web.origin`."""
    origin = headers.get("origin")
    if origin is not None:
        same = origin.partition("://")[2].lower() == headers.get("host", "").lower()
    else:
        same = headers.get("sec-fetch-site") == "same-origin"
    if not same:
        raise Refused(
            "web.origin",
            "the request was made by a page of another site",
            "Use the dashboard's own pages.",
            rule="origin",
        )


def ours(path: str | None) -> str:
    """A page of the dashboard to go on with: the one that was asked for, if it is one."""
    good = path is not None and (path == HOME or path.startswith((HOME + "/", HOME + "?")))
    if path is None or not good or len(path) > MAX_PATH or not path.isprintable() or "\\" in path:
        return HOME
    return path


def _name(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def _known(name: str, names: frozenset[str]) -> bool:
    if name in names or name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
