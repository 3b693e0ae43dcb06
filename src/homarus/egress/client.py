"""One GET by the daemon itself, for an agent: through the proxy, like everything else.

A redirect is followed here, each step checked as the first one was. No cookie, no credential but a
handle that the proxy fills in, no compression that could swell past the bound unseen.
"""

import asyncio
import ssl
import time
from typing import Final
from urllib.parse import urljoin

import httpx2
import msgspec

from homarus.base.errors import HomarusError, Invalid, TooLarge, Unavailable
from homarus.base.tls import roots
from homarus.egress.hosts import Unusable, of_url
from homarus.egress.lease import Lease

MAX_REDIRECTS: Final = 5
MAX_BYTES: Final = 2 * 1_048_576
MAX_S: Final = 30.0
MAX_URL: Final = 4_000
AGENT: Final = "homarus"
ACCEPT: Final = "text/html, text/plain, application/json, application/xml;q=0.8, */*;q=0.1"
_MOVED: Final = (301, 302, 303, 307, 308)


class Fetched(msgspec.Struct, frozen=True):
    """`url` after redirects; `media_type` in lower case, "" where the server says none; `charset`
    as it says. `whole`: the body did not end at the bound."""

    url: str
    status: int
    media_type: str
    charset: str | None
    body: bytes
    whole: bool
    redirects: tuple[str, ...] = ()


def checked(url: str, lease: Lease) -> str:
    """A URL that the lease's rules let be asked for. Raises `egress.url`, `egress.host`."""
    if len(url) > MAX_URL or any(ord(char) <= 32 or ord(char) == 127 for char in url):
        raise _unusable(url, "it is too long, or holds a blank")
    try:
        _, host, port = of_url(url)
    except Unusable as error:
        raise _unusable(url, str(error)) from None
    lease.rules.check(host, port)
    return url.partition("#")[0]


def _unusable(url: str, why: str) -> Invalid:
    return Invalid("egress.url", f"{url[:100]!r} cannot be fetched: {why}",
                   "Give an absolute http or https URL.")  # fmt: skip


async def get(
    lease: Lease, url: str, *, max_bytes: int = MAX_BYTES, max_s: float = MAX_S,
    tls: ssl.SSLContext | None = None,
) -> Fetched:  # fmt: skip
    """Raises `egress.*`: what was refused, and why it did not answer."""
    end = time.monotonic() + max_s
    seen: list[str] = []
    trusted = tls if tls is not None else await asyncio.to_thread(roots)
    proxy = httpx2.Proxy(f"http://127.0.0.1:{lease.port}", auth=(lease.user, lease.password))
    async with httpx2.AsyncClient(
        proxy=proxy, trust_env=False, follow_redirects=False, verify=trusted,
        headers={"User-Agent": AGENT, "Accept": ACCEPT, "Accept-Encoding": "identity"},
    ) as client:  # fmt: skip
        while True:
            url = checked(url, lease)
            fetched, moved = await _one(client, lease, url, max_bytes, end)
            if moved is None:
                return msgspec.structs.replace(fetched, redirects=tuple(seen))
            seen.append(url)
            if len(seen) > MAX_REDIRECTS:
                raise Unavailable("egress.redirects", f"more than {MAX_REDIRECTS} redirects",
                                  "Ask for where it ends.")  # fmt: skip
            url = urljoin(url, moved)


async def _one(
    client: httpx2.AsyncClient, lease: Lease, url: str, max_bytes: int, end: float
) -> tuple[Fetched, str | None]:
    known = len(lease.refusals)
    left = end - time.monotonic()
    if left <= 0:
        raise _late()
    body = bytearray()
    whole = True
    try:
        async with client.stream("GET", url, timeout=left) as reply:
            own = reply.headers.get("x-homarus-code")
            if own is not None and len(lease.refusals) > known:
                raise lease.refusals[-1]
            async for piece in reply.aiter_raw():
                body += piece
                if len(body) > max_bytes:
                    whole = False
                    break
                if time.monotonic() > end:
                    raise _late()
            kind, _, rest = reply.headers.get("content-type", "").partition(";")
            coded = reply.headers.get("content-encoding", "identity").strip().lower()
            if coded not in ("", "identity"):
                raise TooLarge("egress.encoding", f"{url[:100]} answers in {coded}",
                               "It was asked not to; use another source.")  # fmt: skip
            moved = reply.headers.get("location") if reply.status_code in _MOVED else None
            return Fetched(
                url, reply.status_code, kind.strip().lower(), _charset(rest),
                bytes(body[:max_bytes]), whole,
            ), moved  # fmt: skip
    except httpx2.HTTPError as error:
        if len(lease.refusals) > known:
            raise lease.refusals[-1] from None
        if isinstance(error, httpx2.TimeoutException):
            raise _late() from None
        raise Unavailable("egress.failed", f"{url[:100]}: {type(error).__name__}",
                          "Try again later, or use another source.") from error  # fmt: skip


def _charset(rest: str) -> str | None:
    for part in rest.split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "charset":
            return value.strip("\"' ").lower() or None
    return None


def _late() -> HomarusError:
    return Unavailable("egress.slow", "it did not answer in time", "Try again later.")


class Passage(httpx2.AsyncBaseTransport):
    """Requests of a library through the proxy in absolute form, also those to https: so the proxy
    speaks TLS and fills in secret handles, and this side never holds a value."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._inner = httpx2.AsyncHTTPTransport(retries=0)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = checked(str(request.url), self._lease)
        headers = [(n, v) for n, v in request.headers.raw if n.lower() != b"accept-encoding"]
        headers.append((b"Proxy-Authorization", self._lease.authorization.encode()))
        body = await request.aread()
        onward = httpx2.Request(
            request.method, f"http://127.0.0.1:{self._lease.port}/", headers=headers, content=body,
            extensions={**request.extensions, "target": url.encode()},
        )  # fmt: skip
        return await self._inner.handle_async_request(onward)

    async def aclose(self) -> None:
        await self._inner.aclose()
