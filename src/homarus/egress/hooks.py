"""A signed post by the daemon itself: notices of approvals, and the webhook mirror.

HTTPS, or plain HTTP to this machine alone; no redirects, no proxy of the environment. The receiver
checks `X-Homarus-Signature` over `<X-Homarus-Timestamp>.<body>` (`kernel/links.py: sign_body`).
"""

import asyncio
import time
from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from homarus.base import tls
from homarus.kernel import links

if TYPE_CHECKING:
    import httpx2

POST_S: Final = 10.0
MAX_URL: Final = 2_000
MAX_CONNECTIONS: Final = 16
"""To one address at once."""
MAX_ANSWER: Final = 65_536
TIMESTAMP: Final = "X-Homarus-Timestamp"
SIGNATURE: Final = "X-Homarus-Signature"


class Answer(msgspec.Struct, frozen=True):
    """`headers` in small letters; `body` cut at MAX_ANSWER."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(Exception):
    """`sent`: the receiver may have had it."""

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


async def client(url: str, within_s: float = POST_S) -> "httpx2.AsyncClient":
    """For posts to this address; whoever makes it closes it."""
    import httpx2

    trusted = await asyncio.to_thread(tls.of, url)
    limits = httpx2.Limits(max_connections=MAX_CONNECTIONS)
    return httpx2.AsyncClient(
        timeout=within_s, follow_redirects=False, trust_env=False, verify=trusted, limits=limits
    )


async def post_once(url: str, body: bytes, key: bytes, headers: Mapping[str, str]) -> Answer:
    """By a client of its own. Raises NoAnswer."""
    async with await client(url) as used:
        return await post(used, url, body, key, headers)


async def post(
    used: "httpx2.AsyncClient", url: str, body: bytes, key: bytes, headers: Mapping[str, str],
    within_s: float = POST_S,
) -> Answer:  # fmt: skip
    """Raises NoAnswer."""
    import httpx2

    at_s = int(time.time())
    told = {
        "content-type": "application/json",
        **headers,
        TIMESTAMP: str(at_s),
        SIGNATURE: links.sign_body(key, at_s, body),
    }
    found = bytearray()
    try:
        async with (
            asyncio.timeout(within_s),
            used.stream("POST", url, content=body, headers=told) as answer,
        ):
            async for piece in answer.aiter_bytes():
                found += piece[: MAX_ANSWER - len(found)]
                if len(found) >= MAX_ANSWER:
                    break
            return Answer(answer.status_code, dict(answer.headers), bytes(found))
    except (
        httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.InvalidURL,
    ) as error:  # fmt: skip
        raise NoAnswer(type(error).__name__, sent=False) from error
    except (httpx2.HTTPError, TimeoutError, OSError) as error:
        raise NoAnswer(type(error).__name__, sent=True) from error


def wrong_url(url: str) -> str | None:
    """Why nothing may be posted there; None: it may."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return "the webhook is no URL"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "the webhook is no URL"
    if not host or parts.username is not None or parts.password is not None:
        return "the webhook names no host, or a user"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_here(host)):
        return None
    return "the webhook is neither HTTPS nor on this machine"


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
