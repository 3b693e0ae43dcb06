"""Addresses, paths and queries of calls."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from homarus.base.errors import Invalid

API: Final = "/api/v1"
SOCKET: Final = "/api/mcp/ws"
_MOUNTS: Final = ("/api/mcp", "/api/v1")


def path_part(value: str) -> str:
    """A caller's text as one segment of a path."""
    return quote(value, safe="")


def below_api(path: str) -> str:
    """Paths are below `/api/v1`, unless they begin with `/api/`."""
    return path if path.startswith("/api/") else API + path


def with_query(path: str, query: Mapping[str, Any]) -> str:
    """`path?name=value`; values of None are left out, true and false are words."""
    given = {
        name: ("true" if value else "false") if isinstance(value, bool) else value
        for name, value in query.items()
        if value is not None
    }
    return f"{path}?{urlencode(given)}" if given else path


def base_url(url: str) -> str:
    """A daemon's address without what clients append to it: slashes, `/api/mcp`, `/api/v1`.

    Raises `client.url`.
    """
    parts = urlsplit(url)
    try:
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Invalid("client.url", f"{url!r} is no address of a daemon", "Give http://HOST:PORT.")
    url = url.rstrip("/")
    for mount in _MOUNTS:
        url = url.removesuffix(mount)
    return url


def socket_url(url: str, since_seq: int | None) -> str:
    """The event socket of the daemon at `url`."""
    return with_query(f"ws{url.removeprefix('http')}{SOCKET}", {"since_seq": since_seq})
