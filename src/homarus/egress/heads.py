"""The heads that the proxy writes: of a request passed on, of its answer, of a refusal."""

import asyncio
import contextlib
from typing import Final

import msgspec

from homarus.base.errors import HomarusError, Unavailable
from homarus.egress import requests
from homarus.egress.requests import Request
from homarus.egress.secrets import Filled

MAX_INTERIM: Final = 10
"""Answers of class 1xx before the one that counts."""
_OWN: Final = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate"})


def passed_on(request: Request, filled: Filled) -> bytes:
    """What goes on: one request, one answer, and the connection ends."""
    lines = [f"{request.method} {request.path} HTTP/1.1"]
    lines.append(f"Host: {requests.authority(request.host, request.port, request.scheme)}")
    for name, value in filled.headers:
        if filled.names and name.lower() == "accept-encoding":
            continue
        lines.append(f"{name}: {value}")
    if filled.names:
        lines.append("Accept-Encoding: identity")  # so that a value is seen and masked
    lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def answered(reader: asyncio.StreamReader, idle_s: float) -> bytes:
    """The head of the answer, said to be the last on its connection. Raises `egress.answer`."""
    try:
        async with asyncio.timeout(idle_s):
            for _ in range(MAX_INTERIM):
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head[:-4].split(b"\r\n")
                if not first.startswith(b"HTTP/1."):
                    break
                if first[8:10] == b" 1":
                    continue  # 100 Continue and the like
                kept = [line for line in lines if line.partition(b":")[0].lower() not in _OWN]
                return b"\r\n".join([first, *kept, b"Connection: close"]) + b"\r\n\r\n"
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
        pass
    raise Unavailable("egress.answer", "it gave no answer that can be read", "Try again later.")


async def refuse(writer: asyncio.StreamWriter, error: HomarusError) -> None:
    """The refusal as a response; in the middle of a body it is only the end."""
    body = msgspec.json.encode(
        {"error": {"code": error.code, "message": error.message, "remedy": error.remedy}}
    )
    extra = 'Proxy-Authenticate: Basic realm="homarus"\r\n' if error.status == 407 else ""
    if "retryAfterS" in error.details:
        extra = f"Retry-After: {error.details['retryAfterS']}\r\n"
    head = (
        f"HTTP/1.1 {error.status} {error.code}\r\nContent-Type: application/json\r\n"
        f"X-Homarus-Code: {error.code}\r\nContent-Length: {len(body)}\r\n{extra}"
        "Connection: close\r\n\r\n"
    )
    with contextlib.suppress(OSError):
        writer.write(head.encode("latin-1", "replace") + body)
        await writer.drain()
