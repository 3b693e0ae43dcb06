"""A request to the proxy, read strictly: what two could read differently is refused. Pure."""

import base64
import binascii
import re
from typing import Final

import msgspec

from homarus.base.errors import HomarusError, Invalid
from homarus.egress.hosts import Unusable, normal, of_url

MAX_HEAD_BYTES: Final = 32_768
MAX_HEADERS: Final = 100
TLS_PORT: Final = 443
"""A plain request to this port is passed on over TLS, so that a secret handle in it can be filled
in (in a tunnel it could not)."""
_METHOD: Final = re.compile(r"[A-Z]{1,20}")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_HOP: Final = frozenset(
    {"connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade",
     "proxy-authorization", "proxy-authenticate", "transfer-encoding", "expect"}
)  # fmt: skip


class Request(msgspec.Struct, frozen=True):
    """`scheme` "" for CONNECT. `headers` without those that end at a proxy; `length` of its body.
    `path` with its query, as it goes on."""

    method: str
    scheme: str
    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...]
    length: int
    user: str
    password: str

    @property
    def tunnel(self) -> bool:
        return self.scheme == ""


class NoCredentials(HomarusError):
    status = 407

    def __init__(self) -> None:
        super().__init__("egress.credentials", "no run is known by these credentials",
                         "Use the proxy's address as the run was given it.")  # fmt: skip


def read(head: bytes) -> Request:
    """The head, its last empty line left out. Raises `egress.request`, `egress.credentials`."""
    lines = head.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _bad("its first line is none of HTTP/1.1")
    if not _METHOD.fullmatch(parts[0]):
        raise _bad("its method is none")
    if any(char <= " " or char == "\x7f" for char in parts[1]):
        raise _bad("its target holds a control character")
    headers = _headers(lines[1:])
    user, password = _credentials(headers)
    scheme, host, port, path = _aim(parts[0], parts[1])
    length = _length(headers) if scheme else 0
    kept = tuple((n, v) for n, v in headers if n.lower() not in _HOP and n.lower() != "host")
    return Request(parts[0], scheme, host, port, path, kept, length, user, password)


def _headers(lines: list[str]) -> list[tuple[str, str]]:
    if len(lines) > MAX_HEADERS:
        raise _bad(f"it has more than {MAX_HEADERS} headers")
    found = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise _bad("a header is unreadable")
        if any(char in value for char in "\r\n\0"):
            raise _bad("a header holds a control character")
        found.append((name, value.strip(" \t")))
    return found


def _values(headers: list[tuple[str, str]], name: str) -> list[str]:
    return [value for each, value in headers if each.lower() == name]


def _credentials(headers: list[tuple[str, str]]) -> tuple[str, str]:
    given = _values(headers, "proxy-authorization")
    scheme, _, word = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "basic":
        raise NoCredentials
    try:
        user, _, password = base64.b64decode(word, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise NoCredentials from None
    return user, password


def _aim(method: str, target: str) -> tuple[str, str, int, str]:
    try:
        if method == "CONNECT":
            host, colon, port = target.rpartition(":")
            if not colon or not port.isdecimal() or not 0 < int(port) < 65_536:
                raise Unusable("CONNECT names a host and a port")
            return "", normal(host), int(port), ""
        scheme, host, port_ = of_url(target)
        if scheme == "http" and port_ == TLS_PORT:  # for programs that would open a tunnel to https
            scheme = "https"
    except Unusable as error:
        raise _bad(str(error)) from None
    rest = "/" + target.split("://", 1)[1].partition("/")[2].partition("#")[0]
    if "?" in target and "/" not in target.split("://", 1)[1].partition("?")[0]:
        rest = "/?" + target.partition("?")[2].partition("#")[0]
    return scheme, host, port_, rest


def _length(headers: list[tuple[str, str]]) -> int:
    if _values(headers, "transfer-encoding"):
        raise Invalid("egress.request", "a body in chunks is not passed on",
                      "Send it with its Content-Length.")  # fmt: skip
    given = _values(headers, "content-length")
    if not given:
        return 0
    if len(given) > 1 or not given[0].isdecimal() or len(given[0]) > 12:
        raise _bad("its length is unreadable")
    return int(given[0])


def _bad(why: str) -> Invalid:
    return Invalid("egress.request", f"the request cannot be passed on: {why}",
                   "Send CONNECT, or an absolute http or https URL.")  # fmt: skip


def authority(host: str, port: int, scheme: str) -> str:
    """The Host header of what goes on."""
    shown = f"[{host}]" if ":" in host else host
    return shown if port == {"http": 80, "https": 443}[scheme] else f"{shown}:{port}"
